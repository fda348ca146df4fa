"""Which lanes a process runs for its read tables, by what the registry says."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from contextlib import suppress
from types import SimpleNamespace
from typing import Any

import pytest

from services.kernel import following
from services.kernel.following import Following
from services.kernel.store import Unavailable
from tests.support.fakes import until

Row = tuple[str, int, str]


class Registry:
    """What the registry says, or that it is away."""

    def __init__(self, *rows: Row) -> None:
        self.rows: list[Row] | None = list(rows)
        self.looks = 0
        self.dropped = False

    async def fetch(self, _sql: str) -> list[Row]:
        self.looks += 1
        if self.rows is None:
            raise Unavailable("planted")
        return self.rows

    async def drop(self) -> None:
        self.dropped = True


class Lane:
    def __init__(self, version: int, failed: Callable[[BaseException], None], *, stuck: bool = False) -> None:
        self.version, self.failed, self.stuck = version, failed, stuck
        self.running = self.stopped = False
        self.error: Exception | None = None

    async def run(self) -> None:
        self.running = True
        try:
            while self.error is None:  # noqa: ASYNC110 - as a lane looks
                await asyncio.sleep(0.001)
            raise self.error
        finally:
            self.running = False

    async def stop(self) -> None:
        assert not self.running, "stopped while it still watches its client"
        if self.stuck:
            await asyncio.sleep(3600)
        self.stopped = True


class Process:
    def __init__(self, registry: Registry, *, stuck: bool = False) -> None:
        self.lanes: list[Lane] = []
        self.fatal: list[BaseException] = []
        self.following = Following(registry, [SimpleNamespace(name="jars")], self.begin, self.fatal.append)  # type: ignore[arg-type, list-item]
        self.stuck = stuck

    def begin(self, _projection: Any, version: int, failed: Callable[[BaseException], None]) -> Any:
        self.lanes.append(Lane(version, failed, stuck=self.stuck))
        return self.lanes[-1]

    @property
    def running(self) -> list[int]:
        return sorted(lane.version for lane in self.lanes if lane.running)


@pytest.fixture(autouse=True)
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(following, "LOOK_SECONDS", 0.001)
    monkeypatch.setattr(following, "STOP_SECONDS", 0.05)


async def runs(process: Process, *versions: int) -> None:
    async def there() -> bool:
        return process.running == list(versions)

    await until(there)


async def end(task: asyncio.Task[None]) -> None:
    task.cancel()
    with suppress(asyncio.CancelledError):
        await task


async def test_a_version_beside_the_live_one_is_followed_and_one_that_was_retired_is_left() -> None:
    registry = Registry(("jars", 1, "live"), ("others", 7, "live"))
    process = Process(registry)
    task = asyncio.create_task(process.following.run())
    await runs(process, 1)
    registry.rows = [("jars", 1, "live"), ("jars", 2, "catching_up")]
    await runs(process, 1, 2)
    registry.rows = [("jars", 2, "live")]
    await runs(process, 2)
    assert [lane.stopped for lane in process.lanes] == [True, False]
    registry.rows = [("jars", 1, "live")]
    await runs(process, 1)
    await end(task)
    await runs(process)
    assert registry.dropped


async def test_a_database_that_is_away_ends_no_lane() -> None:
    registry = Registry(("jars", 1, "live"))
    process = Process(registry)
    task = asyncio.create_task(process.following.run())
    await runs(process, 1)
    registry.rows, looked = None, registry.looks

    async def looks() -> bool:
        return registry.looks > looked + 5

    await until(looks)
    assert process.running == [1]
    assert len(process.lanes) == 1
    await end(task)


@pytest.mark.parametrize("by", ["its run", "its client"])
async def test_a_version_that_fails_before_it_is_live_ends_alone_and_is_not_tried_again(by: str) -> None:
    registry = Registry(("jars", 1, "live"), ("jars", 2, "catching_up"))
    process = Process(registry)
    task = asyncio.create_task(process.following.run())
    await runs(process, 1, 2)
    (lane,) = [each for each in process.lanes if each.version == 2]
    if by == "its run":
        lane.error = RuntimeError("planted")
    else:
        lane.failed(RuntimeError("planted"))
    await runs(process, 1)
    looked = registry.looks

    async def looks() -> bool:
        return registry.looks > looked + 5

    await until(looks)
    assert not process.fatal
    assert len(process.lanes) == 2
    registry.rows = [("jars", 1, "live")]  # retired; and later tried again by another rebuild
    await until(looks)
    registry.rows = [("jars", 1, "live"), ("jars", 3, "catching_up")]
    await runs(process, 1, 3)
    await end(task)


async def test_a_live_version_that_fails_ends_the_process() -> None:
    registry = Registry(("jars", 1, "catching_up"), ("jars", 0, "live"))
    process = Process(registry)
    task = asyncio.create_task(process.following.run())
    await runs(process, 0, 1)
    registry.rows = [("jars", 1, "live")]  # what was beside the live one is live now
    await runs(process, 1)
    process.lanes[-1].failed(RuntimeError("planted"))
    assert [str(error) for error in process.fatal] == ["planted"]
    process.lanes[-1].error = RuntimeError("planted too")
    with pytest.raises(RuntimeError, match="planted too"):
        await task


async def test_a_lane_that_does_not_stop_is_cut_off() -> None:
    registry = Registry(("jars", 1, "live"))
    process = Process(registry, stuck=True)
    task = asyncio.create_task(process.following.run())
    await runs(process, 1)
    registry.rows = [("jars", 2, "live")]
    await runs(process, 2)
    await end(task)


async def test_a_projection_that_was_never_made_is_a_fault_of_the_deploy() -> None:
    process = Process(Registry(("jars", 1, "catching_up")))
    with pytest.raises(LookupError, match="no live version of jars"):
        await process.following.run()
