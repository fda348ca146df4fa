"""Statements of a bank of the tests, and a process that takes them."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import replace
from datetime import date
from pathlib import Path
from uuid import UUID

from contracts.recon.v1 import StatementBalance
from services.kernel.decider import Meta
from services.kernel.engine import Engine
from services.kernel.event_store import PostgresStore, connector
from services.kernel.ids import new_id
from services.kernel.money import Money, iso4217
from services.reconciliation import handlers
from services.reconciliation.adapters.statements.files import Files
from services.reconciliation.adapters.statements.maps import Maps
from services.reconciliation.domain.statements.shape import ParkedLine, Statement, StatementLine
from services.reconciliation.handlers.statements import Intake
from services.reconciliation.ports import Read
from services.reconciliation.projections import found
from services.reconciliation.projections import statements as tables
from tests.integration.reconciliation.books import TENANT, World

MAPS = Path(__file__).parents[3] / "deploy" / "statement-maps.json"
GBP = iso4217("GBP")
ACCOUNT = "GB33BUKB20201555555555"
META = Meta(TENANT, "olga", UUID(int=9), None, "statement of the day")
DAY = date(2026, 3, 2)


def balance(minor: int) -> StatementBalance:
    return StatementBalance(side="debit" if minor < 0 else "credit", amount=Money(abs(minor), GBP))


def line(reference: str, minor: int = 100_00, day: date = DAY) -> StatementLine:
    return StatementLine(
        position=f"entry {reference}", entry_reference=reference, reference_by="servicer", booking_date=day,
        value_date=day, amount=Money(abs(minor), GBP), side="debit" if minor < 0 else "credit",
        raw=f"{reference} {minor}",
    )  # fmt: skip


def statement(
    account: str, lines: Sequence[StatementLine], *, reference: str = "S1", opening: int | None = 0,
    closing: int | None = None, day: date = DAY, sequence: int | None = None, parked: Sequence[ParkedLine] = (),
) -> Statement:  # fmt: skip
    """One that adds up, unless `closing` says otherwise."""
    net = sum(each.amount.minor if each.side == "credit" else -each.amount.minor for each in lines)
    return Statement(
        kind="statement", source="csv", message=None, partner="sandbox-bank", account=account, reference=reference,
        currency="GBP", sequence=sequence, period_from=day, period_to=day,
        opening=None if opening is None else balance(opening),
        closing=balance(closing if closing is not None else (opening or 0) + net) if opening is not None else None,
        lines=tuple(lines), parked=tuple(parked),
    )  # fmt: skip


def read(*statements: Statement, sha256: str = "ab" * 32) -> Read:
    return Read(sha256, statements)


@asynccontextmanager
async def intake(world: World) -> AsyncIterator[Intake]:
    """As one process would have it."""
    store = PostgresStore(connector(world.dsn, "recon", "test statements"), (*found.PARTS, *tables.PARTS))
    engine = Engine(
        store, handlers.DECIDERS, "corridor.recon.events.v1", new_id, also_of={**found.ALSO_OF, **tables.ALSO_OF}
    )
    files = Files(Maps.of_file(str(MAPS)), world.book)
    try:
        yield Intake(files, engine, connector(world.dsn, "recon", "test judged"), TENANT)
    finally:
        await store.drop()


async def rows(world: World, account: str) -> list[tuple[str, int]]:
    """(reference, signed minor units) of all lines of an account."""
    found_ = await world.sql(
        "SELECT entry_reference, CASE side WHEN 'credit' THEN amount_minor ELSE -amount_minor END FROM statement_line "
        "WHERE account = $1 ORDER BY seq",
        account,
    )
    return [(row[0], row[1]) for row in found_]


async def parked(world: World, account: str) -> list[tuple[str, str]]:
    """(code, position) of all parked lines of an account."""
    found_ = await world.sql(
        "SELECT p.code, p.position FROM statement_line_parked p JOIN statement s USING (statement_id) "
        "WHERE s.account = $1 AND s.head = 1 ORDER BY p.seq",
        account,
    )
    return [(row[0], row[1]) for row in found_]


async def open_issues(world: World, account: str) -> list[tuple[str, str]]:
    """(code, details) of what is open about statements of an account."""
    found_ = await world.sql(
        "SELECT code, details FROM reconciliation_issue WHERE cleared_at IS NULL AND subject LIKE '%' || $1 || '%' "
        "ORDER BY code, seq",
        account,
    )
    return [(row[0], row[1]) for row in found_]


def again(said: Statement, *changed: StatementLine) -> Statement:
    """The same statement with other lines of the same references."""
    new = {each.entry_reference: each for each in changed}
    return replace(said, lines=tuple(new.get(each.entry_reference, each) for each in said.lines))
