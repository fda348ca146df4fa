"""ops-cli group: consumers and how far behind they are."""

from __future__ import annotations

from typing import Any

from services.kernel.group_lag import Stand, lags, stands
from services.kernel.operations import operating
from services.ops_cli import catalog
from services.ops_cli.context import Ctx
from services.ops_cli.noun import noun
from services.ops_cli.past_http import done
from services.ops_cli.tables import Column

app = noun("group", "Consumers: how far behind they are.")
LAGS = [
    Column("consumer", "consumer"),
    Column("topic", "topic"),
    Column("behind", "lag_records", right=True),
    Column("seconds", lambda item: f"{item['lag_seconds']:.1f}", right=True),
    Column("parked", "parked_streams", right=True),
    Column("is", "status", drop=1),
]


@app.command
def lag(*, all: bool = False, ctx: Ctx) -> None:  # noqa: A002 - the name of its flag
    """Each consumer with the records that it has not taken and the age of the oldest of them, the latest first.

    By the positions in PostgreSQL, which are what has effect; those that Kafka shows are a hint.

    Example: ops-cli group lag

    Parameters
    ----------
    all
        Also versions of read tables that are kept and not followed.
    """
    items = done(_lags(ctx))
    shown = [item for item in items if all or item["status"] in {"consumer", "live", "catching_up"}]
    ctx.out.rows(shown, LAGS, none="no consumer has begun")


async def _lags(ctx: Ctx) -> list[dict[str, Any]]:
    dsn, bootstrap = catalog.operations(ctx.target)
    found: list[Stand] = []
    status: dict[str, str] = {}
    for service, schema in catalog.SCHEMA_OF.items():
        async with operating(dsn, schema) as operations:
            found += await stands(operations, ctx.target.epoch)
            rows = await operations.versions()
            status |= {f"{service}.{row['name']}.v{row['version']}": row["status"] for row in rows}
    items = [
        {
            "consumer": each.stand.consumer,
            "topic": each.stand.topic,
            "lag_records": each.records,
            "lag_seconds": round(each.seconds, 3),
            "parked_streams": each.stand.parked_streams,
            "next_offsets": dict(each.stand.next_offsets),
            "status": "no such topic" if each.missing else status.get(each.stand.consumer, "consumer"),
        }
        for each in await lags(bootstrap, found)
    ]
    return sorted(items, key=lambda item: (-item["lag_seconds"], item["consumer"], item["topic"]))
