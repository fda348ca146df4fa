"""The process of the transfer service: wiring, by hand. `python -m services.transfer`"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated

from contracts import topics
from contracts.upcasts import UPCASTS
from services.kernel import process
from services.kernel.codec import EventCodec
from services.kernel.consumer import Inbox
from services.kernel.cursors import Cursors
from services.kernel.halts import Halts
from services.kernel.http import create_app
from services.kernel.internal import Callers, lookup_routes
from services.kernel.pages import Lists
from services.kernel.service import Runtime, Service
from services.kernel.settings import Kernel, Var, load_or_exit
from services.kernel.tokens import ServiceToken, ServiceTokens, Tokens
from services.kernel.upstream import Upstream, is_address
from services.transfer import api, handlers
from services.transfer.adapters.owners import Owner
from services.transfer.api.facts import OwnedPeople, OwnedQuotes
from services.transfer.api.lists import list_routes
from services.transfer.domain.states import Deadlines
from services.transfer.projections import currency_halts, profiles, quote_terms


@dataclass(frozen=True, kw_only=True)
class Settings(Kernel):
    """What this service needs beside the kernel's."""

    quote_url: Annotated[str, Var("QUOTE_URL", check=is_address)]
    core_url: Annotated[str, Var("CORE_URL", check=is_address)]
    payout_overdue_seconds: Annotated[int, Var("PAYOUT_OVERDUE_SECONDS", at_least=1)] = 600
    review_seconds: Annotated[int, Var("PAYOUT_REVIEW_SECONDS", at_least=1)] = 4 * 3600
    late_funding_seconds: Annotated[int, Var("LATE_FUNDING_SECONDS", at_least=1)] = 86_400


def service(deadlines: Deadlines) -> Service:
    """The transfer service as a value."""
    codecs = {topic.name: EventCodec(topic.events, UPCASTS) for topic in (topics.DEPOSIT, topics.PAYOUT)}
    return Service(
        name="transfer",
        schema="transfer",
        topic=topics.TRANSFER.name,
        deciders=(handlers.decider(deadlines),),
        inbox=Inbox("transfer", handlers.CONSUMES, codecs),
        projections=(quote_terms.PROJECTION, profiles.PROJECTION, currency_halts.PROJECTION),
    )


def main() -> None:
    """Serve until told to stop."""
    settings = load_or_exit(Settings, "transfer")
    deadlines = Deadlines(
        payout_overdue_seconds=settings.payout_overdue_seconds,
        review_seconds=settings.review_seconds,
        late_funding_seconds=settings.late_funding_seconds,
    )

    async def build(opened: AsyncExitStack) -> process.Running:
        runtime = Runtime(service(deadlines), settings)
        opened.push_async_callback(runtime.close)
        tokens = Tokens.from_settings(settings)
        quote, core = Upstream(settings.quote_url), Upstream(settings.core_url)
        for each in (quote, core):
            opened.callback(each.close)
        token = ServiceToken(ServiceTokens.from_settings(settings), settings.service, settings.tenant)
        quotes = OwnedQuotes(runtime.reads, Owner(quote, "/internal/quotes/terms", token))
        people = OwnedPeople(runtime.reads, Owner(core, "/internal/profiles", token))
        halts = Halts(runtime.probes)
        transfers = api.Transfers(runtime.commands, runtime.reading, quotes, people, halts)
        health = runtime.health()
        callers, lists = Callers.from_settings(settings), Lists(runtime.reading, Cursors.from_settings(settings))
        routers = [
            api.routes(transfers, tokens, callers),
            list_routes(lists, callers, api.view),
            lookup_routes(settings, runtime.reads),
        ]
        app = create_app(settings, routers, health)
        return process.Running(app=app, tasks=dict(runtime.tasks()) | {"halts": halts.watch}, health=health)

    process.run(settings, build)


if __name__ == "__main__":
    main()
