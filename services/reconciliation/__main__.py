"""The process of reconciliation: wiring, by hand. `python -m services.reconciliation`"""

from __future__ import annotations

from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import timedelta
from typing import Annotated

import aiohttp

from contracts import topics
from services.kernel import process
from services.kernel.cursors import Cursors
from services.kernel.http import create_app
from services.kernel.ids import new_id
from services.kernel.internal import lookup_routes
from services.kernel.service import Runtime, Service
from services.kernel.settings import Kernel, Secret, Var, load_or_exit
from services.kernel.tokens import Tokens
from services.kernel.upstream import is_address
from services.reconciliation import handlers
from services.reconciliation.adapters import gauges
from services.reconciliation.adapters.book import HttpBook
from services.reconciliation.adapters.ends import KafkaEnds
from services.reconciliation.adapters.statements.files import Files
from services.reconciliation.adapters.statements.maps import Maps
from services.reconciliation.api import runs as runs_api
from services.reconciliation.api import statements as statements_api
from services.reconciliation.handlers.comparison import Rules
from services.reconciliation.handlers.conductor import Conductor
from services.reconciliation.handlers.schedule import Schedule
from services.reconciliation.handlers.statements import Intake
from services.reconciliation.projections import bookings, deposits, found, payouts, statements, transfers

PACE_SECONDS = 3.0  # between two fetches: nobody waits for what it reads, and money goes first


@dataclass(frozen=True, kw_only=True)
class Settings(Kernel):
    """What this service needs beside the kernel's."""

    bank_url: Annotated[str, Var("BANK_URL", check=is_address)]
    bank_api_key: Annotated[Secret, Var("BANK_API_KEY", chars_min=16, weak_refused=True)]
    interval_seconds: Annotated[int, Var("RECON_INTERVAL_SECONDS", at_least=0)] = 300  # 0: only by request
    grace_seconds: Annotated[int, Var("RECON_GRACE_SECONDS", at_least=0)] = 30
    provider_grace_seconds: Annotated[int, Var("RECON_PROVIDER_GRACE_SECONDS", at_least=0)] = 600
    quiet_seconds: Annotated[int, Var("RECON_QUIET_SECONDS", at_least=0)] = 120
    catch_up_seconds: Annotated[int, Var("RECON_CATCH_UP_SECONDS", at_least=1, at_most=600)] = 60
    statement_maps_file: Annotated[str, Var("STATEMENT_MAPS_FILE")] = "deploy/statement-maps.json"
    niceness: Annotated[int, Var("CORRIDOR_NICENESS", at_least=0, at_most=19)] = 15

    def faults(self) -> list[str]:
        """A silent topic is given more time than a fact's consequences."""
        found_here = super().faults()
        if self.quiet_seconds < self.grace_seconds:
            found_here.append("RECON_QUIET_SECONDS: must not be below RECON_GRACE_SECONDS")
        return found_here

    def rules(self) -> Rules:
        """How patient a run is."""
        return Rules(
            grace=timedelta(seconds=self.grace_seconds),
            provider_grace=timedelta(seconds=self.provider_grace_seconds),
            quiet=timedelta(seconds=self.quiet_seconds),
            catch_up_seconds=self.catch_up_seconds,
        )


def service() -> Service:
    """The service as a value."""
    return Service(
        name="reconciliation",
        schema="recon",
        topic=topics.RECON.name,
        deciders=handlers.DECIDERS,
        projections=(transfers.PROJECTION, deposits.PROJECTION, payouts.PROJECTION, bookings.PROJECTION),
        parts=(*found.PARTS, *statements.PARTS),
        also_of={**found.ALSO_OF, **statements.ALSO_OF},
        pace_seconds=PACE_SECONDS,
    )


def main() -> None:
    """Serve until told to stop."""
    settings = load_or_exit(Settings, "reconciliation")

    async def build(opened: AsyncExitStack) -> process.Running:
        runtime = Runtime(service(), settings)
        opened.push_async_callback(runtime.close)
        session = await opened.enter_async_context(aiohttp.ClientSession())
        book = HttpBook(session, settings.bank_url, settings.bank_api_key.reveal(), settings.tenant)
        conductor = Conductor(
            runtime.session("run"), runtime.commands, runtime.engine("run issues"), book,
            KafkaEnds(settings.kafka_bootstrap), settings.rules(),
            actor=runtime.actor, service=settings.service, epoch=settings.epoch,
        )  # fmt: skip
        schedule = Schedule(conductor, runtime.reads, settings.interval_seconds, settings.tenant, runtime.actor, new_id)
        cursors, tokens = Cursors.from_settings(settings), Tokens.from_settings(settings)
        runs = runs_api.Runs(conductor, runtime.commands, runtime.reads, cursors)
        intake = Intake(
            Files(Maps.of_file(settings.statement_maps_file), book), runtime.engine("statements"),
            runtime.session("statements judged"), settings.tenant,
        )  # fmt: skip
        desk = statements_api.Desk(intake, runtime.commands, runtime.reads, cursors, settings.tenant)
        gauges.show(runtime.probes)
        health = runtime.health()
        routers = [
            runs_api.routes(runs, tokens, settings.tenant), statements_api.routes(desk, tokens, settings.tenant),
            lookup_routes(settings, runtime.reads),
        ]  # fmt: skip
        app = create_app(settings, routers, health)
        return process.Running(app=app, tasks=dict(runtime.tasks()) | {"schedule": schedule.run}, health=health)

    process.run(settings, build)


if __name__ == "__main__":
    main()
