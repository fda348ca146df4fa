"""What the books must say, in plain dicts and without a line of the product: the judge of test_model.py.

An amount is signed minor units: a credit is above zero, a debit below. An operation is told to the model and asked of
the ledger; both must answer the same.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from copy import copy
from typing import NamedTuple
from uuid import UUID

EXPONENTS = {"JPY": 0, "GBP": 2, "ETB": 2, "KWD": 3}
INITIATED = (
    "-send customer:{customer}:held", "+fee revenue:fees", "+spread revenue:fx", "+converted fx_position",
    "-receive fx_position", "+receive payout_clearing",
)  # fmt: skip
CONFIRMED = ("-receive payout_clearing", "+receive partner_float:{partner}")


def undone(lines: tuple[str, ...]) -> tuple[str, ...]:
    """Each on its other side."""
    return tuple(("+" if line[0] == "-" else "-") + line[1:] for line in lines)


FACTS = {  # what happened -> sign, amount and account of each line; its currency is the amount's
    "wallet.topped_up": ("-amount suspense:deposits", "+amount customer:{customer}:available"),
    "deposit.observed": ("-amount safeguarding:{bank}", "+amount suspense:deposits"),
    "deposit.refunded": ("-amount suspense:deposits", "+amount safeguarding:{bank}"),
    "deposit.reversed": ("-amount suspense:deposits", "+amount safeguarding:{bank}"),
    "transfer.funding_confirmed": (
        "-received suspense:deposits", "-short loss:tolerance", "+send customer:{customer}:held",
        "+over revenue:tolerance",
    ),
    "transfer.funding_reversed": ("-send customer:{customer}:held", "+send suspense:deposits"),
    "transfer.funding_loss_recorded": ("-send loss:funding", "+send suspense:deposits"),
    "transfer.payout_initiated": INITIATED,
    "transfer.payout_failed": undone(INITIATED),
    "transfer.refunded": ("-send customer:{customer}:held", "+send safeguarding:{bank}"),
    "payout.confirmed": CONFIRMED,
    "payout.returned": undone(CONFIRMED),
    "payout.late_confirmation": ("-receive suspense:payouts", "+receive partner_float:{partner}"),
    "transfer.payout_completed": ("-receive payout_clearing", "+receive suspense:payouts"),
    "treasury.float_funded": ("-amount partner_float:{partner}", "+amount fx_position"),
    "treasury.swept": (
        "-position fx_position", "-fees revenue:fees", "-spread revenue:fx", "-over revenue:tolerance",
        "+swept safeguarding:{bank}",
    ),
}  # fmt: skip

Line = tuple[str, int]  # account, signed minor units
Amount = tuple[int, str]  # minor units, currency


class Fact(NamedTuple):
    """Something happened; `rate` where an amount called `receive` is what `converted` buys."""

    kind: str
    cause: UUID
    names: dict[str, str]
    amounts: dict[str, Amount]
    rate: str = ""


class Place(NamedTuple):
    """Hold money of a customer."""

    hold: UUID
    customer: UUID
    minor: int
    currency: str
    cause: UUID


class Resolve(NamedTuple):
    """Use a hold: so much of it, or all of it where `minor` is None; or give it up, where `void`."""

    hold: UUID
    cause: UUID
    minor: int | None = None
    void: bool = False


class Propose(NamedTuple):
    """One person's lines."""

    wish: UUID
    lines: tuple[Line, ...]
    by: str


class Judge(NamedTuple):
    """A yes or a no."""

    wish: UUID
    by: str
    yes: bool


Op = Fact | Place | Resolve | Propose | Judge


def bought(minor: int, rate: str, source: str, target: str) -> int:
    """What `minor` of `source` buys in whole minor units of `target`."""
    whole, _, after = rate.partition(".")
    digits: int = 10 ** (len(after) + EXPONENTS[source])
    scaled: int = minor * int(whole + after) * 10 ** EXPONENTS[target]
    return scaled // digits


class Model:
    """The books, holds and adjustments."""

    def __init__(self) -> None:
        self.entries: list[tuple[str, UUID, tuple[Line, ...]]] = []  # kind, cause, lines; the first is number 1
        self.sides: dict[str, tuple[int, int]] = {}  # account -> debits, credits
        self.booked: set[tuple[str, UUID]] = set()
        self.holds: dict[UUID, tuple[str, Place, int, UUID | None]] = {}  # state, hold, minor used, cause of its end
        self.wishes: dict[UUID, tuple[str, Propose]] = {}

    def fork(self) -> Model:
        """Another one that may go on in another way."""
        other = copy(self)
        for name, value in vars(self).items():
            setattr(other, name, copy(value))
        return other

    def tell(self, op: Op) -> str:
        """What the ledger must answer: the name of its event or of its refusal; nothing for a repeat."""
        match op:
            case Fact():
                return self._fact(op)
            case Place():
                return self._place(op)
            case Resolve():
                return self._resolve(op)
            case Propose():
                self.wishes[op.wish] = ("open", op)
                return "AdjustmentProposed"
            case Judge():
                return self._judge(op)

    def _fact(self, op: Fact) -> str:
        if (op.kind, op.cause) in self.booked:
            return ""
        return self._book(op.kind, op.cause, lines_of(op), "EntryPosted")

    def _place(self, op: Place) -> str:
        if op.hold in self.holds:
            return "" if self.holds[op.hold][0] in ("held", "refused") else "HoldResolved"
        free = f"customer:{op.customer}:available:{op.currency}"
        if self.balance(free) < op.minor:
            self.holds[op.hold] = ("refused", op, 0, None)
            return "HoldRefused"
        self.holds[op.hold] = ("held", op, 0, None)
        return self._book("hold.placed", op.cause, ((free, -op.minor), (_held(op), op.minor)), "HoldPlaced")

    def _resolve(self, op: Resolve) -> str:
        if op.hold not in self.holds:
            return "HoldNotFound"
        state, hold, used, cause = self.holds[op.hold]
        if state != "held":
            same = (state, cause) == (("void" if op.void else "used"), op.cause)
            return "" if same and (op.void or op.minor in (None, used)) else "HoldResolved"
        use = 0 if op.void else hold.minor if op.minor is None else op.minor
        if use > hold.minor:
            return "HoldExceeded"
        self.holds[op.hold] = ("void" if op.void else "used", hold, use, op.cause)
        free, out = f"customer:{hold.customer}:available:{hold.currency}", f"payout_clearing:{hold.currency}"
        parts = ((_held(hold), -use), (out, use), (_held(hold), use - hold.minor), (free, hold.minor - use))
        kind, event = ("hold.voided", "HoldVoided") if op.void else ("hold.posted", "HoldPosted")
        return self._book(kind, op.cause, tuple(part for part in parts if part[1]), event)

    def _judge(self, op: Judge) -> str:
        if op.wish not in self.wishes:
            return "AdjustmentNotFound"
        state, wish = self.wishes[op.wish]
        if state != "open":
            return "AdjustmentDecided"
        if op.yes and op.by == wish.by:
            return "SamePerson"
        if op.yes and any(account.startswith("customer:") and self.balance(account, *wish.lines) < 0
                          for account, _ in wish.lines):  # fmt: skip
            return "AccountOverdrawn"
        self.wishes[op.wish] = ("closed", wish)
        return self._book("ledger.adjusted", op.wish, wish.lines, "Adjusted") if op.yes else "AdjustmentRejected"

    def _book(self, kind: str, cause: UUID, lines: tuple[Line, ...], event: str) -> str:
        self.entries.append((kind, cause, lines))
        self.booked.add((kind, cause))
        for account, minor in lines:
            self.sides[account] = added(self.sides.get(account, (0, 0)), minor)
        return event

    def balance(self, account: str, *more: Line) -> int:
        """Credits less debits, with some lines more."""
        debited, credited = self.sides.get(account, (0, 0))
        return credited - debited + sum(minor for other, minor in more if other == account)

    def overdrawn(self) -> bool:
        """Somebody has less than nothing: the books cannot be so."""
        return any(self.balance(account) < 0 for account in self.sides if account.startswith("customer:"))

    def as_of(self, number: int) -> dict[str, tuple[int, int]]:
        """Debits and credits of each account behind entry `number`."""
        sides: dict[str, tuple[int, int]] = {}
        for account, minor in (line for _, _, lines in self.entries[:number] for line in lines):
            sides[account] = added(sides.get(account, (0, 0)), minor)
        return sides


def added(sides: tuple[int, int], minor: int) -> tuple[int, int]:
    """Both sides with one line more."""
    return sides[0] + max(-minor, 0), sides[1] + max(minor, 0)


def lines_of(fact: Fact) -> tuple[Line, ...]:
    """Its lines, without those of nothing."""
    found = []
    for sign, name, account in ((text[0], *text[1:].split(" ")) for text in FACTS[fact.kind]):
        minor, currency = fact.amounts[name]
        found.append((f"{account.format_map(fact.names)}:{currency}", -minor if sign == "-" else minor))
    return tuple(line for line in found if line[1])


def totals(sides: Iterable[tuple[str, tuple[int, int]]]) -> dict[str, int]:
    """Debits less credits by currency."""
    found: Counter[str] = Counter()
    for account, (debited, credited) in sides:
        found[account.rpartition(":")[2]] += debited - credited
    return dict(found)


def _held(hold: Place) -> str:
    return f"customer:{hold.customer}:held:{hold.currency}"
