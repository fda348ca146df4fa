"""Whatever a superuser does to the books, with every trigger off, is found by the checks for it and by no other."""

from __future__ import annotations

import re
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from contracts.ledger.v1 import EntryPosted, HoldVoided, Posting, Side
from services.kernel.book_audit import audit
from services.kernel.book_check import Verdicts
from services.kernel.codec import chain_hash, instant
from services.kernel.decider import Ask, Meta, Unit
from services.kernel.ids import derive
from services.kernel.money import Money, iso4217
from services.ledger.domain.adjustments import ApproveAdjustment, ProposeAdjustment
from services.ledger.domain.holds import PlaceHold, PostHold, VoidHold
from services.ops_cli.ledger_books import CHECKS
from services.ops_cli.ledger_books import books as target
from tests.support.bookings import BEGAN, CUSTOMERS, GBP, Books, books

pytestmark = pytest.mark.timeout(300)
CUSTOMER = CUSTOMERS[400]
AVAILABLE, HELD = f"customer:{CUSTOMER}:available:GBP", f"customer:{CUSTOMER}:held:GBP"
TABLES = (
    "event",
    "account",
    "entry",
    "posting",
    "balance",
    "book_head",
    "chart",
    "block",
    "balance_at",
    "stream_state",
)
Tamper = str | Callable[[Books], Awaitable[None]]


def line(side: Side, account: str, minor: int) -> Posting:
    return Posting(account=account, side=side, amount=Money(minor, iso4217(account[-3:])))


async def hold(place: Books, hold_id: UUID, minor: int) -> None:
    wish = PlaceHold(
        hold_id=hold_id, customer_id=CUSTOMER, amount=Money(minor, GBP), cause_id=uuid4(), transfer_id=None,
        caused_at=BEGAN, due_at=BEGAN,
    )  # fmt: skip
    await place.ask([Unit((Ask(hold_id, wish, reads=(AVAILABLE,)),), Meta("corridor", "test", hold_id))])


async def wish(place: Books, stream_id: UUID, command: Any, *reads: str) -> None:
    await place.ask([Unit((Ask(stream_id, command, reads=reads),), Meta("corridor", "test", stream_id))])


@pytest.fixture
async def place(new_database: Callable[[], str]) -> AsyncIterator[Books]:
    """Twenty transfers of which ten are settled in two blocks, holds in each state, and an adjustment."""
    async with books(new_database()) as found:
        await found.grow(10)
        await found.settle(20)
        await found.settle(40)
        facts = await found.tell(10)
        for batch in (facts[:30], facts[30:]):
            await found.hear(batch, size=5)
        given = uuid4()
        lines = (line("debit", "loss:funding:GBP", 900), line("credit", AVAILABLE, 900))
        await wish(found, given, ProposeAdjustment(
            adjustment_id=given, lines=lines, transfer_id=None, reason="goodwill", evidence="ticket 7",
            proposed_by="ann", due_at=BEGAN,
        ))  # fmt: skip
        yes = ApproveAdjustment(adjustment_id=given, approved_by="bob", reason="seen")
        await wish(found, given, yes, AVAILABLE, "loss:funding:GBP")
        for number, minor in enumerate((100, 200, 300)):
            await hold(found, UUID(int=number + 1), minor)
        await wish(found, UUID(int=1), PostHold(hold_id=UUID(int=1), minor=40, cause_id=uuid4()))
        await wish(found, UUID(int=2), VoidHold(hold_id=UUID(int=2), cause_id=uuid4()))
        yield found


async def proof(place: Books, *names: str) -> Verdicts:
    return await audit(target(place.oncall, None, 1), list(names or CHECKS), lambda progress: None)


def words(found: Verdicts) -> dict[str, list[str]]:
    return {name: [each.what for each in verdict.examples] for name, verdict in found.of.items() if verdict.wrong}


# -- what is forged well


def entry(*lines: Posting, kind: str = "deposit.observed", cause: UUID | None = None) -> EntryPosted:
    cause = cause or uuid4()
    return EntryPosted(
        entry_id=derive("entry", cause, kind), kind=kind, cause_id=cause, transfer_id=None, lines=lines,
        caused_at=BEGAN, posted_at=BEGAN,
    )  # fmt: skip


STOLEN = (line("debit", "suspense:deposits:GBP", 70), line("credit", "revenue:fees:GBP", 70))


async def forge_rows(place: Books) -> None:
    """An entry without an event."""
    await place.book(entry(*STOLEN))


async def forge_entry(place: Books) -> None:
    """An entry with its event, of a fact that never was."""
    posted = entry(*STOLEN)
    await place.say(posted.entry_id, posted)
    await place.book(posted)


async def forge_second(place: Books) -> None:
    """The same fact once more, as an entry of another id."""
    async with place.session() as session:
        cause = await session.fetchval("SELECT cause_id FROM entry WHERE entry_seq = 41")
    await place.book(replace(entry(*STOLEN, cause=cause), entry_id=uuid4()))


async def void_twice(place: Books) -> None:
    """A hold that was posted is given back, too; with its entry, and money of another hold."""
    hold_id = UUID(int=1)
    lines = (line("debit", HELD, 100), line("credit", AVAILABLE, 100))
    said = HoldVoided(
        hold_id=hold_id, customer_id=CUSTOMER, entry_id=derive("entry", hold_id, "hold.voided"), kind="hold.voided",
        cause_id=uuid4(), transfer_id=None, lines=lines, caused_at=BEGAN, posted_at=BEGAN,
    )  # fmt: skip
    await place.say(hold_id, said)
    await place.book(said)


async def restate(place: Books, *, fact_too: bool) -> None:
    """A payout's entry says one santim more everywhere in the ledger: lines, balances, its own event, all hashed."""
    async with place.session() as session:
        ((seq, entry_id, cause),) = await session.fetch(LAST_PAYOUT)
        await session.execute(ONE_MORE, seq)
        await session.execute(ONE_MORE_IN_BALANCES, seq)
        await rewrite(session, "ledger", await session.fetchrow("SELECT * FROM event WHERE stream_id = $1", entry_id))
        if fact_too:
            found = await session.fetchrow("SELECT * FROM transfer.event WHERE event_id = $1", cause)
            await rewrite(session, "transfer", found)


LAST_PAYOUT = """
    SELECT entry_seq, entry_id, cause_id FROM entry WHERE kind = 'transfer.payout_initiated'
    ORDER BY entry_seq DESC LIMIT 1"""
ONE_MORE = "UPDATE posting SET amount_minor = amount_minor + 1 WHERE entry_seq = $1 AND currency = 'ETB'"
ONE_MORE_IN_BALANCES = """
    UPDATE balance b SET debit_minor = debit_minor + (p.side = 'debit')::int,
                         credit_minor = credit_minor + (p.side = 'credit')::int
    FROM posting p WHERE p.entry_seq = $1 AND p.currency = 'ETB' AND b.account_id = p.account_id"""
REWRITE = "UPDATE {schema}.event SET data = $1, hash = $2 WHERE event_id = $3"
BIRR = re.compile(rb'"minor":(\d+),"currency":"ETB"')


async def rewrite(session: Any, schema: str, event: Any) -> None:
    """One more in each amount of birr, with the hash that fits."""
    data = BIRR.sub(lambda found: b'"minor":%d,"currency":"ETB"' % (int(found[1]) + 1), event["data"])
    assert data != event["data"]
    made = chain_hash(
        event["prev_hash"], event["stream_id"].bytes, event["version"], event["event_id"].bytes, event["event_type"],
        instant(event["occurred_at"]), event["meta"], data,
    )  # fmt: skip
    await session.execute(REWRITE.format(schema=schema), data, made, event["event_id"])
    heads = "UPDATE {schema}.stream_state SET hash = $1 WHERE stream_id = $2"
    await session.execute(heads.format(schema=schema), made, event["stream_id"])


async def restate_book(place: Books) -> None:
    await restate(place, fact_too=False)


async def restate_everything(place: Books) -> None:
    await restate(place, fact_too=True)


UNDO = """
    UPDATE balance b SET debit_minor = b.debit_minor - p.d, credit_minor = b.credit_minor - p.c
    FROM (SELECT account_id, coalesce(sum(amount_minor) FILTER (WHERE side = 'debit'), 0) AS d,
                 coalesce(sum(amount_minor) FILTER (WHERE side = 'credit'), 0) AS c
          FROM posting WHERE entry_seq = 41 GROUP BY account_id) p WHERE b.account_id = p.account_id"""
AWAY = "DELETE FROM posting WHERE entry_seq = 41; DELETE FROM entry WHERE entry_seq = 41"
OWN_EVENT = "FROM event WHERE stream_id = (SELECT entry_id FROM entry WHERE entry_seq = 41)"
OWN_HEAD = "FROM stream_state WHERE stream_id = (SELECT entry_id FROM entry WHERE entry_seq = 41)"
LOOSE_LINES = """
    INSERT INTO posting (entry_seq, line, account_id, currency, side, amount_minor)
    SELECT -7, line, account_id, currency, side, amount_minor FROM posting WHERE entry_seq = 41;
    UPDATE balance b SET debit_minor = debit_minor + CASE p.side WHEN 'debit' THEN amount_minor ELSE 0 END,
                         credit_minor = credit_minor + CASE p.side WHEN 'credit' THEN amount_minor ELSE 0 END
    FROM posting p WHERE p.entry_seq = -7 AND p.account_id = b.account_id"""
# a customer's money is used before it came: the numbers of two entries of one transfer, the other way round
SWAP = """
    CREATE TEMP TABLE swapped AS
        SELECT a.entry_seq AS one, b.entry_seq AS other FROM entry a JOIN entry b USING (transfer_id)
        WHERE a.kind = 'transfer.funding_confirmed' AND b.kind = 'transfer.payout_initiated' AND a.entry_seq > 40
        ORDER BY 1 LIMIT 1;
    UPDATE entry SET entry_seq = -1 FROM swapped WHERE entry_seq = one;
    UPDATE entry SET entry_seq = one FROM swapped WHERE entry_seq = other;
    UPDATE entry SET entry_seq = other FROM swapped WHERE entry_seq = -1;
    UPDATE posting SET entry_seq = -1 FROM swapped WHERE entry_seq = one;
    UPDATE posting SET entry_seq = one FROM swapped WHERE entry_seq = other;
    UPDATE posting SET entry_seq = other FROM swapped WHERE entry_seq = -1"""
# what a superuser does -> exactly these checks say so. Entries 1 to 40 are settled.
TAMPERS: dict[str, tuple[Tamper, set[str]]] = {
    "an amount": (
        "UPDATE posting SET amount_minor = amount_minor + 1 WHERE entry_seq = 45 AND line = 1",
        {"L1", "L2", "L9", "L10a", "L10b"}),
    "an amount, on both sides": (
        """UPDATE posting SET amount_minor = amount_minor + 1 WHERE entry_seq = 41;
           UPDATE balance SET debit_minor = debit_minor + 1 WHERE account_id = 'safeguarding:collector:GBP';
           UPDATE balance SET credit_minor = credit_minor + 1 WHERE account_id = 'suspense:deposits:GBP'""",
        {"L10a", "L10b"}),
    "an amount, with its event": (restate_book, {"L10b"}),
    "an amount, with its event and its fact": (restate_everything, {"L8"}),
    "a side": (
        "UPDATE posting SET side = 'debit' WHERE entry_seq = 45 AND line = 2", {"L1", "L2", "L9", "L10a", "L10b"}),
    "a currency": ("UPDATE posting SET currency = 'USD' WHERE entry_seq = 45", {"L3", "L10a", "L10b"}),
    "an account": (
        "UPDATE posting SET account_id = 'suspense:payouts:GBP' WHERE entry_seq = 41 AND line = 2",
        {"L3", "L9", "L10a", "L10b"}),
    "no line": ("DELETE FROM posting WHERE entry_seq = 41 AND line = 2", {"L1", "L2", "L3", "L9", "L10a", "L10b"}),
    "lines of no entry": (LOOSE_LINES, {"L3", "L10a"}),
    "an entry away": (f"{UNDO}; {AWAY}", {"numbers", "L10a", "L10b"}),
    "an entry away, with its event": (f"DELETE {OWN_EVENT}; DELETE {OWN_HEAD}; {UNDO}; {AWAY}", {"numbers", "L10b"}),
    "a number": (
        """UPDATE entry SET entry_seq = 9000 WHERE entry_seq = 41;
           UPDATE posting SET entry_seq = 9000 WHERE entry_seq = 41""",
        {"numbers", "L10a"}),
    "the order": (SWAP, {"L4", "L10a"}),
    "the head": ("UPDATE book_head SET entry_seq = entry_seq + 1", {"numbers"}),
    "no head": ("DELETE FROM book_head", {"numbers"}),
    "an entry without an event": (forge_rows, {"L10a"}),
    "an entry of no fact": (forge_entry, {"L10b"}),
    "a second entry of a fact": (forge_second, {"L7", "L10a"}),
    "a hold resolved twice": (void_twice, {"L5"}),
    "when an entry was posted": (
        "UPDATE entry SET posted_at = posted_at + interval '1 s' WHERE entry_seq = 42", {"L10a"}),
    "whose an entry is": (
        "UPDATE entry SET transfer_id = gen_random_uuid() WHERE entry_seq = 41", {"L10a", "L10b"}),
    "an event of the ledger": (
        """UPDATE event SET occurred_at = occurred_at + interval '1 s'
           WHERE stream_id = (SELECT entry_id FROM entry WHERE entry_seq = 41)""",
        {"L10a"}),
    "an event of the ledger away": (f"DELETE {OWN_EVENT}", {"L10a"}),
    "the last event of a hold away": (
        "DELETE FROM event WHERE stream_id = '00000000-0000-0000-0000-000000000002' AND version = 2", {"L5", "L10a"}),
    "a fact": ("UPDATE transfer.event SET occurred_at = occurred_at + interval '1 s' WHERE version = 2", {"L10b"}),
    "a fact away": (
        """DELETE FROM transfer.event WHERE event_id =
               (SELECT cause_id FROM entry WHERE kind = 'transfer.funding_confirmed' LIMIT 1)""",
        {"L10b"}),
    "a settled entry": ("UPDATE entry SET posted_at = posted_at + interval '1 s' WHERE entry_seq = 7", {"L6", "L10a"}),
    "the digest of a block": ("UPDATE block SET digest = sha256('x') WHERE number = 1", {"L6"}),
    "a block away": ("DELETE FROM block WHERE number = 2", {"L6"}),
    "a balance of then": ("UPDATE balance_at SET debit_minor = debit_minor + 1 WHERE account_id LIKE 'safe%'", {"L6"}),
    "a balance": ("UPDATE balance SET credit_minor = credit_minor + 5 WHERE account_id = 'revenue:fees:GBP'", {"L9"}),
    "no balance": ("DELETE FROM balance WHERE account_id = 'revenue:fees:GBP'", {"L9"}),
    "protection of a balance": (
        "UPDATE balance SET protected = false WHERE account_id LIKE 'customer:%:held:GBP'", {"chart"}),
    "a class": ("UPDATE account SET class = 'asset' WHERE account_id = 'revenue:fees:GBP'", {"chart"}),
    "the chart": ("UPDATE chart SET protected = false WHERE kind = 'customer'", {"chart"}),
    "when an account was opened": (
        "UPDATE account SET opened_at = now() WHERE account_id = 'revenue:fees:GBP'", {"L10a"}),
}  # fmt: skip


@asynccontextmanager
async def put_back(place: Books) -> AsyncIterator[None]:
    """The tables afterwards as they were."""
    async with place.session() as session:
        try:
            yield
        finally:
            for name in TABLES:
                overriding = "OVERRIDING SYSTEM VALUE " if name == "event" else ""
                await session.execute(f"TRUNCATE {name} CASCADE")
                await session.execute(f"INSERT INTO {name} {overriding}SELECT * FROM kept.{name}")  # noqa: S608
            await session.execute(
                "TRUNCATE transfer.event; INSERT INTO transfer.event OVERRIDING SYSTEM VALUE SELECT * FROM kept.facts"
            )


async def unguard(place: Books) -> None:
    """What a superuser can take away, so that nothing but the proof is left; and a copy of everything."""
    async with place.session() as session:
        for name in (*(f"ledger.{each}" for each in TABLES), "transfer.event"):
            await session.execute(f"ALTER TABLE {name} DISABLE TRIGGER ALL")
        await session.execute(
            """ALTER TABLE entry DROP CONSTRAINT entry_cause_id_kind_key;
               ALTER TABLE account DROP CONSTRAINT account_kind_fkey; CREATE SCHEMA kept"""
        )
        for name in TABLES:
            await session.execute(f"CREATE TABLE kept.{name} AS TABLE {name}")
        await session.execute("CREATE TABLE kept.facts AS TABLE transfer.event")


async def test_each_way_to_alter_the_books_is_found_by_its_checks_alone(place: Books) -> None:
    await unguard(place)
    found = await proof(place)
    assert found.is_clean, words(found)
    assert found.of["L6"].looked == 2
    missed = {}
    for name, (tamper, checks) in TAMPERS.items():
        async with put_back(place):
            if isinstance(tamper, str):
                async with place.session() as session:
                    await session.execute(tamper)
            else:
                await tamper(place)
            found = await proof(place)
            if words(found).keys() != checks:
                missed[name] = (sorted(checks), words(found))
        assert (await proof(place)).is_clean, name
    assert not missed, missed
