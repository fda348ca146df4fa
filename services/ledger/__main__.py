"""The process of the ledger: wiring, by hand. `python -m services.ledger`"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

from contracts import topics
from contracts.ledger.v1 import BOOKED
from contracts.upcasts import UPCASTS
from services.kernel import metrics, process
from services.kernel.account import standings_after
from services.kernel.book import PARTS, read_standings, writer
from services.kernel.codec import EventCodec
from services.kernel.consumer import Inbox
from services.kernel.cursors import Cursors
from services.kernel.http import create_app
from services.kernel.internal import Callers, lookup_routes
from services.kernel.money import iso4217
from services.kernel.service import Runtime, Service
from services.kernel.settings import Kernel, Var, load_or_exit
from services.ledger import api, handlers
from services.ledger.adapters import block_rows
from services.ledger.adapters.watch import Limits, Watch, currencies
from services.ledger.api import adjustments, facts, halts, holds, lists, positions
from services.ledger.domain.chart import account_kind


@dataclass(frozen=True, kw_only=True)
class Settings(Kernel):
    """What this service needs beside the kernel's."""

    corridors_file: Annotated[str, Var("CORRIDORS_FILE")] = "deploy/corridors.json"
    block_entries: Annotated[int, Var("LEDGER_BLOCK_ENTRIES", at_least=1, at_most=5_000)] = 1_000
    block_seconds: Annotated[int, Var("LEDGER_BLOCK_SECONDS", at_least=1, at_most=3_600)] = 30


def service() -> Service:
    """The ledger as a value."""
    heard = (topics.DEPOSIT, topics.TRANSFER, topics.PAYOUT)
    return Service(
        name="ledger",
        schema="ledger",
        topic=topics.LEDGER.name,
        deciders=handlers.deciders(),
        inbox=Inbox("ledger", handlers.CONSUMES, {topic.name: EventCodec(topic.events, UPCASTS) for topic in heard}),
        parts=(*PARTS, *block_rows.PARTS),
        also_of=dict.fromkeys(BOOKED, writer(account_kind)) | block_rows.ALSO_OF,
        read_accounts=read_standings,
        moved=lambda event, look: standings_after(event, look) if isinstance(event, BOOKED) else {},
    )


def watch_of(runtime: Runtime, settings: Settings) -> Watch:
    """The watch over the books, with two sessions of its own."""
    known = currencies(Path(settings.corridors_file))
    metrics.prepare_ledger(known)
    limits = Limits(entries=settings.block_entries, seconds=settings.block_seconds)
    return Watch(runtime.session("snapshot"), runtime.engine("watch"), settings.tenant, known, limits)


def main() -> None:
    """Serve until told to stop."""
    settings = load_or_exit(Settings, "ledger")

    async def build(opened: AsyncExitStack) -> process.Running:
        runtime = Runtime(service(), settings)
        opened.push_async_callback(runtime.close)
        health = runtime.health()
        watch = watch_of(runtime, settings)
        health.extra = watch.health
        callers = Callers.from_settings(settings)
        routers = [
            api.routes(runtime.reads, callers),
            lists.list_routes(lists.Books(runtime.reads, Cursors.from_settings(settings)), callers),
            facts.routes(facts.Facts(runtime.commands), callers),
            holds.routes(holds.Holds(runtime.commands, runtime.reading), callers),
            adjustments.routes(adjustments.Adjustments(runtime.commands, runtime.reading), callers),
            halts.routes(halts.Halts(runtime.commands, runtime.reading, settings.tenant), callers),
            positions.position_routes(
                positions.Desk(runtime.reads, None, iso4217("GBP"), lambda: datetime.now(UTC)), callers
            ),
            lookup_routes(settings, runtime.reads),
        ]
        app = create_app(settings, routers, health)
        return process.Running(app=app, tasks=dict(runtime.tasks()) | {"watch": watch.run}, health=health)

    process.run(settings, build)


if __name__ == "__main__":
    main()
