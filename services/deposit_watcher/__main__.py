"""The process of the deposit watcher: wiring, by hand. `python -m services.deposit_watcher`"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated

from contracts import topics
from contracts.upcasts import UPCASTS
from services.deposit_watcher import api, handlers
from services.deposit_watcher.api.reports import Reports
from services.deposit_watcher.domain.states import Deadlines
from services.kernel import process
from services.kernel.codec import EventCodec
from services.kernel.consumer import Inbox
from services.kernel.http import create_app
from services.kernel.ids import new_id
from services.kernel.service import Runtime, Service
from services.kernel.settings import Kernel, SharedKey, Var, load_or_exit
from services.kernel.tokens import Tokens
from services.kernel.webhook import Verifier


@dataclass(frozen=True, kw_only=True)
class Settings(Kernel):
    """What this service needs beside the kernel's."""

    webhook_keys: Annotated[tuple[SharedKey, ...], Var("DEPOSIT_WEBHOOK_SECRETS")]
    unknown_route_grace_seconds: Annotated[int, Var("UNKNOWN_ROUTE_GRACE_SECONDS", at_least=1)] = 900


def service(deadlines: Deadlines, reports: Reports, epoch: int) -> Service:
    """The deposit watcher as a value."""
    inbox = Inbox(
        "deposit_watcher",
        handlers.CONSUMES,
        {topics.TRANSFER.name: EventCodec(topics.TRANSFER.events, UPCASTS)},
        {topics.PARTNER_DEPOSITS.name: api.on_partner_record(reports, epoch)},
    )
    return Service(
        name="deposit_watcher",
        schema="deposit",
        topic=topics.DEPOSIT.name,
        deciders=(handlers.decider(deadlines),),
        inbox=inbox,
    )


def main() -> None:
    """Serve until told to stop."""
    settings = load_or_exit(Settings, "deposit_watcher")
    deadlines = Deadlines(unknown_route_grace_seconds=settings.unknown_route_grace_seconds)

    async def build(opened: AsyncExitStack) -> process.Running:
        reports = Reports(Verifier(settings.webhook_keys), settings.tenant, time.time)
        runtime = Runtime(service(deadlines, reports, settings.epoch), settings)
        opened.push_async_callback(runtime.close)
        deposits = api.Deposits(runtime.commands, runtime.engine("heads"), reports, new_id)
        health = runtime.health()
        app = create_app(settings, [api.routes(deposits, Tokens.from_settings(settings))], health)
        return process.Running(app=app, tasks=dict(runtime.tasks()), health=health)

    process.run(settings, build)


if __name__ == "__main__":
    main()
