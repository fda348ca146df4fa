"""What every store promises the engine: PostgreSQL and memory answer the same."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.kernel.codec import EVENT_BYTES_MAX, GENESIS, chain_hash, instant
from services.kernel.decider import Owner
from services.kernel.engine import Units
from services.kernel.store import (
    Conflict,
    ContentRefused,
    Cursor,
    Fenced,
    Known,
    Position,
    Store,
    StoredAnswer,
    StoredHead,
    Wanted,
    Write,
)
from tests.integration.kernel.backends import Backend, Postgres
from tests.support.builders import TENANT, TOPIC, Add, ask, name
from tests.support.fakes import until

AT = datetime(2025, 5, 4, 3, 2, 1, 123456, tzinfo=UTC)
HASH = bytes(range(32))
CONSUMER = "reader"
PART = ("corridor.jar.events.v1", 3)


def new_stream(stream_id: UUID, version: int = 1, stage: str = "Jar") -> tuple[Any, ...]:
    return (stream_id, TENANT, "jar", stream_id, version, HASH, stage, b"{}", 1)


def moved_stream(stream_id: UUID, expected: int, version: int) -> tuple[Any, ...]:
    return (stream_id, expected, version, HASH, "Jar", b'{"moved":1}', 2)


def event(stream_id: UUID, version: int = 1, data: bytes = b'{"a":1}') -> tuple[Any, ...]:
    kind = "corridor.jar.added.v1"
    return (stream_id, version, uuid4(), kind, 1, stream_id, data, b"{}", AT, GENESIS, HASH)


def effect(effect_id: UUID, due_at: datetime = AT, kind: str = "wake", stream: UUID | None = None) -> tuple[Any, ...]:
    return (effect_id, stream or uuid4(), kind, "remind", due_at, "jar", TENANT, uuid4(), None)


def parked(offset: int) -> tuple[Any, ...]:
    return (CONSUMER, *PART, offset, uuid4(), 4, "corridor.jar.added.v1", "Gap: x", "f" * 16, None, b"[]", b"value")


async def put(store: Store, **parts: list[tuple[Any, ...]]) -> None:
    async with store.transaction() as transaction:
        await transaction.read(Wanted())
        await transaction.write(Write(TOPIC, dict(parts)))


async def look(store: Store, **wanted: Any) -> Known:
    async with store.transaction() as transaction:
        return await transaction.read(Wanted(**wanted))


async def test_what_was_written_is_read_again(backend: Backend) -> None:
    store, one, id_ = backend.lane(), uuid4(), uuid4()
    await store.assign(CONSUMER, 1, [PART])
    await put(
        store,
        fence=[(CONSUMER, PART[0], 1, PART[1], 0, 17, 4, 0, 0)],
        new_streams=[new_stream(one)],
        claims=[("name", "blue", TENANT, one, "content")],
        requests=[(TENANT, "alice", "k1", "print", 201, b"answer")],
        events=[event(one)],
        cursors=[(one, CONSUMER, TOPIC, 5, HASH, True)],
        arrivals=[(uuid4(), TENANT, "bank", "webhook", b"raw", b"{}", "accepted", "ref", None)],
        parked=[parked(16)],
        effects=[effect(id_)],
    )
    known = await look(
        store, streams={one, uuid4()}, claims={(TENANT, "name", "blue"), (TENANT, "name", "red")},
        requests={(TENANT, "alice", "k1"), (TENANT, "bob", "k1")}, effects={id_, uuid4()},
        consumer=CONSUMER, cursors={(TOPIC, one), (TOPIC, uuid4())},
    )  # fmt: skip
    assert known.streams == {one: StoredHead(one, TENANT, "jar", one, 1, HASH, "Jar", b"{}", 1)}
    assert known.claims == {(TENANT, "name", "blue"): Owner(one, "content")}
    assert known.requests == {(TENANT, "alice", "k1"): StoredAnswer("print", 201, b"answer")}
    assert known.cursors == {(TOPIC, one): Cursor(5, HASH, parked=True)}
    assert known.effects == {id_: 0}
    assert known.committed is None
    assert (await store.assign(CONSUMER, 1, [PART]))[PART] == Position(17, 4, 17, starts=1)
    assert [await backend.count(table) for table in ("event", "outbox", "raw_arrival", "parked_event")] == [1, 1, 1, 1]
    assert await store.heads([one, uuid4()]) == known.streams


async def test_the_time_of_a_read_goes_on(backend: Backend) -> None:
    store = backend.lane()
    first, second = (await look(store)).at, (await look(store)).at
    assert first < second
    assert first.utcoffset() == timedelta(0)


async def test_events_of_a_stream_come_in_order(backend: Backend) -> None:
    store, one = backend.lane(), uuid4()
    await put(store, new_streams=[new_stream(one, 3)], events=[event(one, n, b"%d" % n) for n in (1, 2, 3)])
    async with store.transaction() as transaction:
        await transaction.read(Wanted())
        assert await transaction.events(one) == [("corridor.jar.added.v1", b"%d" % n) for n in (1, 2, 3)]


async def test_an_event_of_an_attempt_is_found_by_its_id(backend: Backend) -> None:
    store, one = backend.lane(), uuid4()
    row = event(one)
    await put(store, new_streams=[new_stream(one)], events=[row])
    assert (await look(store, events=(uuid4(), row[2]))).committed == row[2]
    assert (await look(store, events=(uuid4(),))).committed is None


async def test_a_block_that_raises_leaves_nothing(backend: Backend) -> None:
    store, one = backend.lane(), uuid4()
    with pytest.raises(ZeroDivisionError):  # noqa: PT012
        async with store.transaction() as transaction:
            await transaction.write(Write(TOPIC, {"new_streams": [new_stream(one)], "events": [event(one)]}))
            raise ZeroDivisionError
    assert await store.heads([one]) == {}
    assert await backend.count("outbox") == 0


async def test_a_stale_version_is_a_conflict_and_nothing_is_written(backend: Backend) -> None:
    store, one, two = backend.lane(), uuid4(), uuid4()
    await put(store, new_streams=[new_stream(one, 4)])
    with pytest.raises(Conflict):
        await put(store, moved_streams=[moved_stream(one, 3, 5)], new_streams=[new_stream(two)], events=[event(two)])
    assert await store.heads([two]) == {}
    await put(store, moved_streams=[moved_stream(one, 4, 6)])
    assert (await store.heads([one]))[one] == StoredHead(one, TENANT, "jar", one, 6, HASH, "Jar", b'{"moved":1}', 2)


async def test_a_stream_that_was_made_meanwhile_is_a_conflict(backend: Backend) -> None:
    first, second, one = backend.lane(), backend.lane(), uuid4()
    async with first.transaction() as ours:
        await ours.read(Wanted(streams={one}))
        theirs = asyncio.create_task(put(second, new_streams=[new_stream(one)], events=[event(one)]))
        await theirs
        with pytest.raises(Conflict):
            async with backend.lane().transaction() as late:
                await late.write(Write(TOPIC, {"new_streams": [new_stream(one)], "events": [event(one)]}))
    assert await backend.events(one) == [1]


async def test_whoever_writes_the_same_new_stream_waits_for_the_first_to_commit(backend: Backend) -> None:
    first, second, one = backend.lane(), backend.lane(), uuid4()
    async with first.transaction() as ours:
        await ours.read(Wanted(streams={one}))
        await ours.write(Write(TOPIC, {"new_streams": [new_stream(one)]}))
        theirs = asyncio.create_task(put(second, new_streams=[new_stream(one)]))
        done, _ = await asyncio.wait({theirs}, timeout=0.1)
        assert not done
    with pytest.raises(Conflict):
        await theirs


async def test_a_read_waits_for_whoever_holds_the_stream(backend: Backend) -> None:
    first, second, one = backend.lane(), backend.lane(), uuid4()
    await put(first, new_streams=[new_stream(one)])
    async with first.transaction() as ours:
        await ours.read(Wanted(streams={one}))
        theirs = asyncio.create_task(look(second, streams={one}))
        done, _ = await asyncio.wait({theirs}, timeout=0.1)
        assert not done
        await ours.write(Write(TOPIC, {"moved_streams": [moved_stream(one, 1, 2)]}))
    assert (await theirs).streams[one].version == 2


async def test_without_locks_a_write_finds_that_what_it_read_has_moved(backend: Backend) -> None:
    first, second, one = backend.lane(), backend.lane(), uuid4()
    await put(first, new_streams=[new_stream(one)])
    with pytest.raises(Conflict):  # noqa: PT012
        async with first.transaction(locking=False) as ours:
            assert (await ours.read(Wanted(streams={one}))).streams[one].version == 1
            await asyncio.wait_for(put(second, moved_streams=[moved_stream(one, 1, 2)]), 10)
            await ours.write(Write(TOPIC, {"moved_streams": [moved_stream(one, 1, 3)]}))
    assert (await first.heads([one]))[one].version == 2


async def test_without_locks_nobody_waits_for_whoever_only_reads(backend: Backend) -> None:
    first, second, one = backend.lane(), backend.lane(), uuid4()
    await put(first, new_streams=[new_stream(one)])
    async with first.transaction(locking=False) as ours:
        await ours.read(Wanted(streams={one}))
        assert (await asyncio.wait_for(look(second, streams={one}), 10)).streams[one].version == 1


@pytest.mark.parametrize("part", ["claims", "requests"])
async def test_a_key_that_is_there_is_a_conflict(backend: Backend, part: str) -> None:
    store = backend.lane()
    rows: dict[str, tuple[Any, ...]] = {
        "claims": ("name", "blue", TENANT, uuid4(), ""),
        "requests": (TENANT, "alice", "k1", "print", 201, b""),
    }
    await put(store, **{part: [rows[part]]})
    with pytest.raises(Conflict):
        await put(store, **{part: [rows[part]]})


async def test_a_claim_belongs_to_one_tenant(backend: Backend) -> None:
    store = backend.lane()
    await put(store, claims=[("name", "blue", TENANT, uuid4(), "")])
    await put(store, claims=[("name", "blue", "other", uuid4(), "")])
    assert await backend.count("claim") == 2


async def test_a_fence_at_another_position_is_refused_and_nothing_is_written(backend: Backend) -> None:
    store, one = backend.lane(), uuid4()
    await store.assign(CONSUMER, 1, [PART])
    with pytest.raises(Fenced):
        await put(store, fence=[(CONSUMER, PART[0], 1, PART[1], 5, 6, None, 0, 0)], new_streams=[new_stream(one)])
    assert await store.heads([one]) == {}
    with pytest.raises(Fenced):  # nobody was assigned this one
        await put(store, fence=[(CONSUMER, PART[0], 2, PART[1], 0, 6, None, 0, 0)])


async def test_a_start_without_progress_is_counted_and_progress_forgets_it(backend: Backend) -> None:
    store = backend.lane()
    starts = [(await store.assign(CONSUMER, 1, [PART]))[PART].starts for _ in range(3)]
    assert starts == [0, 1, 2]
    assert [await store.suspect(CONSUMER, 1, PART, offset) for offset in (7, 7, 8, 8, 8)] == [1, 2, 1, 2, 3]
    await put(store, fence=[(CONSUMER, PART[0], 1, PART[1], 0, 9, None, 0, 0)])
    found = (await store.assign(CONSUMER, 1, [PART]))[PART]
    assert (found.next_offset, found.starts, found.suspect_tries) == (9, 1, 0)


async def test_a_checkpoint_without_progress_forgets_no_start(backend: Backend) -> None:
    store = backend.lane()
    for _ in range(3):
        await store.assign(CONSUMER, 1, [PART])
    await store.suspect(CONSUMER, 1, PART, 7)
    await put(store, fence=[(CONSUMER, PART[0], 1, PART[1], 0, 0, 0, 0, 0)])
    assert (await store.assign(CONSUMER, 1, [PART]))[PART] == Position(0, 0, 0, 3, 7, 1)


async def test_a_checkpoint_stays_where_it_was_until_another_is_made(backend: Backend) -> None:
    store = backend.lane()
    await store.assign(CONSUMER, 1, [PART])
    await put(store, fence=[(CONSUMER, PART[0], 1, PART[1], 0, 9, 5, 0, 0)])
    await put(store, fence=[(CONSUMER, PART[0], 1, PART[1], 9, 12, None, 0, 9)])
    found = (await store.assign(CONSUMER, 1, [PART]))[PART]
    assert (found.next_offset, found.checkpoint, found.taken) == (12, 5, 12)


async def test_whoever_does_not_know_how_far_it_came_is_fenced(backend: Backend) -> None:
    """A person has moved the position back to where somebody who was away still thinks to be."""
    store = backend.lane()
    await store.assign(CONSUMER, 1, [PART])
    with pytest.raises(Fenced):
        await put(store, fence=[(CONSUMER, PART[0], 1, PART[1], 0, 9, None, 0, 4)])
    await put(store, fence=[(CONSUMER, PART[0], 1, PART[1], 0, 9, None, 0, 0)])
    assert (await store.assign(CONSUMER, 1, [PART]))[PART].taken == 9


async def test_a_checkpoint_that_another_has_moved_is_fenced(backend: Backend) -> None:
    store = backend.lane()
    await store.assign(CONSUMER, 1, [PART])
    await put(store, fence=[(CONSUMER, PART[0], 1, PART[1], 0, 9, 4, 0, 0)])
    with pytest.raises(Fenced):
        await put(store, fence=[(CONSUMER, PART[0], 1, PART[1], 9, 9, 2, 0, 9)])
    await put(store, fence=[(CONSUMER, PART[0], 1, PART[1], 9, 9, 9, 4, 9)])


async def test_a_cursor_moves_and_is_its_consumers_own(backend: Backend) -> None:
    store, one = backend.lane(), uuid4()
    await put(store, cursors=[(one, CONSUMER, TOPIC, 5, HASH, False), (one, "other", TOPIC, 1, HASH, False)])
    await put(store, cursors=[(one, CONSUMER, TOPIC, 6, GENESIS, True)])
    known = await look(store, consumer=CONSUMER, cursors={(TOPIC, one)})
    assert known.cursors == {(TOPIC, one): Cursor(6, GENESIS, parked=True)}


async def test_a_record_is_parked_once_and_an_arrival_is_kept_once(backend: Backend) -> None:
    store, id_ = backend.lane(), uuid4()
    arrival = (id_, TENANT, "bank", "webhook", b"raw", b"{}", "accepted", "ref", None)
    for _ in range(2):
        await put(store, parked=[parked(16)], arrivals=[arrival])
    assert [await backend.count("parked_event"), await backend.count("raw_arrival")] == [1, 1]


async def test_a_due_effect_is_leased_to_one_and_each_lease_has_a_higher_fence(backend: Backend) -> None:
    store, id_, later = backend.lane(), uuid4(), uuid4()
    never = effect(later, datetime(2099, 1, 1, tzinfo=UTC))
    await put(store, effects=[effect(id_), never, effect(uuid4(), kind="call")])
    first = (await store.take_due("wake", 10, 60)).due
    assert [(due.effect_id, due.fence, due.attempts, due.due_at) for due in first] == [(id_, 1, 1, AT)]
    assert (await store.take_due("wake", 10, 60)).due == []
    assert len((await store.take_due("call", 10, 0)).due) == 1
    again = (await store.take_due("call", 10, 0)).due  # its lease of no seconds is over
    assert [(due.fence, due.attempts) for due in again] == [(2, 2)]


async def test_an_effect_is_finished_by_its_lease_alone(backend: Backend) -> None:
    store, id_ = backend.lane(), uuid4()
    await put(store, effects=[effect(id_)])
    for _ in range(2):
        await store.take_due("wake", 10, 0)
    with pytest.raises(Conflict):
        await put(store, effects_done=[(id_, 1)])
    with pytest.raises(Conflict):
        await put(store, effects_again=[(id_, 1, 60)])
    await put(store, effects_done=[(id_, 2)])
    assert await backend.count("side_effect") == 0


async def test_an_effect_that_is_put_off_is_due_later_and_free(backend: Backend) -> None:
    store, id_, soon = backend.lane(), uuid4(), uuid4()
    await put(store, effects=[effect(id_), effect(soon)])
    await store.take_due("wake", 10, 600)
    await put(store, effects_again=[(id_, 1, 600), (soon, 1, 0)])
    assert [due.effect_id for due in (await store.take_due("wake", 10, 600)).due] == [soon]


async def test_a_due_effect_of_a_stream_that_is_over_is_dropped_and_no_other(backend: Backend) -> None:
    store, over, going, never = backend.lane(), uuid4(), uuid4(), datetime(2099, 1, 1, tzinfo=UTC)
    await put(store, new_streams=[new_stream(over, stage="Done"), new_stream(going, stage="Open")])
    kept = [effect(uuid4(), stream=going), effect(uuid4(), stream=uuid4())]
    await put(store, effects=[effect(uuid4(), stream=over), effect(uuid4(), never, stream=over), *kept])
    taken = await store.take_due("wake", 10, 60, [("jar", "Done", 1), ("bowl", "Open", 1)])
    assert ({due.effect_id for due in taken.due}, taken.dropped) == ({row[0] for row in kept}, 1)
    assert await backend.count("side_effect") == 3
    assert (await store.take_due("wake", 10, 60, [("jar", "Done", 1)])).dropped == 0


async def test_a_stage_that_an_older_fold_made_is_not_over(backend: Backend) -> None:
    store, one = backend.lane(), uuid4()
    await put(store, new_streams=[new_stream(one, stage="Done")], effects=[effect(uuid4(), stream=one)])
    taken = await store.take_due("wake", 10, 60, [("jar", "Done", 2)])
    assert (len(taken.due), taken.dropped) == (1, 0)


async def test_an_effect_that_somebody_decides_on_is_not_leased_meanwhile(backend: Backend) -> None:
    store, id_ = backend.lane(), uuid4()
    await put(store, effects=[effect(id_)])
    async with store.transaction() as transaction:
        await transaction.read(Wanted(effects={id_}))
        assert (await backend.lane().take_due("wake", 10, 60)).due == []


@pytest.mark.parametrize(
    ("part", "row"),
    [
        ("claims", ("name", "nul\x00", TENANT, uuid4(), "")),
        ("claims", ("name", "\ud800", TENANT, uuid4(), "")),
        ("claims", ("name", "".join(chr(0x4E00 + n * 7 % 20_000) for n in range(9_000)), TENANT, uuid4(), "")),
        ("requests", (TENANT, "alice", "k", "print", 2**70, b"")),
        ("events", event(uuid4(), data=b"x" * (EVENT_BYTES_MAX + 1))),
    ],
    ids=["zero in a text", "half a surrogate", "key too long", "number out of range", "event too large"],
)
async def test_content_that_no_row_can_hold_is_refused_by_name(
    backend: Backend, part: str, row: tuple[Any, ...]
) -> None:
    store = backend.lane()
    with pytest.raises(ContentRefused):
        await put(store, **{part: [row]})
    assert await store.heads([uuid4()]) == {}  # the lane goes on


async def test_the_outbox_has_one_leader_and_keeps_what_is_not_acknowledged(backend: Backend) -> None:
    store, one, two = backend.lane(), uuid4(), uuid4()
    await put(store, new_streams=[new_stream(one, 2), new_stream(two)], events=[event(one), event(two), event(one, 2)])
    leader, standby = backend.outbox(), backend.outbox()
    assert [await leader.lead(), await standby.lead(), await leader.lead()] == [True, False, True]
    taken = await leader.take(10)
    assert [(each.stream_id, each.version, each.topic, each.data) for each in taken] == [
        (one, 1, TOPIC, b'{"a":1}'), (two, 1, TOPIC, b'{"a":1}'), (one, 2, TOPIC, b'{"a":1}'),
    ]  # fmt: skip
    assert 2 <= len(await leader.take(2)) <= 3  # PostgreSQL takes whole batches
    await leader.take(10)
    leader.acknowledged([taken[0].global_seq])
    assert await leader.take(10) == taken[1:]
    await backend.close(leader)
    await _until_leads(standby)
    assert await standby.take(10) == taken[1:]
    await backend.close(standby)


async def test_a_stuck_event_holds_up_its_stream_and_no_other(backend: Backend) -> None:
    store, one, two = backend.lane(), uuid4(), uuid4()
    rows = [event(one, n) for n in range(1, 6)]
    await put(store, new_streams=[new_stream(one, 5), new_stream(two)], events=[*rows, event(two)])
    leader = backend.outbox()
    await leader.lead()
    await leader.stuck([(await leader.take(1))[0].global_seq])
    assert [each.stream_id for each in await leader.take(2)] == [two], "behind more waiting rows than one batch"
    await backend.close(leader)
    leader = backend.outbox()
    await _until_leads(leader)
    assert [each.stream_id for each in await leader.take(2)] == [two], "also after a restart"
    await backend.close(leader)


@pytest.mark.parametrize("table", ["event", "claim", "raw_arrival"])
@pytest.mark.parametrize("change", ["UPDATE {} SET tenant = tenant", "DELETE FROM {}", "TRUNCATE {}"])
async def test_history_is_append_only_also_for_its_owner(postgres: Postgres, table: str, change: str) -> None:
    one = uuid4()
    await put(
        postgres.lane(),
        new_streams=[new_stream(one)],
        events=[event(one)],
        claims=[("name", "blue", TENANT, one, "")],
        arrivals=[(uuid4(), TENANT, "bank", "webhook", b"raw", b"{}", "accepted", "ref", None)],
    )
    change = change.replace("tenant = tenant", "version = version" if table == "event" else "tenant = tenant")
    with pytest.raises(asyncpg.PostgresError, match="append-only"):
        await postgres.fetch(change.format(table))
    assert await postgres.count(table) == 1


async def test_the_chain_of_every_stream_verifies_from_its_genesis(backend: Backend) -> None:
    engine, streams = backend.engine(), [uuid4() for _ in range(5)]
    for _ in range(3):
        await engine.run(Units([*(ask(each, Add(2)) for each in streams), name(streams[0], str(uuid4()))]))
    heads, last = await engine.store.heads(streams), dict.fromkeys(streams, (0, GENESIS))
    for stream_id, version, event_id, kind, at, meta, data, prev, found in await backend.chain():
        assert (version - 1, prev) == last[stream_id]
        assert found == chain_hash(prev, stream_id.bytes, version, event_id.bytes, kind, instant(at), meta, data)
        last[stream_id] = (version, found)
    assert last == {each: (heads[each].version, heads[each].hash) for each in streams}
    assert last[streams[0]][0] == 6


async def _until_leads(outbox: Any) -> None:
    await until(outbox.lead)
