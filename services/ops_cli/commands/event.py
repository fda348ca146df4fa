"""ops-cli event: what happened, as it is stored and published; and the proof that nobody altered it."""

from __future__ import annotations

import json
from typing import Annotated, Any
from uuid import UUID

from cyclopts import Parameter
from rich.console import Group
from rich.text import Text

from services.kernel.event_check import Findings, Source, check
from services.kernel.event_fold_check import check_from_topic
from services.kernel.event_log import Wanted, find, matches, published
from services.kernel.operations import operating
from services.ops_cli import catalog, following
from services.ops_cli.context import Context, Ctx
from services.ops_cli.exits import Exit, OpsError
from services.ops_cli.noun import noun
from services.ops_cli.options import Since, Until
from services.ops_cli.past_http import done
from services.ops_cli.phases import phases
from services.ops_cli.tables import BAD, GOOD, Column, pairs
from services.ops_cli.values import instant

app = noun("event", "Events: list, get, follow, and prove that nothing was altered.")
Services = Annotated[tuple[str, ...], Parameter(name=["--service"], negative=())]
EVENTS = [
    Column("occurred", "occurred_at"),
    Column("type", lambda item: item["type"].removeprefix("corridor.")),
    Column("stream", "stream_id"),
    Column("version", "version", right=True),
    Column("actor", "actor", drop=2),
    Column("event", "event_id", drop=1),
]
EVENT = [
    Column(name, name)
    for name in (
        "service", "type", "stream_id", "version", "event_id", "global_seq", "occurred_at", "recorded_at", "tenant",
        "actor", "reason", "correlation_id", "causation_id", "traceparent", "record_key", "prev_hash", "hash",
    )
]  # fmt: skip


@app.command(name="list")
def list_(
    *,
    stream: UUID | None = None,
    type: str | None = None,  # noqa: A002 - the name of its flag
    correlation: UUID | None = None,
    since: Since = None,
    until: Until = None,
    service: Services = (),
    limit: int = 50,
    ctx: Ctx,
) -> None:
    """Stored events of all services; those of a stream in their order, else the newest first.

    Example: ops-cli event list --correlation 7a4f0c52-8a53-5f0e-9a35-2f8f4a8be611

    Parameters
    ----------
    stream
        Of this stream: a transfer, a payout, a quote.
    type
        `transfer.opened`, a whole type, or with * for any letters: `payout.*`.
    correlation
        What belongs to this transfer, in all services.
    since
        From then on: 2026-01-31T12:00:00Z, or an age like -2h.
    until
        Before then.
    service
        Only this service; may be given several times.
    limit
        At most so many of each service.
    """
    wanted = Wanted(
        stream_id=stream, event_type=type, correlation_id=correlation, limit=limit,
        since=instant(since) if since else None, until=instant(until) if until else None,
    )  # fmt: skip
    items = done(_find(ctx, wanted, service))
    items.sort(key=lambda item: (item["occurred_at"], item["service"], item["global_seq"]))
    ctx.out.rows(items if stream or correlation else items[::-1][:limit], EVENTS, none="no such event")


async def _find(ctx: Context, wanted: Wanted, services: tuple[str, ...]) -> list[dict[str, Any]]:
    dsn, _ = catalog.operations(ctx.target)
    found: list[dict[str, Any]] = []
    for owner in catalog.owners(services):
        async with operating(dsn, owner.schema) as operations:
            found += await find(operations, owner.service, wanted)
    return found


@app.command
def get(event_id: UUID, /, *, ctx: Ctx) -> None:
    """One event with everything that is stored of it. Personal data are sealed and stay so.

    Example: ops-cli event get 0199f2a0-6f0e-7c3e-9a35-2f8f4a8be611

    Parameters
    ----------
    event_id
        As `event list` shows it.
    """
    found = done(_find(ctx, Wanted(event_id=event_id, limit=1), ()))
    if not found:
        raise OpsError(Exit.NOT_FOUND, f"no event {event_id}", hint="by stream: ops-cli event list --stream ID")
    data = Text(json.dumps(found[0]["data"], indent=2, ensure_ascii=False))
    ctx.out.show(found[0], lambda: Group(pairs(found[0], EVENT), Text(), data))


@app.command
def tail(
    *,
    stream: UUID | None = None,
    type: str | None = None,  # noqa: A002 - the name of its flag
    correlation: UUID | None = None,
    service: Services = (),
    count: Annotated[int, Parameter(name=["--count", "-n"])] = 0,
    once: bool = False,
    ctx: Ctx,
) -> int:
    """Events as they are published, one a line, until Ctrl-C.

    Example: ops-cli event tail --type transfer.payout_completed

    Parameters
    ----------
    stream
        Of this stream.
    type
        `transfer.opened`, or a whole type.
    correlation
        What belongs to this transfer.
    service
        Only this service; may be given several times.
    count
        Begin with so many of each partition that were there before.
    once
        Stop at the end instead of waiting.
    """
    wanted = Wanted(stream_id=stream, event_type=type, correlation_id=correlation)
    topics = [owner.topic for owner in catalog.owners(service)]

    def take(record: Any) -> bool:
        item = published(record)
        if matches(item, wanted):
            ctx.out.line(item, following.line_of(item))
        return True

    done(following.follow(catalog.broker(ctx.target), topics, take, back=count, go_on=not once))
    return Exit.DONE


@app.command
def verify(*, from_topic: bool = False, service: Services = (), ctx: Ctx) -> int:
    """Prove that no event was altered, lost or invented: ends with 6 when something is wrong, and says what and where.

    Every chain of hashes anew over the stored bytes, versions without a gap, the state that the events fold to, and
    each event on its topic byte for byte, in both directions. What the relay still has to send is no difference.

    Example: ops-cli event verify

    Parameters
    ----------
    from_topic
        Instead: fold every transfer from Kafka alone, and compare with the state in PostgreSQL.
    service
        Only this service; may be given several times. With --from-topic it is `transfer` when none is given.
    """
    names = service or (("transfer",) if from_topic else ())
    items = []
    for owner in catalog.owners(names):
        with phases(ctx.out, "verify") as reports:
            source = _source(ctx, owner)
            items.append(_item(owner.service, done((check_from_topic if from_topic else check)(source, reports))))
    right = all(item["right"] for item in items)
    ctx.out.show({"right": right, "services": items}, lambda: Group(*(_lines(item) for item in items)))
    return Exit.DONE if right else Exit.ANSWER_IS_NO


def _source(ctx: Context, owner: catalog.Owner) -> Source:
    dsn, bootstrap = catalog.operations(ctx.target)
    return Source(
        dsn=dsn, bootstrap=bootstrap, service=owner.service, schema=owner.schema, topic=owner.topic,
        deciders=catalog.deciders(owner.service), epoch=ctx.target.epoch,
    )  # fmt: skip


def _item(service: str, found: Findings) -> dict[str, Any]:
    return {
        "service": service,
        "right": found.is_clean,
        "counts": dict(found.counts),
        "wrong": dict(found.wrong),
        "examples": found.examples,
    }


def _lines(item: dict[str, Any]) -> Text:
    counts = ", ".join(f"{count:,} {name.replace('_', ' ')}" for name, count in item["counts"].items())
    mark = ("right", GOOD) if item["right"] else ("WRONG", BAD)
    lines = Text.assemble(mark, f"  {item['service']}: {counts or 'nothing there'}")
    for each in item["examples"]:
        lines.append(f"\n       {each['kind']}  {each['where']}  {each['what']}")
    left = sum(item["wrong"].values()) - len(item["examples"])
    if left:
        lines.append(f"\n       and {left:,} more")
    return lines
