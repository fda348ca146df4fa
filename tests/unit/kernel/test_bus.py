"""What stands between aiokafka's client and the consumer: how long a poll waits, and when the next fetch begins."""

from __future__ import annotations

from dataclasses import dataclass
from types import SimpleNamespace
from typing import Any

import pytest
from aiokafka.errors import KafkaError, NoOffsetForPartitionError

from services.kernel.bus import POLL_RECORDS_MAX, WAIT_MS, KafkaSubscription
from tests.unit.kernel.mirror import World

FETCHES: tuple[Any, ...] = (["a request"], {}, 0.0, False, [])


@dataclass
class State:
    """Of a partition, as aiokafka keeps it."""

    highwater: int | None = None
    position: int = 0
    has_valid_position: bool = True


class Client:
    """An aiokafka consumer that raises what it is told to, or has nothing."""

    def __init__(self, error: Exception | None = None) -> None:
        self._fetcher = SimpleNamespace(_get_actions_per_node=lambda assignment: FETCHES)
        self._error = error
        self.waits: list[int] = []

    async def getmany(self, *_: object, timeout_ms: int, **__: object) -> dict[object, object]:
        self.waits.append(timeout_ms)
        if self._error:
            raise self._error
        return {}

    def fetches(self, *states: State) -> bool:
        """Whether the client would send a fetch now."""
        assignment = SimpleNamespace(tps=range(len(states)), state_value=states.__getitem__)
        return bool(self._fetcher._get_actions_per_node(assignment)[0])


async def polling(client: Client, fatal: list[BaseException]) -> Client:
    member = await World().consumer()
    subscription = KafkaSubscription("nowhere:9092", member.consumer, fatal.append)
    subscription._subscriber.consumer = client
    subscription._wrap()
    return client


async def test_a_poll_waits_for_its_first_record_longer_than_faststream_asks() -> None:
    """FastStream sleeps after an empty poll, and what arrives meanwhile waits."""
    client = await polling(Client(), [])
    await client.getmany(timeout_ms=50, max_records=500)
    assert client.waits == [WAIT_MS]


async def test_a_group_that_kafka_knows_no_position_of_goes_on_at_once() -> None:
    """FastStream sleeps for five seconds after an error of Kafka's."""
    fatal: list[BaseException] = []
    client = await polling(Client(NoOffsetForPartitionError("a fresh group")), fatal)
    assert [await client.getmany(timeout_ms=50) for _ in range(3)] == [{}] * 3
    assert fatal == []


async def test_an_error_without_progress_in_between_ends_the_process() -> None:
    fatal: list[BaseException] = []
    client = await polling(Client(KafkaError("planted")), fatal)
    for _ in range(2):
        with pytest.raises(KafkaError):
            await client.getmany(timeout_ms=50)
    assert [str(each) for each in fatal] == ["KafkaError: planted"]


@pytest.mark.parametrize(
    ("states", "at_once"),
    [
        ((State(),), False),
        ((State(highwater=10, position=10),), False),
        ((State(highwater=POLL_RECORDS_MAX - 1),), False),
        ((State(highwater=POLL_RECORDS_MAX + 7, position=7),), True),
        ((State(highwater=POLL_RECORDS_MAX // 2), State(highwater=POLL_RECORDS_MAX // 2)), True),
        ((State(highwater=POLL_RECORDS_MAX, has_valid_position=False),), False),
    ],
)
async def test_a_fetch_waits_for_its_turn_unless_a_full_poll_is_there(states: tuple[Any, ...], at_once: bool) -> None:
    client = await polling(Client(), [])
    assert client.fetches(*states), "the first one after a quiet time"
    assert client.fetches(*states) == at_once
