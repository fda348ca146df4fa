"""The process of review: wiring, by hand. `python -m services.review`"""

from __future__ import annotations

from collections.abc import Mapping
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from functools import partial
from typing import Annotated

from services.kernel import process
from services.kernel.event_store import PostgresStore
from services.kernel.http import create_app
from services.kernel.internal import lookup_routes
from services.kernel.service import Runtime, Service
from services.kernel.settings import Kernel, Var, load_or_exit
from services.kernel.tokens import ServiceToken, ServiceTokens, Tokens
from services.kernel.upstream import is_address
from services.review import api, handlers
from services.review.adapters import gauges
from services.review.adapters.owners import HttpOwners
from services.review.adapters.parked import AskedParked
from services.review.adapters.stories import Stories
from services.review.api.cursors import Cursors
from services.review.domain.reasons import Reason
from services.review.ports import ParkedStreams
from services.review.projections import queue

PACE_SECONDS = 1.5  # between two fetches: a person may see an item so much later, and money goes first


@dataclass(frozen=True, kw_only=True)
class Settings(Kernel):
    """What this service needs beside the kernel's."""

    core_url: Annotated[str, Var("CORE_URL", check=is_address)]
    quote_url: Annotated[str, Var("QUOTE_URL", check=is_address)]
    transfer_url: Annotated[str, Var("TRANSFER_URL", check=is_address)]
    deposit_url: Annotated[str, Var("DEPOSIT_URL", check=is_address)]
    payout_url: Annotated[str, Var("PAYOUT_URL", check=is_address)]
    ledger_url: Annotated[str, Var("LEDGER_URL", check=is_address)]
    recon_url: Annotated[str, Var("RECON_URL", check=is_address)]
    niceness: Annotated[int, Var("CORRIDOR_NICENESS", at_least=0, at_most=19)] = 15

    def owners(self) -> dict[str, str]:
        """The address of each other service."""
        return {
            "core_api": self.core_url,
            "quote": self.quote_url,
            "transfer": self.transfer_url,
            "deposit_watcher": self.deposit_url,
            "payout_orchestrator": self.payout_url,
            "ledger": self.ledger_url,
            "reconciliation": self.recon_url,
        }


def service() -> Service:
    """The service as a value."""
    return Service(
        name="review",
        schema="review",
        topic="corridor.review.events.v1",
        deciders=(),
        projections=handlers.PROJECTIONS,
        pace_seconds=PACE_SECONDS,
    )


async def waiting(reads: PostgresStore, parked: ParkedStreams) -> Mapping[Reason, gauges.Waiting]:
    """Open items by reason. A service that does not say what it has parked has its own metric for it."""
    counted = await queue.counts(reads, None)
    found = {reason: gauges.Waiting(each.count, each.oldest_at) for reason, each in counted.items()}
    streams = [item.opened_at for item in (await parked.parked()).items]
    return found | ({Reason.PARKED_STREAM: gauges.Waiting(len(streams), min(streams))} if streams else {})


def main() -> None:
    """Serve until told to stop."""
    settings = load_or_exit(Settings, "review")

    async def build(opened: AsyncExitStack) -> process.Running:
        runtime = Runtime(service(), settings)
        opened.push_async_callback(runtime.close)
        owners = HttpOwners(settings.owners())
        opened.callback(owners.close)
        token = ServiceToken(ServiceTokens.from_settings(settings), settings.service, settings.tenant)
        parked = AskedParked(owners, token, partial(queue.own_parked, runtime.reads))
        reviews = api.Reviews(runtime.reads, parked, Stories(owners), lambda: datetime.now(UTC))
        health = runtime.health()
        routes = api.routes(reviews, Tokens.from_settings(settings), Cursors.from_settings(settings), settings.tenant)
        app = create_app(settings, [routes, lookup_routes(settings, runtime.reads)], health)
        tasks = dict(runtime.tasks()) | {"gauges": partial(gauges.run, partial(waiting, runtime.reads, parked))}
        return process.Running(app=app, tasks=tasks, health=health)

    process.run(settings, build)


if __name__ == "__main__":
    main()
