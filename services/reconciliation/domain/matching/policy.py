"""What a partner may do without a person being asked: how late it may book, what it may take. Data; pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import date, timedelta

from services.kernel.money import Currency, Money
from services.kernel.value import value
from services.reconciliation.domain.matching.shape import Line, Movement

BASIS = 10_000  # basis points of a whole


@value(kw_only=True)
class Window:
    """Days from our day of a movement to the partner's."""

    before: int = 1  # it counts days by another clock
    after: int = 5  # a weekend and a holiday


@value(kw_only=True)
class FeePolicy:
    """What a partner may take of one payment: both bounds hold."""

    most: Money
    basis_points: int  # of our amount
    own_line: bool = False  # it may book the fee as a line of its own
    codes: tuple[str, ...] = ()  # bank transaction codes of such lines; none given: any

    def allows(self, fee: Money, of: Money) -> bool:
        """Whether `fee` may be taken of a payment of `of`. Whole numbers: nothing is rounded."""
        if fee.currency != self.most.currency or of.currency != fee.currency:
            return False
        return 0 < fee.minor <= self.most.minor and fee.minor * BASIS <= of.minor * self.basis_points

    def knows(self, line: Line) -> bool:
        """Whether a line can be a fee's own."""
        by_code = not self.codes or line.bank_transaction_code in self.codes
        return self.own_line and by_code and line.side == "debit" and not line.reversal


@value(kw_only=True)
class Policies:
    """By partner; fees by partner and currency. A partner without one has the default window and may take nothing."""

    windows: Mapping[str, Window]
    fees: Mapping[tuple[str, Currency], FeePolicy]
    default: Window

    def window(self, partner: str) -> Window:
        """How late this partner may book."""
        return self.windows.get(partner, self.default)

    def fee(self, line: Line) -> FeePolicy | None:
        """What the partner of this line may take in its currency."""
        return self.fees.get((line.partner, line.amount.currency))


NO_POLICIES = Policies(windows={}, fees={}, default=Window())


def booked_between(movement: Movement, window: Window) -> tuple[date, date]:
    """The first and the last day on which the partner may book it."""
    return movement.on - timedelta(days=window.before), movement.on + timedelta(days=window.after)


def moved_between(on: date, window: Window) -> tuple[date, date]:
    """The first and the last day of ours that a line booked `on` may stand for."""
    return on - timedelta(days=window.after), on + timedelta(days=window.before)
