"""Who listens to which event, read from the services themselves, and why some events have no listener."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator, Mapping
from importlib import import_module
from importlib.util import find_spec

import contracts.customer.v1 as customer
import contracts.deposit.v1 as deposit
import contracts.ledger.v1 as ledger
import contracts.quote.v1 as quote
import contracts.recon.v1 as recon
from services.kernel.projector import Projection

SERVICES = (
    "core_api", "quote", "transfer", "deposit_watcher", "payout_orchestrator", "ledger", "reconciliation", "review",
)  # fmt: skip

OWN = "a step that only its own service goes on from; on the topic for recovery and for timelines"
PERSON = "for a person; nothing goes on by itself"
UNREAD: Mapping[type, str] = {
    customer.UserRegistered: "logins are judged where users are kept",
    customer.SessionOpened: OWN,
    customer.SessionRefreshed: OWN,
    customer.SessionEnded: OWN,
    customer.MaintenanceStarted: "the door itself reads it; on the topic for recovery and for timelines",
    customer.MaintenanceEnded: "the door itself reads it; on the topic for recovery and for timelines",
    quote.QuoteAccepted: "learned from `transfer.opened`; who needs it reads that",
    quote.QuoteExpired: "the transfer service judges the expiry at its own time",
    deposit.DepositExpected: OWN,
    deposit.DepositRouteClosed: OWN,
    ledger.HoldPlaced: "for whoever asked for it: the withdraw of a wallet, which is not built yet",
    ledger.HoldRefused: "for whoever asked for it: the withdraw of a wallet, which is not built yet",
    ledger.HoldPosted: OWN,
    ledger.HoldVoided: OWN,
    ledger.HoldOverdue: PERSON,
    ledger.AdjustmentProposed: PERSON,
    ledger.Adjusted: PERSON,
    ledger.AdjustmentRejected: PERSON,
    ledger.AdjustmentExpired: PERSON,
    ledger.BlockClosed: "the anchor of a digest outside the tables: `ledger verify` compares it",
    ledger.LiftRequested: PERSON,
    recon.RunStarted: OWN,
    recon.RunRefused: PERSON,
    recon.RunCompleted: PERSON,
    recon.RunFailed: PERSON,
    recon.StatementReceived: OWN,
    recon.StatementCompleted: OWN,
    recon.StatementLineRecorded: OWN,
    recon.StatementLineParked: PERSON,
}


def readers() -> dict[type, tuple[str, ...]]:
    """Event class -> the services that act on it or keep a read table of it."""
    found: dict[type, set[str]] = {}
    for service in SERVICES:
        for event in _heard(service):
            found.setdefault(event, set()).add(service)
    return {event: tuple(sorted(names)) for event, names in found.items()}


def _heard(service: str) -> Iterator[type]:
    handlers = import_module(f"services.{service}.handlers")
    yield from getattr(handlers, "CONSUMES", {})
    for projection in _projections(service):
        yield from projection.wanted


def _projections(service: str) -> Iterator[Projection]:
    room = f"services.{service}.projections"
    if find_spec(room) is None:
        return
    for module in pkgutil.iter_modules(import_module(room).__path__):
        found = getattr(import_module(f"{room}.{module.name}"), "PROJECTION", None)
        if isinstance(found, Projection):
            yield found
