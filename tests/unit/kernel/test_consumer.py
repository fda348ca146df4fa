"""The consumer on the bus and the store in memory: redelivery, fences, parking, holes, and what stops it."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any
from uuid import uuid4

import pytest
from aiokafka import ConsumerRecord

from services.kernel import engine as engines
from services.kernel.bus import KafkaSubscription
from services.kernel.consumer import ALONE_AFTER_STARTS, PARKED_MIN, ParkingRate
from services.kernel.decider import Unit
from services.kernel.memory import Fault
from services.kernel.poll import Record
from tests.support.builders import EVENTS, TOPIC, Add, ask, inbox, name
from tests.unit.kernel.mirror import OUTSIDE, World, forged


async def test_every_event_has_its_effect_once_in_order() -> None:
    world, one, two = World(), uuid4(), uuid4()
    await world.publish(ask(one, Add(1)), ask(two, Add(5)), ask(one, Add(2)), name(one, "blue"), ask(one, Add(3)))
    member = await world.consumer()
    await member.subscription.drain(limit=2)
    assert (world.numbers(one), world.numbers(two)) == ((1, 2, 3), (5,))
    assert world.counted == {"applied": 4, "skipped": 1}
    assert world.position() == 5


async def test_redelivery_from_offset_zero_has_no_effect() -> None:
    world, one = World(), uuid4()
    await world.publish(*(ask(one, Add(number)) for number in range(5)))
    await (await world.consumer()).subscription.drain()
    world.mirror.tables.positions.clear()
    await (await world.consumer()).subscription.drain(limit=3)
    assert world.numbers(one) == (0, 1, 2, 3, 4)
    assert world.counted == {"applied": 5, "duplicate": 5}


async def test_a_relay_that_sent_everything_twice_has_no_second_effect() -> None:
    world, one = World(), uuid4()
    world.bus._step = _always(Fault.DUPLICATE)
    await world.publish(*(ask(one, Add(number)) for number in range(5)))
    await (await world.consumer()).subscription.drain()
    assert world.numbers(one) == (0, 1, 2, 3, 4)
    assert world.parked() == []


def _always(fault: Fault) -> Any:
    async def step(point: str) -> Fault | None:
        return fault

    return step


async def test_a_zombie_goes_back_to_the_stored_positions_and_does_nothing_twice() -> None:
    world, one = World(), uuid4()
    await world.publish(*(ask(one, Add(number)) for number in range(4)))
    zombie = await world.consumer()
    held = zombie.subscription.poll(2)
    other = await world.consumer()
    await other.subscription.turn(limit=3)
    await zombie.consumer.handle(held)
    assert world.numbers(one) == (0, 1, 2)
    await zombie.subscription.drain()
    assert world.numbers(one) == (0, 1, 2, 3)
    assert world.position() == 4


async def test_what_was_polled_before_a_rebalance_is_not_taken_after_it() -> None:
    world, one = World(), uuid4()
    await world.publish(ask(one, Add(1)))
    member = await world.consumer()
    held = member.subscription.poll()
    member.consumer.revoked()
    await member.consumer.handle(held)
    assert world.numbers(one) == ()


@pytest.mark.parametrize(
    ("poison", "error"),
    [("raise", "RuntimeError"), ("refuse", "Full"), ("content", "ContentRefused")],
)
async def test_poison_parks_its_stream_and_what_follows_in_it_and_nothing_else(poison: str, error: str) -> None:
    world, bad, good = World(), uuid4(), uuid4()
    await world.publish(
        ask(bad, Add(1)), ask(bad, Add(2, poison)), ask(good, Add(7)), ask(bad, Add(3)), ask(good, Add(8))
    )
    await (await world.consumer()).subscription.drain()
    assert (world.numbers(bad), world.numbers(good)) == ((1,), (7, 8))
    assert world.parked() == [(1, error), (3, "Behind")]
    assert world.position() == 5
    world.mirror.tables.positions.clear()  # redelivery parks nothing a second time
    await (await world.consumer()).subscription.drain()
    assert world.parked() == [(1, error), (3, "Behind")]


async def test_a_gap_parks_the_stream() -> None:
    world, one = World(), uuid4()
    first, _, third = await world.publish(*(ask(one, Add(number)) for number in range(3)))
    world.bus.records[TOPIC, 0] = [first, replace(third, offset=1)]
    await (await world.consumer()).subscription.drain()
    assert world.numbers(one) == (0,)
    assert world.parked() == [(1, "Gap")]


async def test_a_stream_is_taken_from_its_first_event_only() -> None:
    world, one = World(), uuid4()
    _, second = await world.publish(*(ask(one, Add(number)) for number in range(2)))
    world.bus.records[TOPIC, 0] = [replace(second, offset=0)]
    await (await world.consumer()).subscription.drain()
    assert world.parked() == [(0, "Gap")]


@pytest.mark.parametrize("forge", ["another history", "another head"])
async def test_a_fork_parks_the_stream(forge: str) -> None:
    world, one = World(), uuid4()
    first, second = await world.publish(*(ask(one, Add(number)) for number in range(2)))
    header = "ce_prevhash" if forge == "another history" else "ce_hash"
    target = second if forge == "another history" else replace(first, offset=1)
    other = forged(target, lambda fields: {**fields, header: b"ab" * 32})
    world.bus.records[TOPIC, 0] = [first, other]
    await (await world.consumer()).subscription.drain()
    assert world.numbers(one) == (0,)
    assert world.parked() == [(1, "Fork")]


async def test_bytes_that_were_not_hashed_park_the_stream() -> None:
    world, one = World(), uuid4()
    (record,) = await world.publish(ask(one, Add(1)))
    world.bus.records[TOPIC, 0] = [replace(record, value=(record.value or b"").replace(b'"number":1', b'"number":9'))]
    await (await world.consumer()).subscription.drain()
    assert world.numbers(one) == ()
    assert world.parked() == [(0, "HashMismatch")]


async def test_a_record_without_headers_is_parked_alone() -> None:
    world, one = World(), uuid4()
    world.bus.append((TOPIC, 0), str(one).encode(), b"hello")
    world.bus.append((TOPIC, 0), None, None)
    await world.publish(ask(one, Add(1)))
    await (await world.consumer()).subscription.drain()
    assert world.parked() == [(0, "Unreadable"), (1, "Unreadable")]
    assert world.numbers(one) == (1,)


async def test_a_header_without_a_value_is_parked_alone() -> None:
    world, one = World(), uuid4()
    world.bus.append((TOPIC, 0), str(one).encode(), b"hello", [("ce_id", None), ("other", None)])  # type: ignore[list-item]
    await world.publish(ask(one, Add(1)))
    await (await world.consumer()).subscription.drain()
    assert world.parked() == [(0, "Unreadable")]
    assert world.numbers(one) == (1,)


async def test_a_record_that_the_client_cannot_read_is_parked_without_its_bytes_and_passed() -> None:
    world, one = World(), uuid4()
    world.bus.append((TOPIC, 0), None, b"the client raises here")
    await world.publish(ask(one, Add(1)))
    member = await world.consumer()
    await member.consumer.unreadable((TOPIC, 0), 0, ValueError("planted"))
    await member.consumer.unreadable((TOPIC, 0), 0, ValueError("planted"))  # it was passed: not parked again
    await member.consumer.unreadable((TOPIC, 7), 0, ValueError("of a partition that is not ours"))
    assert (world.parked(), world.position()) == ([(0, "Unreadable")], 1)
    await member.subscription.drain()
    assert world.numbers(one) == (1,)


@pytest.mark.parametrize(
    ("header", "value"),
    [
        ("ce_streamversion", b"99999999999999999999"),
        ("ce_streamversion", b"2147483648"),
        ("ce_streamversion", b"0"),
        ("ce_streamversion", b"-5"),
        ("ce_streamversion", b"1_0"),
        ("ce_type", b"corridor.jar.added\x00.v1"),
        ("ce_type", b"\xff\xfe"),
        ("ce_type", b"x" * 5_000),
        ("ce_subject", b"not-an-id"),
        ("ce_id", b""),
        ("ce_hash", b"00"),
        ("ce_prevhash", b"zz"),
    ],
)
async def test_an_identity_that_cannot_be_ours_is_parked_alone(header: str, value: bytes) -> None:
    world, one = World(), uuid4()
    first, second = await world.publish(ask(one, Add(1)), ask(one, Add(2)))
    bad = replace(forged(second, lambda fields: {**fields, header: value}), offset=1)
    world.bus.records[TOPIC, 0] = [first, bad, replace(second, offset=2)]
    await (await world.consumer()).subscription.drain()
    assert world.parked() == [(1, "Unreadable")]
    assert world.numbers(one) == (1, 2)


@pytest.mark.parametrize("missing", ["ce_time", "ce_meta"])
async def test_an_event_that_lacks_what_handlers_need_parks_its_stream(missing: str) -> None:
    world, one = World(), uuid4()
    (record,) = await world.publish(ask(one, Add(1)))
    without = forged(record, lambda fields: {name: value for name, value in fields.items() if name != missing})
    world.bus.records[TOPIC, 0] = [without]
    await (await world.consumer()).subscription.drain()
    assert [offset for offset, _ in world.parked()] == [0]
    assert world.position() == 1


async def test_another_version_of_a_type_that_we_know_parks_its_stream() -> None:
    world, one, two = World(), uuid4(), uuid4()
    first, second, third = await world.publish(ask(one, Add(1)), ask(two, Add(2)), ask(one, Add(3)))
    newer = forged(first, lambda fields: {**fields, "ce_type": b"corridor.jar.added.v2"})
    world.bus.records[TOPIC, 0] = [newer, second, third]
    await (await world.consumer()).subscription.drain()
    assert world.parked() == [(0, "UnknownEventType"), (2, "Behind")]
    assert (world.numbers(one), world.numbers(two)) == ((), (2,))


async def test_a_type_that_no_version_of_ours_has_is_ignored_and_its_stream_goes_on() -> None:
    world, one = World(), uuid4()
    first, second = await world.publish(ask(one, Add(1)), ask(one, Add(2)))
    melted = forged(first, lambda fields: {**fields, "ce_type": b"corridor.jar.melted.v1"})
    world.bus.records[TOPIC, 0] = [melted, second]
    await (await world.consumer()).subscription.drain()
    assert world.parked() == []
    assert world.counted == {"skipped": 1, "applied": 1}
    assert world.numbers(one) == (2,)


async def test_an_error_that_no_text_column_can_hold_is_parked_all_the_same() -> None:
    def on_added(event: Any, cause: Any) -> Any:
        raise ValueError("nul \x00 and half a surrogate \ud800")

    world, one = World(), uuid4()
    await world.publish(ask(one, Add(1)))
    strange = replace(inbox(), consumes={EVENTS[0]: on_added})
    await (await world.consumer(strange)).subscription.drain()
    assert world.parked() == [(0, "ValueError")]


async def test_a_hole_in_the_offsets_is_looked_at_once_more_and_then_believed() -> None:
    world, one, two = World(), uuid4(), uuid4()
    await world.publish(ask(one, Add(1)), ask(two, Add(2)), ask(one, Add(3)))
    world.bus.lose((TOPIC, 0), 1)
    member = await world.consumer()
    seeks: list[int] = []
    original = member.subscription.seek
    member.consumer.seeker = _Watched(original, seeks)
    await member.subscription.drain()
    assert world.numbers(one) == (1, 3)
    assert set(seeks) == {1}
    assert len(seeks) <= 2


class _Watched:
    def __init__(self, seek: Callable[[Any, int], None], seeks: list[int]) -> None:
        self._seek, self._seeks = seek, seeks

    def seek(self, at: Any, offset: int) -> None:
        self._seeks.append(offset)
        self._seek(at, offset)


async def test_a_lost_answer_of_the_commit_is_not_a_second_effect() -> None:
    world, one = World(), uuid4()
    await world.publish(*(ask(one, Add(number)) for number in range(4)), name(one, "blue"))
    member = await world.consumer()
    for _ in range(3):
        world.faults.plan("commit", Fault.LOSE_ANSWER)
        world.faults.plan("commit", Fault.UNAVAILABLE)
        await member.subscription.turn(limit=2)
    await member.subscription.drain()
    assert world.numbers(one) == (0, 1, 2, 3)


async def test_a_conflict_runs_the_batch_again() -> None:
    world, one = World(), uuid4()
    await world.publish(ask(one, Add(1)), ask(one, Add(2)))
    world.faults.plan("commit", Fault.CONFLICT, times=5)
    await (await world.consumer()).subscription.drain()
    assert world.numbers(one) == (1, 2)


@pytest.fixture
def _impatient(monkeypatch: pytest.MonkeyPatch) -> None:
    """The engine lets every outage out at once."""
    monkeypatch.setattr(engines, "RETRY_SECONDS", -1)


@pytest.mark.usefixtures("_impatient")
async def test_record_by_record_nothing_is_taken_behind_one_that_was_not_committed() -> None:
    world, streams = World(), [uuid4() for _ in range(3)]
    await world.publish(*(ask(each, Add(number)) for number, each in enumerate(streams)))
    for _ in range(ALONE_AFTER_STARTS):
        await world.consumer()
    member = await world.consumer()
    assert member.consumer._alone
    world.faults.plan("commit", Fault.UNAVAILABLE)
    await member.subscription.drain()
    assert [world.numbers(each) for each in streams] == [(0,), (1,), (2,)]


@pytest.mark.usefixtures("_impatient")
async def test_of_a_refused_batch_nothing_is_taken_behind_a_part_that_was_not_committed() -> None:
    world, streams = World(), [uuid4() for _ in range(4)]
    texts = ["", "", "content", ""]
    await world.publish(*(ask(each, Add(n, text)) for n, (each, text) in enumerate(zip(streams, texts, strict=True))))
    world.faults.plan("commit", Fault.UNAVAILABLE)  # the whole batch is refused before its commit: the first half's
    await (await world.consumer()).subscription.drain()
    assert [world.numbers(each) for each in streams] == [(0,), (1,), (), (3,)]
    assert world.parked() == [(2, "ContentRefused")]


async def test_too_much_parked_stops_it() -> None:
    world = World()
    await world.publish(*(ask(uuid4(), Add(1, "raise")) for _ in range(PARKED_MIN)))
    member = await world.consumer()
    with pytest.raises(ParkingRate):
        await member.subscription.drain(limit=5)
    assert len(world.parked()) == PARKED_MIN


async def test_a_little_parked_among_much_does_not_stop_it() -> None:
    world = World()
    good = [ask(uuid4(), Add(1)) for _ in range(PARKED_MIN * 20)]
    bad = [ask(uuid4(), Add(1, "raise")) for _ in range(PARKED_MIN)]
    await world.publish(*good, *bad)
    await (await world.consumer()).subscription.drain()
    assert len(world.parked()) == PARKED_MIN


async def test_parking_slowly_does_not_stop_it() -> None:
    world = World()
    await world.publish(*(ask(uuid4(), Add(1, "raise")) for _ in range(PARKED_MIN)))
    member = await world.consumer()
    while await member.subscription.turn(limit=1):
        world.seconds += 10
    assert len(world.parked()) == PARKED_MIN


async def test_rubbish_from_outside_never_stops_it() -> None:
    """A partner who floods us must not stop what our own services say."""

    def stranger(record: Record) -> Unit:
        raise ValueError("rubbish")

    world = World()
    both = replace(inbox(), outside={OUTSIDE: stranger})
    member = await world.consumer(both)
    for number in range(PARKED_MIN * 3):
        world.bus.append((OUTSIDE, 0), None, b"rubbish")
        if number % 10 == 0:
            await world.publish(ask(uuid4(), Add(1, "raise" if number == 0 else "")))
            await member.subscription.drain()
    assert len(world.parked()) == PARKED_MIN * 3 - 8  # those after the last poll wait
    await member.subscription.drain()


async def test_a_strangers_header_without_a_value_is_an_empty_one_to_its_reader() -> None:
    seen: list[Record] = []

    def stranger(record: Record) -> Unit:
        seen.append(record)
        return ask(uuid4(), Add(1))

    world = World()
    member = await world.consumer(replace(inbox(), outside={OUTSIDE: stranger}))
    subscription = KafkaSubscription("nowhere:9092", member.consumer, _never)
    headers = (("signature", None), ("other", b"1"))
    await subscription._handle([ConsumerRecord(OUTSIDE, 0, 0, 5, 0, b"k", b"v", None, 1, 1, headers)])
    assert [tuple(each.headers) for each in seen] == [(("signature", b""), ("other", b"1"))]
    assert world.parked() == []


def _never(error: BaseException) -> None:
    raise AssertionError(error)
