"""What the deposit watcher makes of what it hears, and what follows from what it says. Pure."""

from __future__ import annotations

from datetime import datetime, timedelta
from functools import partial
from uuid import UUID

from contracts.deposit.routes import normalised_route, route_id, route_reference
from contracts.deposit.v1 import EVENTS, DepositEvent, DepositObserved, DepositReferenceMismatched
from contracts.transfer.v1 import PayoutCompleted, TransferCancelled, TransferExpired, TransferOpened
from contracts.upcasts import UPCASTS
from services.deposit_watcher.domain.commands import (
    COMMANDS,
    CloseRoute,
    DepositCommand,
    ExpectDeposit,
    GraceOver,
    ObserveDeposit,
    content_of,
)
from services.deposit_watcher.domain.decide import decide
from services.deposit_watcher.domain.states import STAGES, Deadlines, Route, evolve
from services.kernel.decider import Ask, Cause, Claim, Consumes, Decider, SideEffect
from services.kernel.money import Money


def observe(
    tenant: str, *, arrival_id: UUID, partner: str, reference: str, route: str, amount: Money, booked_at: datetime
) -> Ask:
    """A verified report of money, by webhook or by Kafka. The same money claims the same reference on any route.

    Other content under a reference that is taken claims itself, so that its repeats add no event.
    """
    content = content_of(partner, reference, route, amount)
    command = ObserveDeposit(
        route_id=route_id(tenant, route),
        route=normalised_route(route),
        arrival_id=arrival_id,
        partner=partner,
        reference=reference,
        amount=amount,
        booked_at=booked_at,
        content=content,
    )
    first = Claim("deposit", f"{partner}\x1f{reference}", content)
    return Ask(command.route_id, command, claims=(first, Claim("deposit-conflict", content, behind="deposit")))


def on_transfer_opened(opened: TransferOpened, _cause: Cause) -> tuple[Ask, ...]:
    """From now on money on its route is for this transfer."""
    command = ExpectDeposit(
        route_id=opened.route_id,
        route=opened.route,
        transfer_id=opened.transfer_id,
        customer_id=opened.customer_id,
        amount=opened.send,
        tolerance=opened.tolerance,
        deadline=opened.funding_deadline,
    )
    return (Ask(opened.route_id, command),)


def on_transfer_ended(event: TransferCancelled | TransferExpired, _cause: Cause) -> tuple[Ask, ...]:
    """No more money is wanted on its route."""
    return (Ask(event.route_id, CloseRoute(route_id=event.route_id, transfer_id=event.transfer_id)),)


def on_payout_completed(event: PayoutCompleted, cause: Cause) -> tuple[Ask, ...]:
    """The event does not name the route; it follows from the transfer."""
    closed = route_id(cause.tenant, route_reference(event.transfer_id))
    return (Ask(closed, CloseRoute(route_id=closed, transfer_id=event.transfer_id)),)


CONSUMES: Consumes = {
    TransferOpened: on_transfer_opened,
    TransferCancelled: on_transfer_ended,
    TransferExpired: on_transfer_ended,
    PayoutCompleted: on_payout_completed,
}


def plan(deadlines: Deadlines, event: DepositEvent) -> tuple[SideEffect, ...]:
    """Money without a transfer has its grace."""
    match event:
        case DepositObserved(transfer_id=None, observed_at=at):
            return (SideEffect("grace", due_at=at + timedelta(seconds=deadlines.unknown_route_grace_seconds)),)
        case _:
            return ()


def wake(name: str, stream_id: UUID) -> DepositCommand:
    """The command of a due wake."""
    assert name == "grace", name
    return GraceOver(route_id=stream_id)


def transfer_or_route(event: DepositEvent) -> UUID:
    """What an event belongs to: the transfer, or the route as long as no transfer is known."""
    if isinstance(event, DepositReferenceMismatched):
        return event.route_id
    return event.transfer_id or event.route_id


def decider(deadlines: Deadlines) -> Decider[Route, DepositCommand, DepositEvent]:
    """The stream of one route; stream and key are its id."""
    return Decider(
        category="deposit",
        decide=decide,
        evolve=evolve,
        commands=COMMANDS,
        events=EVENTS,
        upcasts=UPCASTS,
        stages=STAGES,
        plan=partial(plan, deadlines),
        correlate=transfer_or_route,
        wake=wake,
    )
