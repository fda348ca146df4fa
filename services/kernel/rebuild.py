"""A read table made anew beside the live one while everything runs, then shown in its place.

Fold the topic to where the live version stands and compare the two there; fold on to the end; hand over to the
processes of the service, which keep the new version up to date; swap once it is not behind what is shown. Whatever ends
this before the swap leaves the live version as it was, and the next run begins anew.
"""

from __future__ import annotations

import asyncio
import time
from base64 import b64encode
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from services.kernel.comparison import Difference, compared, showing
from services.kernel.fold_team import Team, team
from services.kernel.folding import Target
from services.kernel.operations import NoProjection, Operations, operating
from services.kernel.progress import Progress, Reports
from services.kernel.store import Row
from services.kernel.topic_reader import TopicReader, reading

NEAR_RECORDS = 2_000  # behind the end: what comes meanwhile is less than a poll or two of the processes that take over
ROUNDS_MAX = 20  # towards an end that moves
CATCH_UP_SECONDS = 120.0
LOOK_SECONDS = 0.1


class TopicShortened(Exception):
    """The topic does not begin with its first record: what it lacks cannot be folded."""


class Unappliable(Exception):
    """Records of the topic cannot be applied. With how many, and why the first of them."""

    def __init__(self, count: int, first: str) -> None:
        super().__init__(f"{count} records cannot be applied; the first: {first}")
        self.count = count
        self.first = first


class NobodyFollows(Exception):
    """The new version is behind what is shown, and no process of the service brings it further."""


@dataclass(frozen=True, slots=True, kw_only=True)
class Rebuilt:
    """What was done. `difference` is that of the old version to the new one, at one position."""

    projection: str
    version: int
    previous: int
    records: int
    results: Mapping[str, int]
    seconds: float  # of everything
    fold_seconds: float  # of them, until it was handed over
    followed: bool
    difference: Difference | None = None


async def rebuild(target: Target, reports: Reports, *, accept_parked: bool = False) -> Rebuilt:
    """Make the next version and show it. Raises Busy, NoProjection, TopicShortened, Unappliable, TooManyParked,
    NobodyFollows, TimeoutError, TopicMissing, Unavailable: what is shown is then what was shown before."""
    began, name = time.monotonic(), target.projection.name
    async with (
        operating(target.dsn, target.schema) as operations,
        reading(target.bootstrap, target.projection.topic) as reader,
    ):
        await operations.exclusively(name)
        from_the_first(reader)
        live = await operations.live(name)
        version = await operations.begin(target.service, name)
        try:
            async with team(target, version, reader.at, await reader.ends()) as folders:
                difference = await _fold(target, operations, reader, folders, live, version, reports)
            _judge(folders, accept_parked=accept_parked)
            await _hand_over(target, operations, folders, version)
            folded = time.monotonic() - began
            followed = await _show(target, operations, reader, version, reports)
        except BaseException:
            await _give_up(operations, name, version)
            raise
    return Rebuilt(
        projection=name, version=version, previous=live, records=folders.records, results=folders.results,
        seconds=time.monotonic() - began, fold_seconds=folded, followed=followed, difference=difference,
    )  # fmt: skip


async def show(target: Target, version: int, reports: Reports) -> Rebuilt:
    """Go back to a version that is kept: brought up to date by the service's processes, then shown. Raises as above."""
    began, name = time.monotonic(), target.projection.name
    async with (
        operating(target.dsn, target.schema) as operations,
        reading(target.bootstrap, target.projection.topic) as reader,
    ):
        await operations.exclusively(name)
        live = await operations.live(name)
        kept = {
            row["version"]: row["status"] for row in await operations.versions() if row["name"] == name and row["kept"]
        }
        retired = [each for each, status in kept.items() if status == "retired"]
        whole = [each for each in retired if await _was_whole(operations, target, each)]
        if version not in whole:
            others = ", ".join(map(str, whole)) or "none"
            raise NoProjection(
                f"version {version} of {name} is not kept beside the live one, {live}; there is: {others}"
            )
        await operations.mark(name, version, "catching_up", {})
        try:
            followed = await _show(target, operations, reader, version, reports)
        except BaseException:
            await _give_up(operations, name, version)
            raise
    return Rebuilt(
        projection=name, version=version, previous=live, records=0, results={},
        seconds=time.monotonic() - began, fold_seconds=0.0, followed=followed,
    )  # fmt: skip


async def _was_whole(operations: Operations, target: Target, version: int) -> bool:
    """Whether its rows are those of a position. Those of a fold that was given up are not: all would come twice, or
    never, where there are cursors and the rows behind them were not written any more."""
    consumer = target.consumer(version)
    if await operations.positions(consumer, target.epoch):
        return True
    begun = f"""SELECT EXISTS (SELECT FROM {target.projection.table(version)})
                OR EXISTS (SELECT FROM stream_cursor WHERE consumer = $1)"""  # noqa: S608 - our own name
    return not await operations.connection.fetchval(begun, consumer)


PARKED_ERROR = 7  # column of the part `parked`


def _judge(folders: Team, *, accept_parked: bool) -> None:
    if folders.parked and not accept_parked:
        raise Unappliable(len(folders.parked), folders.parked[0][PARKED_ERROR])


def from_the_first(reader: TopicReader) -> None:
    """Raises TopicShortened."""
    if begins := {at: offset for at, offset in reader.at.items() if offset}:
        raise TopicShortened(f"{reader.topic} begins at {begins}: what was before is not on the topic any more")


async def _give_up(operations: Operations, name: str, version: int) -> None:
    """The next run would do the same; until then nobody keeps the half of a table up to date."""
    with suppress(Exception):
        await operations.mark(name, version, "retired", {"given_up": True})


async def _fold(
    target: Target, operations: Operations, reader: TopicReader, folders: Team, live: int, version: int,
    reports: Reports,
) -> Difference:  # fmt: skip
    """To where the live version stands, compare, and on to the end."""
    projection = target.projection
    table, consumer = projection.table(live), target.consumer(live)
    async with showing(operations, projection, table, consumer, target.epoch) as shown:
        await folders.to(shown.stands, reports)
    reports(Progress(phase="compare", done=0, total=1))
    difference = await compared(operations, projection, shown, projection.table(version))
    reports(Progress(phase="compare", done=1, total=1))
    for _ in range(ROUNDS_MAX):
        ends = await reader.ends()
        behind = folders.behind(ends)
        await folders.to(ends, reports)
        if behind < NEAR_RECORDS:
            break
    return difference


async def _hand_over(target: Target, operations: Operations, folders: Team, version: int) -> None:
    """From here on the processes of the service go on from this position, with the cursors of all streams behind it."""
    number = target.number(version)
    async with operations.connection.transaction():
        if folders.parked:
            await operations.save_parked(number, [_parked(row) for row in folders.parked])
        ends = {partition: end for (_, partition), end in sorted(folders.at.items())}
        await operations.save_positions(number, target.projection.topic, target.epoch, ends)
        await operations.mark(target.projection.name, version, "catching_up", {"records": folders.records})


PARKED_COLUMNS = (
    "consumer", "topic", "partition", "offset", "stream_id", "version", "event_type", "error", "fingerprint", "key",
    "headers", "value",
)  # fmt: skip


def _parked(row: Row) -> dict[str, Any]:
    """As JSON has it."""
    return {name: _json(value) for name, value in zip(PARKED_COLUMNS, row, strict=True)}


def _json(value: Any) -> Any:
    if isinstance(value, bytes):
        return b64encode(value).decode()
    return str(value) if isinstance(value, UUID) else value


async def _show(target: Target, operations: Operations, reader: TopicReader, version: int, reports: Reports) -> bool:
    """Swap as soon as it is not behind; whether a process of the service has taken it over."""
    name, deadline = target.projection.name, time.monotonic() + CATCH_UP_SECONDS
    while True:
        followed = await operations.is_followed(target.service)
        kept = followed and await operations.is_kept(target.service, name, version)
        if (kept or not followed) and await operations.swap(target.service, name, version):
            reports(Progress(phase="swap", done=1, total=1))
            return kept
        if time.monotonic() > deadline:
            raise (
                TimeoutError(f"version {version} of {name} was not brought up to date in {CATCH_UP_SECONDS:.0f} s")
                if followed
                else NobodyFollows(f"version {version} of {name} is behind, and no process of {target.service} runs")
            )
        await _tell_lag(target, operations, reader, version, reports)
        await asyncio.sleep(LOOK_SECONDS)


async def _tell_lag(
    target: Target, operations: Operations, reader: TopicReader, version: int, reports: Reports
) -> None:
    ends, stands = await reader.ends(), await operations.positions(target.consumer(version), target.epoch)
    total = sum(ends.values())
    reports(Progress(phase="catch up", done=min(total, sum(stands.values())), total=total))
