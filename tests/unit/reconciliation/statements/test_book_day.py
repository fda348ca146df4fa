"""A day of the book that a partner shows, as statements: one for each account and currency."""

from __future__ import annotations

from collections.abc import AsyncIterator
from dataclasses import dataclass, replace
from datetime import UTC, date, datetime, timedelta
from uuid import UUID

import pytest

from services.reconciliation.adapters.statements import book
from services.reconciliation.domain.statements.checks import Head, difference, gap
from services.reconciliation.domain.statements.shape import BadFile, Statement, signed
from services.reconciliation.ports import Collected, Page, Paid

NOON = datetime(2026, 3, 2, 12, tzinfo=UTC)
DAY = date(2026, 3, 2)


@dataclass
class Shown:
    """What the book has, an entry a page."""

    entries: list[Paid | Collected]

    async def pages(self) -> AsyncIterator[Page]:
        for number, each in enumerate(self.entries, start=1):
            paid = (each,) if isinstance(each, Paid) else ()
            collected = (each,) if isinstance(each, Collected) else ()
            yield Page(since=number - 1, until=number, last=number == len(self.entries), paid=paid, collected=collected)


def collected(seq: int, minor: int, at: datetime = NOON, partner: str = "bank") -> Collected:
    return Collected(
        seq=seq, partner=partner, reference=f"D{seq}", route_id=UUID(int=seq), amount_minor=minor, currency="GBP",
        booked_at=at,
    )  # fmt: skip


def paid(seq: int, minor: int, at: datetime = NOON, status: str = "ACSC") -> Paid:
    return Paid(
        seq=seq, payment_id=f"P{seq}", transfer_id=UUID(int=seq), amount_minor=minor, currency="ETB", status=status,
        accepted_at=at, settled_at=at if status == "ACSC" else None,
    )  # fmt: skip


ENTRIES: list[Paid | Collected] = [
    collected(1, 50_00, NOON - timedelta(days=1)), paid(2, 7_00, NOON - timedelta(days=1)), collected(3, 100_00),
    paid(4, 9_00), paid(5, 1_00, status="ACSP"), collected(6, 1, partner="another"),
    collected(7, 2_00, NOON + timedelta(days=1)),
]  # fmt: skip


def heads_of(said: tuple[Statement, ...]) -> Head:
    one = next(each for each in said if "collected" in each.account)
    return Head(
        statement_id=UUID(int=1), partner=one.partner, account=one.account, reference=one.reference,
        currency=one.currency, sequence=None, period_from=one.period_from, period_to=one.period_to,
        opening=one.opening, closing=one.closing,
    )  # fmt: skip


async def test_a_day_has_its_entries_and_opens_with_all_that_was_before() -> None:
    said = {each.account: each for each in await book.read(Shown(ENTRIES), "bank", DAY)}
    assert set(said) == {"bank collected GBP", "bank paid ETB"}
    money_in, money_out = said["bank collected GBP"], said["bank paid ETB"]
    assert money_in.opening and money_in.closing and money_out.opening and money_out.closing  # noqa: PT018 - for mypy
    assert (signed(money_in.opening), signed(money_in.closing)) == (50_00, 150_00)
    assert (signed(money_out.opening), signed(money_out.closing)) == (-7_00, -16_00)
    assert difference(money_out.opening, money_out.closing, -9_00) == 0
    (line,) = money_out.lines
    assert (line.entry_reference, line.side, line.end_to_end_id) == ("4", "debit", "P4")
    assert line.our_reference == str(UUID(int=4))
    assert (money_in.lines[0].references, money_out.not_booked) == (("D3",), 1)


async def test_the_next_day_opens_with_what_the_day_closed_with() -> None:
    days = [heads_of(await book.read(Shown(ENTRIES), "bank", DAY + timedelta(days=n))) for n in (0, 1)]
    assert list(gap(days[0], days[1], "every")) == []


async def test_a_day_without_an_entry_and_a_currency_that_there_is_not_are_said() -> None:
    with pytest.raises(BadFile, match="nothing"):
        await book.read(Shown(ENTRIES), "bank", date(2026, 1, 1))
    strange = [replace(collected(1, 5), currency="XXZ")]
    with pytest.raises(BadFile, match="currency"):
        await book.read(Shown(list(strange)), "bank", DAY)
