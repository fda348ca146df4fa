"""The process of the payout orchestrator: wiring, by hand. `python -m services.payout_orchestrator`"""

from __future__ import annotations

import time
from contextlib import AsyncExitStack
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from typing import Annotated

import aiohttp

from contracts import topics
from contracts.upcasts import UPCASTS
from services.kernel import metrics, process
from services.kernel.codec import EventCodec
from services.kernel.consumer import Inbox
from services.kernel.cursors import Cursors
from services.kernel.decider import Call
from services.kernel.halts import Halts
from services.kernel.health import Check
from services.kernel.http import create_app
from services.kernel.ids import new_id
from services.kernel.internal import Callers, lookup_routes
from services.kernel.pages import Lists
from services.kernel.pool import Pool
from services.kernel.service import Runtime, Service
from services.kernel.settings import Kernel, Secret, SharedKey, Var, is_key_32, load_or_exit
from services.kernel.vault import Vault, Wrapping
from services.kernel.vault_arrivals import ArrivalKeys
from services.kernel.vault_keys import ARRIVALS, PostgresKeys
from services.kernel.webhook import Verifier
from services.payout_orchestrator import api, handlers
from services.payout_orchestrator.adapters import attempts, reviews
from services.payout_orchestrator.adapters.bank import BankRail, callback_command
from services.payout_orchestrator.adapters.creditors import VaultOpener
from services.payout_orchestrator.api.lists import list_routes
from services.payout_orchestrator.domain.policy import DEFAULT_RULES, Deadlines
from services.payout_orchestrator.projections import currency_halts

CONNECTIONS_MAX = 20  # to the partner, at once


@dataclass(frozen=True, kw_only=True)
class Settings(Kernel):
    """What this service needs beside the kernel's."""

    bank_url: Annotated[str, Var("BANK_URL")]
    bank_api_key: Annotated[Secret, Var("BANK_API_KEY", chars_min=16, weak_refused=True)]
    bank_timeout_seconds: Annotated[int, Var("BANK_TIMEOUT_SECONDS", at_least=1, at_most=45)] = 20
    webhook_keys: Annotated[tuple[SharedKey, ...], Var("PAYOUT_WEBHOOK_SECRETS")]
    kek: Annotated[Secret, Var("CORRIDOR_KEK", check=is_key_32)]
    kek_previous: Annotated[Secret | None, Var("CORRIDOR_KEK_PREVIOUS", check=is_key_32)] = None
    submission_seconds: Annotated[int, Var("PAYOUT_SUBMISSION_SECONDS", at_least=1)] = 14_400
    lease_seconds: Annotated[int, Var("PAYOUT_LEASE_SECONDS", at_least=5)] = 60
    first_poll_seconds: Annotated[int, Var("PAYOUT_FIRST_POLL_SECONDS", at_least=1)] = 60
    settlement_seconds: Annotated[int, Var("PAYOUT_SETTLEMENT_SECONDS", at_least=1)] = 86_400
    unknown_first_ask_seconds: Annotated[int, Var("PAYOUT_UNKNOWN_ASK_SECONDS", at_least=1)] = 5
    settling_delay_seconds: Annotated[int, Var("PAYOUT_SETTLING_DELAY_SECONDS", at_least=1)] = 30
    unknown_deadline_seconds: Annotated[int, Var("PAYOUT_UNKNOWN_DEADLINE_SECONDS", at_least=1)] = 3_600

    def faults(self) -> list[str]:
        """A live call must not outlast its leases: its payout's, and its batch's, which may ask before it submits."""
        found = super().faults()
        if self.lease_seconds <= self.bank_timeout_seconds:
            found.append("PAYOUT_LEASE_SECONDS: must be above BANK_TIMEOUT_SECONDS")
        if self.effect_lease_seconds <= 2 * self.bank_timeout_seconds:
            found.append("CORRIDOR_EFFECT_LEASE_SECONDS: must be above twice BANK_TIMEOUT_SECONDS")
        return found


def deadlines_of(settings: Settings) -> Deadlines:
    """The configured deadlines."""
    return Deadlines(
        submission=timedelta(seconds=settings.submission_seconds),
        lease=timedelta(seconds=settings.lease_seconds),
        first_poll=timedelta(seconds=settings.first_poll_seconds),
        settlement=timedelta(seconds=settings.settlement_seconds),
        unknown_first_ask=timedelta(seconds=settings.unknown_first_ask_seconds),
        settling_delay=timedelta(seconds=settings.settling_delay_seconds),
        unknown_deadline=timedelta(seconds=settings.unknown_deadline_seconds),
    )


def service(deadlines: Deadlines) -> Service:
    """The payout orchestrator as a value."""
    return Service(
        name="payout_orchestrator",
        schema="payout",
        topic=topics.PAYOUT.name,
        deciders=(handlers.decider(DEFAULT_RULES, deadlines),),
        inbox=Inbox(
            "payout_orchestrator",
            handlers.CONSUMES,
            {topics.TRANSFER.name: EventCodec(topics.TRANSFER.events, UPCASTS)},
        ),
        parts=(reviews.PART,),
        also_of=reviews.ALSO_OF,
        worker="payout",
        committed=reviews.committed,
        projections=(currency_halts.PROJECTION,),
    )


def main() -> None:
    """Serve until told to stop."""
    settings = load_or_exit(Settings, "payout_orchestrator")
    deadlines = deadlines_of(settings)

    async def build(opened: AsyncExitStack) -> process.Running:
        pool = Pool.of(settings, "vault", "vault")
        opened.push_async_callback(pool.close)
        vault = Vault(PostgresKeys(pool), kek=settings.kek, kek_previous=settings.kek_previous, digest_key=settings.kek)
        connections = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
        session = await opened.enter_async_context(aiohttp.ClientSession(connector=connections))
        timeout = settings.bank_timeout_seconds
        rail = BankRail(session, settings.bank_url, settings.bank_api_key.reveal(), timeout_seconds=timeout)

        def halted() -> frozenset[str] | None:
            return halts()  # which reads through the runtime, which is made with the calls

        calls: list[Call] = [
            handlers.SubmitPayout(
                rail,
                VaultOpener(vault, settings.tenant),
                lambda: datetime.now(UTC),
                timedelta(seconds=timeout),
                attempts.count,
                halted=halted,
            ),
            handlers.AskPartner(rail, deadlines),
        ]
        runtime = Runtime(service(deadlines), settings, calls)
        halts = Halts(runtime.probes)
        opened.push_async_callback(runtime.close)
        verifier = Verifier(settings.webhook_keys)
        metrics.prepare_payouts(verifier.partners)
        reviews.show(runtime.probes)
        keys = ArrivalKeys(
            PostgresKeys(pool, ARRIVALS), Wrapping(settings.kek, settings.kek_previous), settings.tenant,
            verifier.partners, now=lambda: datetime.now(UTC),
        )  # fmt: skip
        callbacks = api.Callbacks(
            runtime.commands, runtime.reading, verifier, callback_command,
            settings.tenant, time.time, new_id, keys.seal,
        )  # fmt: skip
        health = runtime.health()
        health.also("vault", Check(keys.prepared))
        callers, lists = Callers.from_settings(settings), Lists(runtime.reading, Cursors.from_settings(settings))
        routers = [
            api.routes(callbacks, callers),
            list_routes(lists, callers),
            lookup_routes(settings, runtime.reads),
        ]
        app = create_app(settings, routers, health)
        tasks = dict(runtime.tasks()) | {"arrival-keys": keys.keep, "halts": halts.watch}
        return process.Running(app=app, tasks=tasks, health=health)

    process.run(settings, build)


if __name__ == "__main__":
    main()
