"""Topics as they grow, several at once."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Sequence
from typing import Any

from rich.text import Text

from services.kernel.topic_reader import TopicReader, reading
from services.ops_cli.tables import cell

LOOK_SECONDS = 0.5
WORD = 34


async def follow(
    bootstrap: str, topics: Sequence[str], take: Callable[[Any], bool], *, back: int = 0, go_on: bool = True
) -> None:
    """Each record to `take`, from `back` before the end of each partition. Raises Unavailable, TopicMissing."""
    await asyncio.gather(*(_follow(bootstrap, topic, take, back, go_on=go_on) for topic in topics))


async def _follow(bootstrap: str, topic: str, take: Callable[[Any], bool], back: int, *, go_on: bool) -> None:
    async with reading(bootstrap, topic) as reader:
        ends = await reader.ends()
        reader.seek({at: max(reader.at[at], end - back) for at, end in ends.items()})
        await _give(reader, take)
        while go_on:
            await asyncio.sleep(LOOK_SECONDS)
            await _give(reader, take)


async def _give(reader: TopicReader, take: Callable[[Any], bool]) -> None:
    taken = [record async for records in reader.to(await reader.ends()) for record in records]
    for record in sorted(taken, key=lambda record: (record.timestamp, record.partition, record.offset)):
        take(record)


def line_of(item: Any) -> Text:
    """A record in one line for a person."""
    kind = (item["type"] or "?").removeprefix("corridor.")
    where = f"{item['partition']}@{item['offset']}"
    words = (
        f"{item['occurred_at'] or '-':<32} {where:>10}  {kind:<{WORD}} {item['stream_id'] or '-'} v{item['version']}"
    )
    return cell(words)
