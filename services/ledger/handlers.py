"""What the ledger makes of what it hears: one entry for each fact that moves money. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, cast
from uuid import UUID

from contracts.deposit.v1 import DepositObserved
from contracts.ledger.v1 import (
    ADJUSTMENT_EVENTS,
    HALT_EVENTS,
    HOLD_EVENTS,
    AdjustmentEvent,
    AdjustmentProposed,
    BlockClosed,
    EntryPosted,
    HaltEvent,
    HoldEvent,
    HoldPlaced,
)
from contracts.payout.v1 import PayoutConfirmed
from contracts.transfer.v1 import FundingConfirmed, PayoutInitiated
from contracts.upcasts import UPCASTS
from services.kernel.decider import Ask, Cause, Consumes, Decider, SideEffect
from services.kernel.ids import derive
from services.kernel.money import Money, zero
from services.ledger.domain import adjustments, blocks, halts, holds
from services.ledger.domain.entries import STAGES, Entry, PostEntry, decide, evolve
from services.ledger.domain.templates import lines


def on_deposit_observed(observed: DepositObserved, cause: Cause) -> tuple[Ask, ...]:
    """Cash is ours to explain, whatever anybody thinks of it."""
    return _post(
        "deposit.observed", cause, observed.observed_at, observed.transfer_id,
        names={"partner": observed.partner},
        amounts={"amount": observed.amount},
    )  # fmt: skip


def on_funding_confirmed(funded: FundingConfirmed, cause: Cause) -> tuple[Ask, ...]:
    """The customer gets all that they sent; what is short or over inside the tolerance is ours."""
    nothing = zero(funded.send.currency)
    short = funded.send - funded.received if funded.received < funded.send else nothing
    over = funded.received - funded.send if funded.send < funded.received else nothing
    return _post(
        "transfer.funding_confirmed", cause, funded.confirmed_at, funded.transfer_id,
        names={"customer": str(funded.customer_id)},
        amounts={"received": funded.received, "send": funded.send, "short": short, "over": over},
    )  # fmt: skip


def on_payout_initiated(initiated: PayoutInitiated, cause: Cause) -> tuple[Ask, ...]:
    """Money may have left: the customer's is used, ours are fee and spread, the partner is owed the rest."""
    return _post(
        "transfer.payout_initiated", cause, initiated.initiated_at, initiated.transfer_id,
        names={"customer": str(initiated.customer_id)},
        amounts={
            "send": initiated.send, "fee": initiated.fee, "spread": initiated.spread,
            "converted": initiated.converted, "receive": initiated.receive,
        },
    )  # fmt: skip


def on_payout_confirmed(confirmed: PayoutConfirmed, cause: Cause) -> tuple[Ask, ...]:
    """The partner has paid from our float."""
    return _post(
        "payout.confirmed", cause, confirmed.confirmed_at, confirmed.transfer_id,
        names={"partner": confirmed.partner},
        amounts={"receive": confirmed.amount},
    )  # fmt: skip


CONSUMES: Consumes = {
    DepositObserved: on_deposit_observed,
    FundingConfirmed: on_funding_confirmed,
    PayoutInitiated: on_payout_initiated,
    PayoutConfirmed: on_payout_confirmed,
}


def _post(
    kind: str,
    cause: Cause,
    caused_at: datetime,
    transfer_id: UUID | None,
    *,
    names: Mapping[str, str],
    amounts: Mapping[str, Money],
) -> tuple[Ask, ...]:
    """The entry of this cause and kind; none when no money moves."""
    postings = lines(kind, names, amounts)
    if not postings:
        return ()
    entry_id = derive("entry", cause.event_id, kind)
    command = PostEntry(
        entry_id=entry_id, kind=kind, cause_id=cause.event_id, transfer_id=transfer_id, lines=postings,
        caused_at=caused_at,
    )  # fmt: skip
    return (Ask(entry_id, command),)


def deciders() -> tuple[Decider[Any, Any, Any], ...]:
    """All that the ledger decides."""
    return (decider(), hold_decider(), adjustment_decider(), block_decider(), halt_decider())


def plan(event: object) -> tuple[SideEffect, ...]:
    """A hold and a proposal wait until they are due."""
    match event:
        case HoldPlaced(due_at=at):
            return (SideEffect("hold_overdue", at),)
        case AdjustmentProposed(due_at=at):
            return (SideEffect("adjustment_expiry", at),)
        case _:
            return ()


def hold_decider() -> Decider[holds.Hold, Any, HoldEvent]:
    """Holds. Their records are keyed by their customer, so that all of one account come in order."""
    return Decider(
        category="hold",
        decide=holds.decide,
        evolve=holds.evolve,
        commands=holds.COMMANDS,
        events=HOLD_EVENTS,
        upcasts=UPCASTS,
        stages=holds.STAGES,
        over=(holds.Refused, holds.Used, holds.Voided),
        plan=plan,
        key_of=lambda first: cast("HoldPlaced", first).customer_id,
        correlate=lambda event: getattr(event, "transfer_id", None),
        wake=lambda name, stream_id: holds.ReportHold(hold_id=stream_id),
    )


def adjustment_decider() -> Decider[adjustments.Adjustment, Any, AdjustmentEvent]:
    """Manual journals, by two people."""
    return Decider(
        category="adjustment",
        decide=adjustments.decide,
        evolve=adjustments.evolve,
        commands=adjustments.COMMANDS,
        events=ADJUSTMENT_EVENTS,
        upcasts=UPCASTS,
        stages=adjustments.STAGES,
        over=(adjustments.Approved, adjustments.Closed),
        plan=plan,
        correlate=lambda event: getattr(event, "transfer_id", None),
        wake=lambda name, stream_id: adjustments.ExpireAdjustment(adjustment_id=stream_id),
    )


def decider() -> Decider[Entry, PostEntry, EntryPosted]:
    """Journal entries. A record is keyed by its transfer, if it has one."""
    return Decider(
        category="entry",
        decide=decide,
        evolve=evolve,
        commands=(PostEntry,),
        events=(EntryPosted,),
        upcasts=UPCASTS,
        stages=STAGES,
        key_of=lambda first: cast("EntryPosted", first).transfer_id or cast("EntryPosted", first).entry_id,
        correlate=lambda event: cast("EntryPosted", event).transfer_id,
    )


def block_decider() -> Decider[blocks.Blocks, blocks.CloseBlock, BlockClosed]:
    """Which entries are settled: one stream for all blocks."""
    return Decider(
        category="blocks",
        decide=blocks.decide,
        evolve=blocks.evolve,
        commands=blocks.COMMANDS,
        events=(BlockClosed,),
        upcasts=UPCASTS,
        stages=blocks.STAGES,
    )


def halt_decider() -> Decider[halts.Halt, halts.HaltCommand, HaltEvent]:
    """In which currencies no new money moves: a stream for each."""
    return Decider(
        category="halt",
        decide=halts.decide,
        evolve=halts.evolve,
        commands=halts.COMMANDS,
        events=HALT_EVENTS,
        upcasts=UPCASTS,
        stages=halts.STAGES,
        correlate=lambda event: event.halt_id,
    )
