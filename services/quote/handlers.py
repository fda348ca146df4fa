"""What the quote service makes of what it hears, and what follows from what it says. Pure."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any
from uuid import UUID

from contracts.quote.v1 import EVENTS, QuoteCreated, QuoteEvent
from contracts.transfer.v1 import TransferOpened
from contracts.upcasts import UPCASTS
from services.kernel.decider import Ask, Cause, Consumes, Decider, SideEffect
from services.quote.domain import (
    COMMANDS,
    STAGES,
    Accepted,
    AcceptQuote,
    Expired,
    ExpireQuote,
    Quote,
    QuoteCommand,
    decide,
    evolve,
)

EXPIRY_MARGIN_SECONDS = 60  # a transfer that took the quote in its last second is told within this (states.md)


def on_transfer_opened(opened: TransferOpened, _cause: Cause) -> tuple[Ask, ...]:
    """The transfer holds the claim on the quote already, so a refusal here can only be our own bug."""
    return (
        Ask(
            opened.quote_id,
            AcceptQuote(quote_id=opened.quote_id, transfer_id=opened.transfer_id, opened_at=opened.opened_at),
        ),
    )


CONSUMES: Consumes = {TransferOpened: on_transfer_opened}


def plan(expiry_margin_seconds: int, event: QuoteEvent) -> tuple[SideEffect, ...]:
    """A quote that waits has its wake."""
    match event:
        case QuoteCreated(expires_at=expires_at):
            return (SideEffect("expire", due_at=expires_at + timedelta(seconds=expiry_margin_seconds)),)
        case _:
            return ()


def wake(name: str, quote_id: UUID) -> Any:
    """The command of a due wake."""
    assert name == "expire", name
    return ExpireQuote(quote_id=quote_id)


def decider(expiry_margin_seconds: int = EXPIRY_MARGIN_SECONDS) -> Decider[Quote, QuoteCommand, QuoteEvent]:
    """The stream of one quote; stream and key are its id."""
    return Decider(
        category="quote",
        decide=decide,
        evolve=evolve,
        commands=COMMANDS,
        events=EVENTS,
        upcasts=UPCASTS,
        stages=STAGES,
        over=(Accepted, Expired),
        plan=partial(plan, expiry_margin_seconds),
        wake=wake,
    )
