"""ops-cli projection: read tables, made anew beside the live one and proved right, while everything runs."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict
from typing import Annotated, Any, Literal

from cyclopts import Parameter
from rich.text import Text

from services.kernel.comparison import Difference
from services.kernel.operations import operating
from services.kernel.projection_check import STORE, TOPIC, Verified, verify
from services.kernel.rebuild import Rebuilt, rebuild, show
from services.kernel.topic_reader import ends_of
from services.ops_cli import catalog
from services.ops_cli.context import Ctx
from services.ops_cli.exits import Exit
from services.ops_cli.noun import noun
from services.ops_cli.past_http import done
from services.ops_cli.phases import phases
from services.ops_cli.tables import Column, pairs, state
from services.ops_cli.values import rfc3339

Source = Literal["topic", "store"]
app = noun("projection", "Read tables: what there is, make one anew, prove that one is right.")

VERSIONS = [
    Column("service", "service"),
    Column("projection", "projection"),
    Column("version", "version", right=True),
    state("status", "status"),
    Column("behind", "lag_records", right=True),
    Column("kept", "kept", drop=1),
    Column("since", "changed_at", drop=2),
]
REBUILT = [
    Column("projection", "projection"),
    Column("version", "version"),
    Column("before it", "previous"),
    Column("records", "records"),
    Column("parked", lambda item: item["results"].get("parked", 0)),
    Column("seconds", lambda item: f"{item['seconds']:.1f}"),
    Column("events/s", lambda item: f"{item['records'] / item['fold_seconds']:,.0f}" if item["records"] else "-"),
    Column("against the one before", lambda item: _words(item["difference"])),
    Column("followed by a process", "followed"),
]
VERIFIED = [
    Column("projection", "projection"),
    Column("version", "version"),
    Column("position", lambda item: f"{item['records']:,} records"),
    Column("rows", lambda item: f"{item['rows']:,}"),
    Column("against the topic", lambda item: _words(item["differences"].get(TOPIC))),
    Column("against the store", lambda item: _words(item["differences"].get(STORE))),
    Column("seconds", lambda item: f"{item['seconds']:.1f}"),
]


@app.command(name="list")
def list_(*, ctx: Ctx) -> None:
    """Every read table with its versions, which of them is shown, and how far behind its topic each is.

    Example: ops-cli projection list
    """
    items = done(_versions(ctx))
    ctx.out.rows(items, VERSIONS, none="no read tables")


async def _versions(ctx: Ctx) -> list[dict[str, Any]]:
    dsn, bootstrap = catalog.operations(ctx.target)
    known = catalog.projections()
    items = []
    ends = await ends_of(bootstrap, {each.topic for _, each in known.values()})
    for service in dict.fromkeys(service for service, _ in known.values()):
        async with operating(dsn, catalog.SCHEMA_OF[service]) as operations:
            for row in await operations.versions():
                full = f"{service}.{row['name']}"
                if full not in known or not (row["kept"] or row["status"] == "live"):
                    continue
                each = known[full][1]
                stands = await operations.positions(each.consumer(service, row["version"]), ctx.target.epoch)
                follows = row["status"] in {"live", "catching_up", "ready"}
                items.append({
                    "service": service, "projection": row["name"], "version": row["version"],
                    "status": row["status"], "kept": row["kept"], "topic": each.topic,
                    "lag_records": sum(ends[each.topic].values()) - sum(stands.values()) if follows else None,
                    "progress": json.loads(row["target"]), "changed_at": rfc3339(row["changed_at"]),
                })  # fmt: skip
    return items


@app.command(name="rebuild")
def rebuild_(
    name: str,
    /,
    *,
    to_version: int | None = None,
    accept_parked: bool = False,
    dry_run: bool = False,
    ctx: Ctx,
) -> int:
    """Make a read table anew from the beginning of its topic, beside the live one, and show it when it has caught up.

    Nobody who reads notices. The version before stays until the next rebuild: --to-version shows it again. Whatever
    goes wrong, the live version stays. Ends with 3 when another rebuild of it runs, 6 when records cannot be applied.

    Example: ops-cli projection rebuild quote_terms

    Parameters
    ----------
    name
        As `projection list` has it; `<service>.<name>` where two services have one of that name.
    to_version
        Go back to this version, which is kept; nothing is folded.
    accept_parked
        Show it although there are records that cannot be applied: their streams are parked, as in a live one.
    dry_run
        Say what would be done.
    """
    table = catalog.table(ctx.target, name)
    if dry_run:
        ctx.out.show(
            {"would": "rebuild", "projection": name, "to_version": to_version}, lambda: Text(_would(name, to_version))
        )
        return Exit.DONE
    if to_version is not None:
        ctx.sure(f"{_would(name, to_version)}?")
    with phases(ctx.out, name) as reports:
        if to_version is None:
            made = done(rebuild(table, reports, accept_parked=accept_parked))
        else:
            made = done(show(table, to_version, reports))
    item = _rebuilt(made)
    ctx.out.show(item, lambda: pairs(item, REBUILT))
    return Exit.DONE


def _would(name: str, to_version: int | None) -> str:
    if to_version is not None:
        return f"show version {to_version} of {name} again"
    return f"make {name} anew from its topic and show it"


@app.command(name="verify")
def verify_(
    name: str,
    /,
    *,
    source: Annotated[tuple[Source, ...], Parameter(negative=())] = ("topic", "store"),
    ctx: Ctx,
) -> int:
    """Fold the topic and the event store to where the live table stands, and compare row by row. Nothing is changed.

    Ends with 6 when they differ: `projection rebuild` makes it right.

    Example: ops-cli projection verify quote_terms

    Parameters
    ----------
    name
        As `projection list` has it.
    source
        Only this one.
    """
    table = catalog.table(ctx.target, name)
    with phases(ctx.out, name) as reports:
        found = done(verify(table, source, reports))
    item = _verified(found)
    ctx.out.show(item, lambda: pairs(item, VERIFIED))
    return Exit.DONE if found.is_right else Exit.ANSWER_IS_NO


def _rebuilt(made: Rebuilt) -> dict[str, Any]:
    return {**asdict(made), "difference": _difference(made.difference) if made.difference else None}


def _verified(found: Verified) -> dict[str, Any]:
    differences = {source: _difference(each) for source, each in found.differences.items()}
    return {**asdict(found), "right": found.is_right, "differences": differences}


def _difference(found: Difference) -> dict[str, Any]:
    return {**asdict(found), "same": found.is_none}


def _words(found: Mapping[str, Any] | None) -> str:
    if found is None:
        return "-"
    if found["same"]:
        return f"the same, {found['digests'][1]}"
    counts = f"{found['changed']} rows differ, {found['missing']} only in it, {found['added']} only in the other"
    return f"{counts}; such as {', '.join(found['examples'])}"
