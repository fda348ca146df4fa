"""Movements, lines, and a sentence about what comes of them."""

from __future__ import annotations

from datetime import date, timedelta
from typing import Any

from contracts.recon.v1 import LineDetail
from services.kernel.money import Money, iso4217
from services.reconciliation.domain.matching.causes import Cause
from services.reconciliation.domain.matching.passes import Result, match
from services.reconciliation.domain.matching.policy import FeePolicy, Policies, Window
from services.reconciliation.domain.matching.shape import Line, Match, Movement, Pass
from services.reconciliation.domain.matching.undo import Undone

MONDAY = date(2026, 11, 23)
EUR, GBP = iso4217("EUR"), iso4217("GBP")
FEE = FeePolicy(most=Money(500, EUR), basis_points=300, own_line=True, codes=("CHRG",))
POLICIES = Policies(windows={}, fees={("bank", EUR): FEE}, default=Window())


def eur(minor: int) -> Money:
    return Money(minor, EUR)


def moved(key: str, minor: int = 10_000, *, days: int = 0, ref: str | None = None, **other: Any) -> Movement:
    """`days` after MONDAY; `ref`: our reference."""
    fields: dict[str, Any] = {"partner": "bank", "account": "A", "amount": eur(minor), "side": "credit", **other}
    names = (ref,) if ref else ()
    return Movement(key=key, on=MONDAY + timedelta(days=days), our_references=names, **fields)


def booked(
    key: str, minor: int = 10_000, *, days: int | None = 0, ref: str | None = None, own: str | None = None, **other: Any
) -> Line:
    """`own`: the partner's reference of the payment; `days` None: a line without a date."""
    fields: dict[str, Any] = {"partner": "bank", "account": "A", "amount": eur(minor), "side": "credit", **other}
    return Line(
        key=key, on=None if days is None else MONDAY + timedelta(days=days),
        our_references=(ref,) if ref else (), partner_references=(own,) if own else (), **fields,
    )  # fmt: skip


def part(ref: str, minor: int) -> LineDetail:
    return LineDetail(end_to_end_id=ref, our_reference=None, amount=eur(minor))


class Books:
    """given(...).against(...).matched(...)"""

    def __init__(self, *movements: Movement) -> None:
        self.movements = movements
        self.refused: tuple[Undone, ...] = ()
        self.result: Result

    def undone(self, *cases: Match) -> Books:
        self.refused = tuple(
            Undone(match_id=str(m.match_id), movements=m.movements, lines=m.lines, reason="not ours", undone_by="anna")
            for m in cases
        )
        return self

    def against(self, *lines: Line) -> Books:
        self.result = match(self.movements, lines, POLICIES, self.refused)
        return self

    def matched(self, found_by: Pass, movements: str, lines: str) -> Match:
        """The only match, by this pass, of these keys (split at spaces); nothing else is left out of it."""
        (made,) = self.result.matches
        assert (made.found_by, set(made.movements), set(made.lines)) == (
            found_by, set(movements.split()), set(lines.split()),
        )  # fmt: skip
        return made

    def found(self) -> set[tuple[Pass, str, str]]:
        return {(m.found_by, " ".join(sorted(m.movements)), " ".join(sorted(m.lines))) for m in self.result.matches}

    def differs(self) -> set[tuple[Cause, str, str]]:
        return {(d.cause, " ".join(sorted(d.movements)), " ".join(sorted(d.lines))) for d in self.result.differences}

    def nothing_matched(self) -> Books:
        assert self.result.matches == ()
        return self


def given(*movements: Movement) -> Books:
    return Books(*movements)
