"""The proof of the books: clean books are clean, and whatever a superuser does to them is found by the check for it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable

import pytest
from aiokafka import AIOKafkaProducer

from contracts import topics
from services.kernel import book_audit, book_missing
from services.kernel.book_audit import audit
from services.kernel.book_check import Verdict, Verdicts
from services.kernel.book_fold import Place, folding
from services.kernel.operations import operating
from services.kernel.partition import partition_of
from services.kernel.progress import Progress
from services.ops_cli.app import run
from services.ops_cli.ledger_books import CHECKS
from services.ops_cli.ledger_books import books as target
from tests.integration.kernel.backends import make_topic
from tests.support.bookings import Books, books

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def place(new_database: Callable[[], str]) -> AsyncIterator[Books]:
    async with books(new_database()) as found:
        yield found


async def proof(place: Books, *names: str) -> Verdicts:
    return await audit(target(place.oncall, None, 1), list(names or CHECKS), lambda progress: None)


def words(found: Verdicts) -> dict[str, list[str]]:
    return {name: [each.what for each in verdict.examples] for name, verdict in found.of.items() if verdict.wrong}


async def test_an_empty_book_is_clean(place: Books) -> None:
    found = await proof(place)
    assert found.is_clean, words(found)


async def test_a_book_is_clean(place: Books) -> None:
    await place.grow(60)
    found = await proof(place)
    assert found.is_clean, words(found)
    assert (found.counts["entries"], found.counts["postings"], found.counts["events"]) == (240, 720, 240)
    assert found.of["L10b"].looked == 240
    assert found.of["L8"].looked == 60


async def test_a_book_under_traffic_is_clean_and_what_is_on_its_way_waits(place: Books) -> None:
    await place.grow(20)
    over = asyncio.Event()

    async def flow() -> None:
        while not over.is_set():
            await place.grow(3)

    flowing = asyncio.create_task(flow())
    try:
        seen = [await proof(place) for _ in range(5)]
    finally:
        over.set()
        await flowing
    assert [words(found) for found in seen] == [{}] * 5
    assert seen[0].counts["entries"] < seen[-1].counts["entries"]
    assert all(found.counts["events"] == found.counts["entries"] for found in seen), "not in one snapshot"
    await place.tell(2)
    found = await proof(place)
    assert found.is_clean, words(found)
    assert found.of["L10b"].waiting == 8


async def test_many_events_are_folded_by_several_processes(place: Books, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(book_audit, "ALONE_MAX", 10)
    monkeypatch.setattr(book_audit, "RANGE", 16)
    await place.grow(60)
    async with place.session() as session:
        await session.execute("ALTER TABLE posting DISABLE TRIGGER ALL")
        await session.execute("UPDATE posting SET amount_minor = amount_minor + 1 WHERE entry_seq % 60 = 0")
    told: list[Progress] = []
    found = await audit(target(place.oncall, None, 1), ["L10a", "L10b"], told.append)
    assert (found.of["L10a"].wrong, found.of["L10b"].wrong) == (8, 8)
    assert len(found.of["L10a"].examples) == 8
    last = [each for each in told if each.phase == "events"][-1]
    assert last.done == last.total >= 240


async def test_a_fact_that_the_ledger_went_past_is_lost_and_one_ahead_of_it_waits(
    place: Books, broker: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(book_missing, "PATIENCE_SECONDS", 0.3)
    fact = next(fact for fact in await place.tell(1) if fact.schema == "deposit")
    async with place.session() as session:
        await session.execute("TRUNCATE transfer.event; TRUNCATE payout.event")
    topic = topics.DEPOSIT.name
    await make_topic(broker, topic, 4, fresh=True)
    key = str(fact.cause.correlation_id).encode()
    at = partition_of(key, 4)
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    for _ in range(3):
        await producer.send_and_wait(topic, b"{}", key=key, partition=at)
    await producer.stop()

    async def stands_at(offset: int) -> Verdict:
        async with place.session() as session:
            await session.execute(POSITION, topic, at, offset)
        return (await audit(target(place.oncall, broker, 1), ["L10b"], lambda progress: None)).of["L10b"]

    behind = await stands_at(2)
    assert (behind.wrong, behind.waiting, behind.notes) == (0, 1, [])
    beyond = await stands_at(3)
    assert (beyond.wrong, beyond.waiting) == (1, 0)
    assert beyond.examples[0].id == str(fact.cause.event_id)
    away = await audit(target(place.oncall, "127.0.0.1:1", 1), ["L10b"], lambda progress: None)
    assert (away.of["L10b"].wrong, away.of["L10b"].waiting) == (0, 1)
    assert "cannot be asked" in away.of["L10b"].notes[0]


POSITION = """
    INSERT INTO consumer_offset (consumer, topic, epoch, partition, next_offset) VALUES ('ledger', $1, 1, $2, $3)
    ON CONFLICT (consumer, topic, epoch, partition) DO UPDATE SET next_offset = excluded.next_offset"""


@pytest.mark.parametrize(
    ("sql", "words"),
    [
        ("""INSERT INTO parked_event
                (consumer, topic, partition, "offset", stream_id, version, error, fingerprint, headers)
            SELECT 'ledger', 'corridor.deposit.events.v1', 0, 7, stream_id, 1, '', '', ''
            FROM deposit.event""", "parked"),
        ("INSERT INTO deposit.outbox_stuck (global_seq, topic) SELECT global_seq, '' FROM deposit.event", "published"),
        ("""INSERT INTO stream_cursor (stream_id, consumer, source, last_version, last_hash)
            SELECT stream_id, 'ledger', 'corridor.deposit.events.v1', 1, '' FROM deposit.event""", "has taken it"),
    ],
)  # fmt: skip
async def test_a_fact_that_will_not_come_by_itself_is_missing(place: Books, sql: str, words: str) -> None:
    await place.tell(1)
    async with place.session() as session:
        await session.execute(sql)
    found = (await proof(place, "L10b")).of["L10b"]
    assert (found.wrong, found.waiting) == (1, 3)
    assert words in found.examples[0].what


# -- the command


@pytest.fixture
def cli(
    place: Books, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> Callable[..., Awaitable[tuple[int, str]]]:
    monkeypatch.setenv("OPS_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("OPS_DATABASE_URL", place.oncall)

    async def call(*argv: str) -> tuple[int, str]:
        capsys.readouterr()
        code = await asyncio.to_thread(run, ["ledger", "verify", *argv])
        return code, capsys.readouterr().out

    return call


async def test_the_command_says_what_it_found_and_where_to_look(
    place: Books, cli: Callable[..., Awaitable[tuple[int, str]]], monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.grow(5)
    code, said = await cli("--json")
    found = json.loads(said)
    assert (code, found["right"], found["counts"]["postings"]) == (0, True, 60)
    assert [each["check"] for each in found["checks"]] == list(CHECKS)
    async with place.session() as session:
        await session.execute("ALTER TABLE posting DISABLE TRIGGER ALL")
        await session.execute("UPDATE posting SET amount_minor = amount_minor + 1 WHERE entry_seq = 2 AND line = 1")
        transfer = await session.fetchval("SELECT transfer_id FROM entry WHERE entry_seq = 2")
    code, said = await cli("--only", "l1,L9,L10", "--json")
    found = json.loads(said)
    assert (code, found["right"]) == (6, False)
    assert {each["check"]: each["wrong"] for each in found["checks"]} == {"L1": 1, "L9": 1, "L10a": 1, "L10b": 1}
    assert found["checks"][0]["examples"][0]["see"] == f"ops-cli ledger entries {transfer}"
    code, said = await cli()
    assert code == 6
    assert "the books are wrong" in said
    assert (await cli("--only", "L1,nothing"))[0] == 2
    monkeypatch.setenv("OPS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/corridor")
    assert (await cli())[0] == 10
    monkeypatch.delenv("OPS_DATABASE_URL")
    assert (await cli())[0] == 3


async def test_what_is_folded_is_of_the_snapshot_however_late_it_is_folded(place: Books) -> None:
    await place.grow(2)
    dsn = place.oncall
    async with operating(dsn, "ledger") as session, session.connection.transaction(isolation="repeatable_read"):
        snapshot = await session.connection.fetchval("SELECT pg_export_snapshot()")
        await place.grow(2)
        where = Place(dsn=dsn, schema="ledger", snapshot=snapshot, judge=target(dsn, None, 1).judge)
        async with folding(where) as fold:
            judged = await fold.range(*await fold.bounds())
    assert (judged.events, judged.findings) == (8, [])
