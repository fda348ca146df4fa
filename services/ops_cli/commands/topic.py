"""ops-cli topic: what the broker has, and what it should have."""

from __future__ import annotations

from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from contracts.topics import ALL, PARTITIONS_DEMO, TOPIC_CONFIG
from services.kernel.event_log import published
from services.kernel.topic_admin import Wanted, describe, differences, ensure
from services.kernel.topic_reader import ends_of
from services.ops_cli import catalog, following
from services.ops_cli.context import Ctx
from services.ops_cli.exits import Exit
from services.ops_cli.noun import noun
from services.ops_cli.past_http import done
from services.ops_cli.tables import Column, state

app = noun("topic", "Topics: what there is, make what is missing, look into one.")
NAMES = tuple(topic.name for topic in ALL)
TOPICS = [
    Column("topic", "topic"),
    Column("written by", "writer"),
    Column("partitions", "partitions", right=True),
    Column("records", "records", right=True),
    state("is", "status"),
]


@app.command(name="list")
def list_(*, ctx: Ctx) -> int:
    """Every topic of ours with its partitions and its records; ends with 6 when one is missing or not as it should be.

    Example: ops-cli topic list
    """
    items = done(_list(catalog.broker(ctx.target)))
    ctx.out.rows(items, TOPICS, none="no topics")
    return Exit.DONE if all(item["status"] == "ok" for item in items) else Exit.ANSWER_IS_NO


async def _list(bootstrap: str) -> list[dict[str, Any]]:
    live = await describe(bootstrap, NAMES)
    ends = await ends_of(bootstrap, live)
    counts = {each.partitions for each in live.values()}
    wanted = Wanted(NAMES, TOPIC_CONFIG, max(counts, default=PARTITIONS_DEMO))
    faults = {fault.partition(":")[0]: fault.partition(": ")[2] for fault in differences(live, wanted)}
    return [
        {
            "topic": topic.name,
            "writer": topic.writer,
            "partitions": live[topic.name].partitions if topic.name in live else None,
            "records": sum(ends[topic.name].values()) if topic.name in live else None,
            "status": faults.get(topic.name, "ok"),
        }
        for topic in ALL
    ]


@app.command(name="ensure")
def ensure_(*, partitions: int | None = None, replication: int = 1, dry_run: bool = False, ctx: Ctx) -> int:
    """Make the topics that are missing, and compare the others with what they should be: nothing there is changed.

    Example: ops-cli topic ensure

    Parameters
    ----------
    partitions
        Of new topics; the number of the others where there are any, else 4. It never changes afterwards.
    replication
        How many brokers keep each new topic.
    dry_run
        Say which are missing.
    """
    made, left = done(_ensure(catalog.broker(ctx.target), partitions, replication, make=not dry_run))
    item = {"missing" if dry_run else "made": made, "there": left}
    words = f"{len(made)} {'missing' if dry_run else 'made'}, {left} there"
    ctx.out.show(item, lambda: Text("\n".join([*made, words])))
    return Exit.DONE


async def _ensure(bootstrap: str, partitions: int | None, replication: int, *, make: bool) -> tuple[list[str], int]:
    live = await describe(bootstrap, NAMES)
    count = partitions or max((each.partitions for each in live.values()), default=PARTITIONS_DEMO)
    if make:
        made = await ensure(bootstrap, Wanted(NAMES, TOPIC_CONFIG, count), replication)
    else:
        made = [name for name in NAMES if name not in live]
    return made, len(NAMES) - len(made)


@app.command
def tail(
    topic: str,
    /,
    *,
    count: Annotated[int, Parameter(name=["--count", "-n"])] = 10,
    follow: Annotated[bool, Parameter(name=["--follow", "-f"])] = False,
    ctx: Ctx,
) -> int:
    """The newest records of a topic, one a line; with -f also those that come, until Ctrl-C. In nobody's group.

    Example: ops-cli topic tail corridor.transfer.events.v1 -n 3

    Parameters
    ----------
    topic
        Its whole name, or that of ours without its frame: `transfer`.
    count
        How many of each partition to begin with.
    follow
        Go on.
    """
    name = next((each for each in NAMES if topic in {each, each.split(".")[1]}), topic)

    def take(record: Any) -> bool:
        item = published(record)
        ctx.out.line(item, following.line_of(item))
        return True

    done(following.follow(catalog.broker(ctx.target), [name], take, back=count, go_on=follow))
    return Exit.DONE
