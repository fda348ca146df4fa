"""What is stuck, on a real database and broker, with the role of the on-call: every state and every queue once."""

from __future__ import annotations

import asyncio
import json
from collections import deque
from collections.abc import Iterator, Sequence
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any, NamedTuple
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from contracts import topics
from scripts.contracts import golden
from services.kernel.codec import StateCodec
from services.kernel.migrations.run import ONCALL
from services.ops_cli import catalog
from services.ops_cli.app import run
from services.ops_cli.stuck import streams
from services.ops_cli.stuck.findings import Report
from services.ops_cli.stuck.look import Wanted, look
from services.ops_cli.stuck.machines import Machine, machines
from services.ops_cli.stuck.rules import RULES, Wait
from services.review.domain.reasons import Reason
from services.review.domain.sla import SLA
from tests.integration.kernel.backends import make_topic

pytestmark = pytest.mark.timeout(240)

LONG_AGO = datetime(2001, 1, 1, tzinfo=UTC)
FAR = datetime(2100, 1, 1, tzinfo=UTC)
EVENTS = {type(event): event for event in golden.EVENTS}
QUEUES = {"outbox", "outbox_stuck", "parked", "side_effect", "rebuild"}


class Example(NamedTuple):
    """A state that events lead to, and whether it waits."""

    machine: Machine
    state: Any
    waits: bool


def examples(machine: Machine) -> Iterator[Example]:
    """Each stage, waiting and at rest, that the example events lead to by the table of transitions."""
    (decider,) = (each for each in catalog.deciders(machine.service) if each.category == machine.category)
    ahead: deque[Any] = deque([None])
    known: set[tuple[type, bool]] = set()
    while ahead:
        before = ahead.popleft()
        for event in {step[1] for step in machine.steps if step[0] == getattr(before, "state", "-")}:
            state = evolved(decider, before, event)
            key = type(state), waits(state)
            if state is not None and key not in known:
                known.add(key)
                ahead.append(state)
                yield Example(machine, state, key[1])


def evolved(decider: Any, before: Any, event: Any) -> Any:
    try:
        return decider.evolve(before, EVENTS[event])
    except AssertionError:  # the table goes by the state, and two stages may share one
        return None


def waits(state: Any) -> bool:
    rule = RULES.get(type(state))
    if not isinstance(rule, Wait):
        return False
    return not rule.rests_with or rule.rests_with not in StateCodec((type(state),)).encode(state)[1]


EXAMPLES = [example for machine in machines() for example in examples(machine)]


def oncall(dsn: str) -> str:
    return f"{dsn}?role={ONCALL}"


def wanted(dsn: str, **more: Any) -> Wanted:
    return Wanted(**{"dsn": oncall(dsn), "bootstrap": None, "most": 1_000} | more)


async def execute(dsn: str, schema: str, *statements: tuple[str, Sequence[Any]]) -> None:
    connection = await asyncpg.connect(dsn, server_settings={"search_path": schema})
    try:
        for sql, values in statements:
            await connection.execute(sql, *values)
    finally:
        await connection.close()


async def store(dsn: str, example: Example, changed_at: datetime) -> UUID:
    """A stream in that state."""
    named = uuid4()
    stage, data = StateCodec((type(example.state),)).encode(example.state)
    sql = """INSERT INTO stream_state (stream_id, tenant, category, record_key, version, hash, stage, state, fold,
                                       changed_at)
             VALUES ($1, 'corridor', $2, $1, 1, '', $3, $4, 1, $5)"""
    values = (named, example.machine.category, stage, data, changed_at)
    await execute(dsn, catalog.SCHEMA_OF[example.machine.service], (sql, values))
    return named


def unread(report: Report) -> set[str]:
    return {each["check"] for each in report.not_checked}


def items(report: Report) -> dict[str, dict[str, Any]]:
    return {item["id"]: item for item in report.content()["items"]}


def test_the_examples_are_every_state_that_is_not_an_end() -> None:
    reached = {type(each.state) for each in EXAMPLES}
    assert {stage for each in machines() for stage in each.unfinished()} - reached == set()
    waiting = {type(each.state) for each in EXAMPLES if each.waits}
    assert {stage for stage, rule in RULES.items() if isinstance(rule, Wait)} - waiting == set()


async def test_every_state_that_waits_is_stuck_once_its_time_is_over_and_no_other_is(database: str) -> None:
    named = {await store(database, each, LONG_AGO): each for each in EXAMPLES}
    report = await look(wanted(database, at=FAR))
    assert unread(report) == {"lag of consumers"}
    found = items(report)
    assert set(found) == {str(name) for name, each in named.items() if each.waits}
    for name, each in named.items():
        if each.waits:
            item = found[str(name)]
            assert (item["type"], item["state"]) == (each.machine.category, each.state.state)
            assert item["cause"]
            assert item["age_seconds"] > item["limit_seconds"]
    assert report.waiting.total() == len(found)
    assert unread(await look(wanted(database, at=LONG_AGO))) == {"lag of consumers"}
    assert items(await look(wanted(database, at=LONG_AGO))) == {}


EVENT = """INSERT INTO event (stream_id, version, event_id, event_type, schema_version, record_key, data, meta,
                              occurred_at, recorded_at, prev_hash, hash)
           VALUES ($1, 1, $2, 'corridor.transfer.opened.v1', 1, $1, '{}', '{}', $3, $3, '', '')"""
AFTER_EVENT = "(SELECT max(global_seq) FROM event)"


async def fill_queues(dsn: str, schema: str, at: datetime) -> dict[str, str]:
    """One row that waits since `at` in each queue of a schema; its type by its id."""
    stream, first, second, effect = (uuid4() for _ in range(4))
    seq = f"INSERT INTO outbox SELECT {AFTER_EVENT}, 'a topic', ARRAY[{AFTER_EVENT}]"
    stuck = f"INSERT INTO outbox_stuck SELECT {AFTER_EVENT}, 'a topic', $1"
    parked = """INSERT INTO parked_event (consumer, topic, partition, "offset", stream_id, version, event_type, error,
                                          fingerprint, headers, parked_at, resolved_at)
                VALUES ('x', 'a topic', 0, $1, $2, 1, 'corridor.x.y.v1', 'KeyError: a secret', 'f', '', $3, $4)"""
    side = """INSERT INTO side_effect (effect_id, stream_id, kind, name, due_at, category, tenant, correlation_id)
              VALUES ($1, $2, 'wake', 'expiry', $3, 'transfer', 'corridor', $2)"""
    rebuild = "INSERT INTO projection_registry VALUES ('jars', 2, 'building', '{}', $1)"
    parked_stream = uuid4()
    await execute(
        dsn, schema, (EVENT, (stream, first, at)), (seq, ()), (EVENT, (uuid4(), second, at)), (stuck, (at,)),
        (parked, (1, parked_stream, at, None)), (parked, (2, parked_stream, at, None)),
        (parked, (3, uuid4(), at, at)), (side, (effect, uuid4(), at)), (rebuild, (at,)),
    )  # fmt: skip
    return {
        str(first): "outbox", str(second): "outbox_stuck", str(parked_stream): "parked", str(effect): "side_effect",
        "jars v2": "rebuild",
    }  # fmt: skip


@pytest.mark.parametrize("service", catalog.SCHEMA_OF)
async def test_every_queue_of_every_service_is_looked_at(new_database: Any, service: str) -> None:
    dsn = new_database()
    expected = await fill_queues(dsn, catalog.SCHEMA_OF[service], LONG_AGO)
    found = items(await look(wanted(dsn)))
    assert {name: item["type"] for name, item in found.items()} == expected
    assert {item["type"] for item in found.values()} == QUEUES
    assert {item["service"] for item in found.values()} == {service}
    (parked,) = (item for item in found.values() if item["type"] == "parked")
    assert "KeyError; 2 records wait" in parked["cause"]
    assert "secret" not in parked["cause"]


async def test_what_has_waited_for_a_moment_is_not_stuck_unless_somebody_says_so(new_database: Any) -> None:
    dsn = new_database()
    now = datetime.now(UTC)
    await fill_queues(dsn, "transfer", now)
    patient = items(await look(wanted(dsn, at=now + timedelta(seconds=50))))
    assert {item["type"] for item in patient.values()} == {"outbox_stuck", "parked"}  # these never go on by themselves
    older = wanted(dsn, at=now + timedelta(seconds=50), older_than=timedelta(seconds=40))
    assert {item["type"] for item in items(await look(older)).values()} == QUEUES
    assert items(await look(replace(older, older_than=timedelta(seconds=51)))) == {}


ITEM = """INSERT INTO deposit_items_v1 (item_id, reason, subject_id, opened_at, closed_at, detail)
          VALUES ($1, $2, $1, $3, $4, 'words')"""


@pytest.mark.parametrize("reason", [*Reason, "a_reason_of_tomorrow"])
async def test_a_review_is_late_after_the_time_of_its_reason(database: str, reason: str) -> None:
    at = datetime(2026, 1, 31, 12, tzinfo=UTC)
    open_, closed = uuid4(), uuid4()
    await execute(database, "review", ("TRUNCATE deposit_items_v1", ()), *((ITEM, (name, reason, at, end)) for name, end
                  in ((open_, None), (closed, at))))  # fmt: skip
    limit = SLA.get(Reason(reason)) if reason in set(Reason) else timedelta(days=1)
    assert limit is not None
    in_time = items(await look(wanted(database, at=at + limit - timedelta(seconds=1))))
    assert [item for item in in_time.values() if item["type"] == "review"] == []
    late = items(await look(wanted(database, at=at + limit)))
    (item,) = (item for item in late.values() if item["type"] == "review")
    assert (item["id"], item["state"], item["limit_seconds"]) == (str(open_), reason, limit.total_seconds())


async def test_a_consumer_that_does_not_come_forward_is_told_in_seconds(
    new_database: Any, broker: str, capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    dsn, topic = new_database(), topics.TRANSFER.name
    await make_topic(broker, topic, 1, fresh=True)
    producer = AIOKafkaProducer(bootstrap_servers=broker)
    await producer.start()
    two_hours = int((datetime.now(UTC) - timedelta(hours=2)).timestamp() * 1_000)
    for _ in range(3):
        await producer.send_and_wait(topic, b"x", partition=0, timestamp_ms=two_hours)
    await producer.stop()
    position = "INSERT INTO consumer_offset (consumer, topic, epoch, partition, next_offset) VALUES ($1, $2, 1, 0, $3)"
    await execute(dsn, "ledger", (position, ("ledger", topic, 3)))
    monkeypatch.setenv("OPS_BASE_URL", "http://127.0.0.1:1")
    monkeypatch.setenv("OPS_DATABASE_URL", oncall(dsn))
    monkeypatch.setenv("OPS_KAFKA_BOOTSTRAP_SERVERS", broker)

    async def told(*argv: str) -> tuple[int, str]:
        code = await asyncio.to_thread(run, ["stuck", "list", *argv])
        return code, capsys.readouterr().out

    code, out = await told()
    assert (code, out) == (0, "nothing is stuck; 0 streams wait within their time, 1 consumers keep up\n")
    await execute(dsn, "transfer", (position, ("transfer", topic, 1)), (position, ("retired.v1", topic, 0)))
    code, out = await told("--json", "--older-than", "1h")
    found = {item["id"]: item for item in json.loads(out)["items"]}
    assert (code, json.loads(out)["not_checked"]) == (6, [])
    item = found[f"transfer on {topic}"]
    assert (item["type"], item["state"], item["cause"][:21]) == ("consumer", "BEHIND", "2 records are not tak")
    assert 7_200 <= item["age_seconds"] < 7_500
    code, out = await told("--older-than", "3h")
    assert code == 0
    monkeypatch.setenv("OPS_KAFKA_BOOTSTRAP_SERVERS", "127.0.0.1:1")
    code, out = await told("--json")
    assert (code, [each["check"] for each in json.loads(out)["not_checked"]]) == (10, ["lag of consumers"])
    await fill_queues(dsn, "transfer", LONG_AGO)
    code, out = await told("--limit", "2")
    assert code == 6
    assert out.splitlines()[0].split()[:5] == ["id", "type", "state", "age", "cause"]
    assert "5 stuck: 1 outbox, 1 outbox_stuck, 1 parked, 1 rebuild, 1 side_effect; 3 of them are not shown" in out


async def test_a_check_that_fails_is_told_and_the_others_go_on(new_database: Any) -> None:
    dsn = new_database()
    expected = await fill_queues(dsn, "payout", LONG_AGO)
    await execute(dsn, "transfer", ("DROP TABLE outbox", ()))
    await execute(dsn, "review", ("REVOKE SELECT ON stream_state FROM corridor_oncall", ()))
    report = await look(wanted(dsn))
    assert unread(report) == {"outbox of transfer", "states of review", "lag of consumers"}
    assert set(items(report)) == set(expected)
    assert any("UndefinedTable" in each["why"] for each in report.not_checked)


async def test_the_look_writes_nothing_even_with_a_role_that_could(database: str, monkeypatch: Any) -> None:
    async def writes(connection: Any, *_: Any) -> None:
        await connection.execute("DELETE FROM outbox")

    monkeypatch.setattr(streams, "look", writes)
    report = await look(Wanted(dsn=database, bootstrap=None))
    assert any("ReadOnly" in each["why"] for each in report.not_checked)


# What holds rows that are under way, by its columns; whoever adds such a table says who looks at it.
LOOKED_AT = {
    "stream_state", "outbox_stuck", "parked_event", "side_effect", "projection_registry", "deposit_items_v1",
    "payout_items_v1", "transfer_items_v1", "issue_items_v1",
    # made of streams that are looked at themselves
    "reconciliation_run", "reconciliation_issue", "transfers_v1", "payouts_v1", "manual_review",
}  # fmt: skip
HOLDS_NOTHING_BACK = {
    "request_key",  # `status` is that of the answer; a row is written with its effect
    "provider_payment",  # the partners' own book, copied
    "posting",
    "block",  # closed when it is written: a digest of what was posted
}
UNDER_WAY = """
    SELECT DISTINCT table_name FROM information_schema.columns c JOIN information_schema.tables t
        USING (table_schema, table_name)
    WHERE table_schema = ANY($1) AND table_type = 'BASE TABLE' AND column_name IN (
        'status', 'state', 'stage', 'stuck_at', 'resolved_at', 'closed_at', 'cleared_at',
        'ended_at', 'due_at', 'waits')"""


async def test_every_table_with_something_under_way_is_looked_at(database: str) -> None:
    connection = await asyncpg.connect(database)
    rows = await connection.fetch(UNDER_WAY, [*catalog.SCHEMA_OF.values(), "vault", "app"])
    await connection.close()
    unknown = {row[0] for row in rows} - LOOKED_AT - HOLDS_NOTHING_BACK
    assert unknown == set(), "what is under way there? a queue in services/ops_cli/stuck/queues.py, or say why not here"
