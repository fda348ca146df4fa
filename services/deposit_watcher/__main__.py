"""The process of the deposit watcher: wiring, by hand. `python -m services.deposit_watcher`"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Annotated

from contracts import topics
from contracts.upcasts import UPCASTS
from services.deposit_watcher import api, handlers
from services.deposit_watcher.api.lists import list_routes
from services.deposit_watcher.api.reports import Reports
from services.deposit_watcher.domain.states import Deadlines
from services.kernel import process
from services.kernel.codec import EventCodec
from services.kernel.consumer import Inbox
from services.kernel.cursors import Cursors
from services.kernel.health import Check
from services.kernel.http import create_app
from services.kernel.ids import new_id
from services.kernel.internal import Callers, lookup_routes
from services.kernel.pages import Lists
from services.kernel.pool import Pool
from services.kernel.service import Runtime, Service
from services.kernel.settings import Kernel, Secret, SharedKey, Var, is_key_32, load_or_exit
from services.kernel.vault import Wrapping
from services.kernel.vault_arrivals import ArrivalKeys
from services.kernel.vault_keys import ARRIVALS, PostgresKeys
from services.kernel.webhook import Verifier


@dataclass(frozen=True, kw_only=True)
class Settings(Kernel):
    """What this service needs beside the kernel's."""

    webhook_keys: Annotated[tuple[SharedKey, ...], Var("DEPOSIT_WEBHOOK_SECRETS")]
    kek: Annotated[Secret, Var("CORRIDOR_KEK", check=is_key_32)]
    kek_previous: Annotated[Secret | None, Var("CORRIDOR_KEK_PREVIOUS", check=is_key_32)] = None
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


async def arrival_keys(settings: Settings, verifier: Verifier, opened: AsyncExitStack) -> ArrivalKeys:
    """The keys of the partners' months; the database may be away at the start."""
    pool = Pool.of(settings, "vault", "vault")
    opened.push_async_callback(pool.close)
    wrapping = Wrapping(settings.kek, settings.kek_previous)
    return ArrivalKeys(
        PostgresKeys(pool, ARRIVALS), wrapping, settings.tenant, verifier.partners, now=lambda: datetime.now(UTC)
    )


async def build(settings: Settings, opened: AsyncExitStack) -> process.Running:
    """The deposit watcher put together."""
    deadlines = Deadlines(unknown_route_grace_seconds=settings.unknown_route_grace_seconds)
    verifier = Verifier(settings.webhook_keys)
    keys = await arrival_keys(settings, verifier, opened)
    reports = Reports(verifier, settings.tenant, time.time, keys.seal)
    runtime = Runtime(service(deadlines, reports, settings.epoch), settings)
    opened.push_async_callback(runtime.close)
    deposits = api.Deposits(runtime.commands, runtime.reading, reports, new_id)
    health = runtime.health()
    health.also("vault", Check(keys.prepared))
    callers, lists = Callers.from_settings(settings), Lists(runtime.reading, Cursors.from_settings(settings))
    routers = [
        api.routes(deposits, callers),
        list_routes(lists, callers, api.view),
        lookup_routes(settings, runtime.reads),
    ]
    app = create_app(settings, routers, health)
    tasks = dict(runtime.tasks())
    tasks |= {"consumer": keys.before(tasks["consumer"]), "arrival-keys": keys.keep}
    return process.Running(app=app, tasks=tasks, health=health)


def main() -> None:
    """Serve until told to stop."""
    settings = load_or_exit(Settings, "deposit_watcher")
    process.run(settings, lambda opened: build(settings, opened))


if __name__ == "__main__":
    main()
