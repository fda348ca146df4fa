"""Whoever alters an event, its state or a record is found; what only waits, or came twice, is no difference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from services.kernel import event_fold_check
from services.kernel.event_check import Findings, Source, check
from services.kernel.event_fold_check import check_from_topic
from services.kernel.topic_reader import reading
from services.quote import handlers
from tests.support.town import PARTITIONS, QUOTES, Town

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def place(place: Town) -> Town:
    """With forty quotes, half of them accepted."""
    made = await place.create(40)
    await place.accept(made[::2])
    await place.publish()
    return place


def source(place: Town) -> Source:
    return Source(
        dsn=place.operations, bootstrap=place.bootstrap, service="quote", schema="quote", topic=QUOTES,
        deciders=(handlers.decider(),),
    )  # fmt: skip


async def found_by(place: Town, how: Callable[[Source, Any], Any] = check) -> Findings:
    findings: Findings = await how(source(place), lambda progress: None)
    return findings


async def test_what_nobody_altered_is_right(place: Town) -> None:
    found = await found_by(place)
    assert found.is_clean, found.examples
    assert (found.counts["events"], found.counts["records"], found.counts["streams"]) == (60, 60, 40)
    folded = await found_by(place, check_from_topic)
    assert folded.is_clean, folded.examples
    assert (folded.counts["records"], folded.counts["streams"]) == (60, 40)


SECOND = "(SELECT global_seq FROM event WHERE version = 2 ORDER BY global_seq LIMIT 1)"
FIRST = "(SELECT global_seq FROM event WHERE version = 1 ORDER BY global_seq LIMIT 1)"
STREAM = "(SELECT stream_id FROM event WHERE version = 2 ORDER BY global_seq LIMIT 1)"
# what a superuser does -> at least these are found, by the table alone and against the topic
TAMPERS: dict[str, tuple[str, set[str]]] = {
    "data": ("UPDATE event SET data = replace(encode(data, 'escape'), '1', '2')::bytea WHERE global_seq = FIRST",
             {"wrong_hash", "bytes_differ"}),
    "meta": ("UPDATE event SET meta = replace(encode(meta, 'escape'), 'ow', 'oo')::bytea WHERE global_seq = FIRST",
             {"wrong_hash", "bytes_differ"}),
    "hash": ("UPDATE event SET hash = sha256('x') WHERE global_seq = SECOND",
             {"wrong_hash", "head_differs", "bytes_differ"}),
    "prev_hash": ("UPDATE event SET prev_hash = sha256('x') WHERE global_seq = SECOND",
                  {"broken_link", "wrong_hash", "bytes_differ"}),
    "version": ("UPDATE event SET version = 3 WHERE global_seq = SECOND",
                {"version_gap", "wrong_hash", "head_differs", "bytes_differ"}),
    "type": ("UPDATE event SET event_type = 'corridor.quote.expired.v1' WHERE global_seq = SECOND",
             {"wrong_hash", "bytes_differ"}),
    "occurred_at": ("UPDATE event SET occurred_at = occurred_at - interval '1 hour' WHERE global_seq = SECOND",
                    {"wrong_hash", "bytes_differ"}),
    "tail": ("DELETE FROM event WHERE global_seq = SECOND", {"head_differs", "only_on_topic"}),
    "tail and head": (
        """WITH gone AS (DELETE FROM event WHERE global_seq = SECOND RETURNING stream_id)
            UPDATE stream_state s SET version = 1, hash = e.hash FROM gone JOIN event e USING (stream_id)
            WHERE e.version = 1 AND s.stream_id = gone.stream_id""", {"only_on_topic", "state_differs"}),
    "whole stream": (
        """WITH gone AS (DELETE FROM event WHERE stream_id = STREAM
                          RETURNING stream_id)
            DELETE FROM stream_state WHERE stream_id IN (SELECT stream_id FROM gone)""", {"only_on_topic"}),
    "events of a stream": (
        "DELETE FROM event WHERE stream_id = STREAM",
        {"only_on_topic", "no_events"}),
    "schema_version": ("UPDATE event SET schema_version = 2 WHERE global_seq = SECOND",
        {"wrong_type", "bytes_differ"}),
    "record_key": ("UPDATE event SET record_key = gen_random_uuid() WHERE global_seq = SECOND", {"bytes_differ"}),
    "recorded_at": ("UPDATE event SET recorded_at = now() WHERE global_seq = SECOND", {"bytes_differ"}),
    "state": ("UPDATE stream_state SET state = replace(encode(state, 'escape'), 'GBP', 'USD')::bytea WHERE version = 1",
              {"state_differs"}),
    "stage": ("UPDATE stream_state SET stage = 'Expired' WHERE version = 2", {"state_differs"}),
    "key of a state": ("UPDATE stream_state SET record_key = gen_random_uuid() WHERE version = 2", {"key_differs"}),
    "tenant of a state": ("UPDATE stream_state SET tenant = 'another' WHERE version = 2", {"tenant_differs"}),
    "no state": ("DELETE FROM stream_state WHERE version = 2", {"no_state"}),
    "invented": (
        """INSERT INTO event (stream_id, version, event_id, event_type, schema_version, record_key, data, meta,
                              occurred_at, prev_hash, hash)
           SELECT stream_id, 3, gen_random_uuid(), event_type, schema_version, record_key, data, meta, occurred_at,
                  hash, hash
           FROM event WHERE version = 2 LIMIT 1""", {"wrong_hash", "head_differs", "missing_on_topic"}),
}  # fmt: skip


def tamper(name: str) -> str:
    """The statement."""
    sql = TAMPERS[name][0]
    for word, chosen in (("SECOND", SECOND), ("FIRST", FIRST), ("STREAM", STREAM)):
        sql = sql.replace(word, chosen)
    return sql


async def test_each_way_to_alter_the_table_is_found(place: Town) -> None:
    connection = await asyncpg.connect(place.dsn, server_settings={"search_path": "quote"})
    await connection.execute("CREATE TABLE public.kept AS TABLE event; CREATE TABLE public.heads AS TABLE stream_state")
    for name, (_, kinds) in TAMPERS.items():
        await connection.execute("SET session_replication_role = replica; ALTER TABLE event DISABLE TRIGGER ALL")
        assert await connection.execute(tamper(name)) not in {"UPDATE 0", "DELETE 0", "INSERT 0 0"}, name
        found = await found_by(place)
        assert kinds <= found.wrong.keys(), (name, found.wrong)
        assert found.examples
        await connection.execute(
            """DELETE FROM event; INSERT INTO event OVERRIDING SYSTEM VALUE SELECT * FROM public.kept;
               DELETE FROM stream_state; INSERT INTO stream_state SELECT * FROM public.heads"""
        )
        assert (await found_by(place)).is_clean, name
    await connection.close()


FOLDS = {
    "state": {"state_differs"}, "stage": {"state_differs"}, "no state": {"only_on_topic"},
    "tail and head": {"head_differs"}, "whole stream": {"only_on_topic"},
}  # fmt: skip


async def test_a_state_that_kafka_does_not_say_is_found(place: Town) -> None:
    connection = await asyncpg.connect(place.dsn, server_settings={"search_path": "quote"})
    await connection.execute("CREATE TABLE public.kept AS TABLE event; CREATE TABLE public.heads AS TABLE stream_state")
    await connection.execute("SET session_replication_role = replica; ALTER TABLE event DISABLE TRIGGER ALL")
    for name, kinds in FOLDS.items():
        await connection.execute(tamper(name))
        found = await found_by(place, check_from_topic)
        assert found.wrong.keys() == kinds, (name, found.wrong)
        await connection.execute(
            """DELETE FROM event; INSERT INTO event OVERRIDING SYSTEM VALUE SELECT * FROM public.kept;
               DELETE FROM stream_state; INSERT INTO stream_state SELECT * FROM public.heads"""
        )
    await connection.close()


async def _records(place: Town) -> list[Any]:
    async with reading(place.bootstrap, QUOTES) as reader:
        return [record async for polled in reader.to(await reader.ends()) for record in polled]


async def _send(place: Town, record: Any, **changed: Any) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=place.bootstrap)
    await producer.start()
    given = {
        "value": record.value, "key": record.key, "partition": record.partition,
        "headers": list(record.headers), "timestamp_ms": record.timestamp,
    }  # fmt: skip
    await producer.send_and_wait(QUOTES, **(given | changed))
    await producer.stop()


async def test_a_record_twice_is_allowed_and_one_that_is_not_ours_is_found(place: Town) -> None:
    records = await _records(place)
    await _send(place, records[0])
    for how in (check, check_from_topic):
        found = await found_by(place, how)
        assert found.is_clean, found.examples
        assert found.counts["repeated_records"] == 1
    await _send(place, records[1], value=records[1].value + b" ")
    assert (await found_by(place)).wrong == {"bytes_differ": 1}
    await _send(place, records[2], partition=(records[2].partition + 1) % PARTITIONS)
    assert (await found_by(place)).wrong == {"bytes_differ": 1, "wrong_partition": 1}
    await _send(place, records[3], headers=[])
    assert (await found_by(place)).wrong == {"bytes_differ": 1, "wrong_partition": 1, "unreadable_record": 1}


async def test_what_the_relay_still_has_to_send_is_named_and_what_is_lost_is_found(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_fold_check, "WAIT_SECONDS", 0.5)
    made = await place.create(3)
    await place.accept(made[:1])
    for how, waiting in ((check, 4), (check_from_topic, 3)):  # events, streams
        found = await found_by(place, how)
        assert found.is_clean, found.examples
        assert found.counts["waiting_for_relay"] == waiting
    await place.fetch("DELETE FROM outbox", schema="quote")  # as if the broker had lost what it acknowledged
    assert (await found_by(place)).wrong == {"missing_on_topic": 4}
    assert (await found_by(place, check_from_topic)).wrong == {"missing_on_topic": 3}


@pytest.mark.parametrize("how", [check, check_from_topic])
async def test_traffic_is_no_difference(place: Town, how: Any) -> None:
    async with place.traffic():
        for _ in range(3):
            found = await found_by(place, how)
            assert found.is_clean, found.examples


async def test_streams_that_do_not_fit_into_memory_are_folded_part_by_part(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(event_fold_check, "STREAMS_MAX", 9)
    found = await found_by(place, check_from_topic)
    assert found.is_clean, found.examples
    assert found.counts["streams"] == 40
    await place.fetch("UPDATE stream_state SET stage = 'Expired' WHERE version = 2", schema="quote")
    assert (await found_by(place, check_from_topic)).wrong == {"state_differs": 20}


async def test_what_is_published_meanwhile_is_waited_for(place: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    made = await place.create(3)
    await place.accept(made[:1])
    waits = event_fold_check._wait_for

    async def published_first(*given: Any) -> None:
        await place.publish()
        await waits(*given)

    monkeypatch.setattr(event_fold_check, "_wait_for", published_first)
    found = await found_by(place, check_from_topic)
    assert found.is_clean, found.examples
    assert found.counts["streams"] == 43
    assert "waiting_for_relay" not in found.counts
