"""The process of the quote service: wiring, by hand. `python -m services.quote`"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Annotated

import aiohttp

from contracts import topics
from contracts.upcasts import UPCASTS
from services.kernel import process
from services.kernel.codec import EventCodec
from services.kernel.consumer import Inbox
from services.kernel.http import create_app
from services.kernel.internal import lookup_routes
from services.kernel.service import Runtime, Service
from services.kernel.settings import Kernel, Var, load_or_exit
from services.kernel.tokens import ServiceTokens, Tokens
from services.quote import api, handlers
from services.quote.adapters import corridors
from services.quote.adapters.rates import RateFeed
from services.quote.api.rates import rate_routes


@dataclass(frozen=True, kw_only=True)
class Settings(Kernel):
    """What this service needs beside the kernel's."""

    corridors_file: Annotated[str, Var("CORRIDORS_FILE")] = "deploy/corridors.json"
    rates_url: Annotated[str, Var("RATES_URL")]


def service() -> Service:
    """The quote service as a value."""
    return Service(
        name="quote",
        schema="quote",
        topic=topics.QUOTE.name,
        deciders=(handlers.decider(),),
        inbox=Inbox("quote", handlers.CONSUMES, {topics.TRANSFER.name: EventCodec(topics.TRANSFER.events, UPCASTS)}),
    )


def now() -> datetime:
    """The clock of what is priced and of how old a rate is."""
    return datetime.now(UTC)


def main() -> None:
    """Serve until told to stop."""
    settings = load_or_exit(Settings, "quote")

    async def build(opened: AsyncExitStack) -> process.Running:
        runtime = Runtime(service(), settings)
        opened.push_async_callback(runtime.close)
        known = corridors.load(Path(settings.corridors_file))
        feed = RateFeed(await opened.enter_async_context(aiohttp.ClientSession()), settings.rates_url)
        quotes = api.Quotes(runtime.commands, runtime.reading, known, feed, now)
        health, services = runtime.health(), ServiceTokens.from_settings(settings)
        routes = [
            api.routes(quotes, known, Tokens.from_settings(settings)),
            api.internal_routes(quotes, services),
            rate_routes(known, feed, services, now),
            lookup_routes(settings, runtime.reads),
        ]
        app = create_app(settings, routes, health)
        return process.Running(app=app, tasks=dict(runtime.tasks()) | {"rates": feed.run}, health=health)

    process.run(settings, build)


if __name__ == "__main__":
    main()
