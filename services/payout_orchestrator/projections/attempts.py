"""attempts: what was asked of the provider for a payout, and what it answered. Made of its events; decides nothing."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from datetime import datetime
from functools import reduce
from uuid import UUID

from contracts.payout.v1 import (
    PayoutConfirmed,
    PayoutContradicted,
    PayoutDeferred,
    PayoutEvent,
    PayoutNotKnownToPartner,
    PayoutRefused,
    PayoutSent,
    PayoutSubmitting,
    PayoutUnknown,
)
from services.kernel.value import value


@value(kw_only=True)
class ProviderAnswer:
    """What we were told of a request, or learned of it: at once, by a callback, or because we asked."""

    answer: str  # accepted | deferred | not_sent | refused | unknown | not_known | settled | contradicted
    at: datetime
    error_code: str | None = None  # as received, or why there was no answer
    partner_status: str | None = None  # as received: ACCP, ACSP, PDNG
    partner_reference: str | None = None


@value(kw_only=True)
class Attempt:
    """One request. `request_reference` is the idempotency key that the provider knows it by, the same for all."""

    attempt: int  # from 1; 0: the provider spoke of it before anything was sent
    request_reference: UUID
    submitted_at: datetime | None
    lease_until: datetime | None
    answers: tuple[ProviderAnswer, ...] = ()


def attempts_of(events: Iterable[PayoutEvent]) -> tuple[Attempt, ...]:
    """All of them, in order."""
    return reduce(evolve, events, ())


def evolve(attempts: tuple[Attempt, ...], event: PayoutEvent) -> tuple[Attempt, ...]:
    """A submission begins an attempt; what is said belongs to the last one."""
    if isinstance(event, PayoutSubmitting):
        begun = Attempt(
            attempt=event.attempt, request_reference=event.payout_id, submitted_at=event.submitting_at,
            lease_until=event.lease_until,
        )  # fmt: skip
        return (*attempts, begun)
    answer = answer_of(event)
    if answer is None:
        return attempts
    unasked = Attempt(attempt=0, request_reference=event.payout_id, submitted_at=None, lease_until=None)
    *before, last = attempts or (unasked,)
    return (*before, replace(last, answers=(*last.answers, answer)))


def answer_of(event: PayoutEvent) -> ProviderAnswer | None:
    """What the provider said, if the event is about that."""
    match event:
        case PayoutSent(partner_status=status, partner_reference=reference, sent_at=at):
            return ProviderAnswer(answer="accepted", at=at, partner_status=status, partner_reference=reference)
        case PayoutDeferred(reason=reason, deferred_at=at, unsent=unsent):
            return ProviderAnswer(answer="not_sent" if unsent else "deferred", at=at, error_code=reason)
        case PayoutRefused(reason_code=code, refused_at=at):
            return ProviderAnswer(answer="refused", at=at, error_code=code)
        case PayoutUnknown(reason=reason, unknown_at=at):
            return ProviderAnswer(answer="unknown", at=at, error_code=reason)
        case PayoutNotKnownToPartner(asked_at=at):
            return ProviderAnswer(answer="not_known", at=at)
        case PayoutConfirmed(partner_reference=reference, confirmed_at=at):
            return ProviderAnswer(answer="settled", at=at, partner_reference=reference)
        case PayoutContradicted(said=said, contradicted_at=at):
            return ProviderAnswer(answer="contradicted", at=at, error_code=said)
        case _:
            return None
