"""The process of the ledger: wiring, by hand. `python -m services.ledger`"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from typing import Annotated

from contracts import topics
from contracts.ledger.v1 import EntryPosted
from contracts.upcasts import UPCASTS
from services.kernel import metrics, process
from services.kernel.book import PARTS, writer
from services.kernel.codec import EventCodec
from services.kernel.consumer import Inbox
from services.kernel.http import create_app
from services.kernel.internal import Callers, lookup_routes
from services.kernel.service import Runtime, Service
from services.kernel.settings import Kernel, Var, load_or_exit
from services.ledger import api, handlers
from services.ledger.adapters import imbalance
from services.ledger.domain.chart import account_kind


@dataclass(frozen=True, kw_only=True)
class Settings(Kernel):
    """What this service needs beside the kernel's."""

    corridors_file: Annotated[str, Var("CORRIDORS_FILE")] = "deploy/corridors.json"


def service() -> Service:
    """The ledger as a value."""
    heard = (topics.DEPOSIT, topics.TRANSFER, topics.PAYOUT)
    return Service(
        name="ledger",
        schema="ledger",
        topic=topics.LEDGER.name,
        deciders=(handlers.decider(),),
        inbox=Inbox("ledger", handlers.CONSUMES, {topic.name: EventCodec(topic.events, UPCASTS) for topic in heard}),
        parts=PARTS,
        also_of={EntryPosted: writer(account_kind)},
    )


def main() -> None:
    """Serve until told to stop."""
    settings = load_or_exit(Settings, "ledger")

    async def build(opened: AsyncExitStack) -> process.Running:
        runtime = Runtime(service(), settings)
        opened.push_async_callback(runtime.close)
        health = runtime.health()
        metrics.prepare_ledger(imbalance.currencies(Path(settings.corridors_file)))
        routers = [api.routes(runtime.reads, Callers.from_settings(settings)), lookup_routes(settings, runtime.reads)]
        app = create_app(settings, routers, health)
        tasks = dict(runtime.tasks()) | {"balance": partial(imbalance.watch, runtime.probes)}
        return process.Running(app=app, tasks=tasks, health=health)

    process.run(settings, build)


if __name__ == "__main__":
    main()
