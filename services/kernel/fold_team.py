"""The fold of a whole topic by as many as the machine has room for: one in this process, or each in one of its own."""

from __future__ import annotations

import asyncio
import os
from collections.abc import AsyncIterator, Mapping, Sequence
from contextlib import AsyncExitStack, asynccontextmanager

from services.kernel import fold
from services.kernel.fold_process import in_a_process
from services.kernel.folding import Folder, Share, Stand, Target, folding
from services.kernel.progress import Clock, Reports
from services.kernel.store import Partition, Row
from services.kernel.topic_reader import Positions

ALONE_MAX = 20_000  # records: while a process starts, this one folds half as many
PROCESSES_MAX = 8
LOOK_SECONDS = 0.1


class Team:
    """All folders, as one. `at`, `results` and `parked` are those of the last call of `to`."""

    def __init__(self, folders: Sequence[Folder], begins: Positions) -> None:
        self.at: dict[Partition, int] = dict(begins)
        self.results: Mapping[str, int] = {}
        self.parked: list[Row] = []
        self._folders = folders
        self._taken = [0] * len(folders)  # as they said last

    @property
    def records(self) -> int:
        """How many were taken."""
        return sum(self.results.values())

    def behind(self, ends: Positions) -> int:
        """Records up to `ends`."""
        return sum(max(0, ends.get(at, 0) - offset) for at, offset in self.at.items())

    async def to(self, ends: Positions, reports: Reports) -> None:
        """Fold up to `ends`. Raises what one of them raises; the others are then at work no more."""
        clock = Clock(reports, "fold", self.records + self.behind(ends))
        taken = self._taken
        works = {asyncio.create_task(_work(each, ends, taken, at)) for at, each in enumerate(self._folders)}
        stands, pending = [], works
        try:
            while pending:
                done, pending = await asyncio.wait(pending, timeout=LOOK_SECONDS, return_when=asyncio.FIRST_EXCEPTION)
                stands += [work.result() for work in done]
                clock.tell(sum(taken))
        finally:
            for work in pending:
                work.cancel()
            await asyncio.gather(*works, return_exceptions=True)
        self._settle(stands)
        clock.tell(self.records, last=True)

    def _settle(self, stands: Sequence[Stand]) -> None:
        self.at = {at: offset for stand in stands for at, offset in stand.at.items()}
        self.results = {name: sum(stand.results[name] for stand in stands) for name in stands[0].results}
        self.parked = [row for stand in stands for row in stand.parked]


async def _work(folder: Folder, ends: Positions, taken: list[int], index: int) -> Stand:
    def told(count: int) -> None:
        taken[index] = count

    return await folder.to(ends, told)


@asynccontextmanager
async def team(target: Target, version: int, begins: Positions, ends: Positions) -> AsyncIterator[Team]:
    """Who folds what lies between: this process when it is little, or else one for each core. Raises Unavailable."""
    sizes = {at: ends[at] - begins[at] for at in ends}
    count = 1 if sum(sizes.values()) <= ALONE_MAX else min(len(sizes), cores(), PROCESSES_MAX)
    kept_max = fold.KEPT_MAX // count
    shares = [
        Share(target=target, version=version, partitions=tuple(number for _, number in each), kept_max=kept_max)
        for each in shared(sizes, count)
    ]
    async with AsyncExitStack() as stack:
        fold_in = folding if count == 1 else in_a_process
        folders: list[Folder] = [await stack.enter_async_context(fold_in(share)) for share in shares]
        yield Team(folders, begins)


def cores() -> int:
    """That this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def shared(sizes: Mapping[Partition, int], count: int) -> list[list[Partition]]:
    """The partitions in `count` shares of about the same size, the largest first to whoever has least."""
    shares: list[list[Partition]] = [[] for _ in range(count)]
    loads = [0] * count
    for at, size in sorted(sizes.items(), key=lambda item: -item[1]):
        least = loads.index(min(loads))
        shares[least].append(at)
        loads[least] += size
    return shares
