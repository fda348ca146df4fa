"""A partner's report of money, from raw bytes to units of the engine: the same judgement for HTTP and for Kafka.

Size first, signature second, parse last. Every arrival is kept, sealed, with its verdict; those that are refused
over HTTP within a budget of bytes, since whoever sent them was told, and nobody is told on Kafka.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Annotated, Any
from uuid import UUID

from pydantic import Field, ValidationError

from contracts.deposit.v1 import DepositReferenceMismatched
from services.deposit_watcher.handlers import observe
from services.kernel import metrics
from services.kernel.budget import Budget, headers_kept
from services.kernel.bulk import ITEMS_MAX
from services.kernel.codec import encode
from services.kernel.decider import Answer, Arrival, Meta, Outcome, Unit
from services.kernel.ids import derive
from services.kernel.money import Money, iso4217
from services.kernel.problem import Problem, problem
from services.kernel.rejected import Rejected
from services.kernel.strict_json import Body, faults, invalid_body, parse
from services.kernel.telemetry import logger, shown_id
from services.kernel.vault_arrivals import Seal
from services.kernel.webhook import TOLERANCE_SECONDS, Signed, Verifier

_LOG = logger("deposits")


class DepositReport(Body):
    """Money that was booked on our collection account."""

    reference: Annotated[
        str, Field(min_length=1, max_length=140, description="the partner's own, unique for this money")
    ]
    route: Annotated[
        str, Field(min_length=1, max_length=64, description="what the payer wrote: the creditor reference")
    ]
    amount_minor: Annotated[int, Field(ge=1, le=10**15, description="minor units")]
    currency: Annotated[str, Field(min_length=3, max_length=3, description="ISO 4217")]
    booked_at: Annotated[str, Field(max_length=40, description="RFC 3339, when the partner booked it")]


class DepositBatchReport(Body):
    """Up to 500 reports under one signature, each judged for itself."""

    deposits: Annotated[list[DepositReport], Field(min_length=1, max_length=ITEMS_MAX)]


class _Batch(Body):
    """What must hold for the whole of a batch."""

    deposits: Annotated[list[Any], Field(min_length=1, max_length=ITEMS_MAX)]


@dataclass(frozen=True, slots=True)
class Source:
    """Where bytes came from and what they claimed about themselves."""

    transport: str  # "webhook" | "kafka"
    signature: str | None
    body: bytes
    arrival_id: UUID
    traceparent: str | None = None


@dataclass(frozen=True, slots=True)
class Judged:
    """What became of a source: units to commit, or the problem to answer with (its unit, if any, keeps the bytes)."""

    signed: Signed
    units: tuple[Unit, ...]
    refused: Problem | None = None


class Reports:
    """Judges sources. `now` is the wall clock in seconds: a signature's age is against the partner's wall clock."""

    def __init__(self, verifier: Verifier, tenant: str, now: Callable[[], float], seal: Seal) -> None:
        self._seal = seal
        self._verifier = verifier
        self._tenant = tenant
        self._now = now
        self._budget = Budget(now)
        for partner in (*verifier.partners, "unknown"):
            metrics.prepare_webhook(partner)

    def single(self, source: Source) -> Judged:
        """One report."""
        return self._judge(source, self._one)

    def batch(self, source: Source) -> Judged:
        """Many under one signature."""
        return self._judge(source, self._many)

    def _judge(self, source: Source, read: Callable[[Source, Signed], tuple[Unit, ...]]) -> Judged:
        # A record is as old as our outage was, and a replayed one finds its reference claimed.
        tolerance = None if source.transport == "kafka" else TOLERANCE_SECONDS
        signed = self._verifier.verify(source.signature, source.body, int(self._now()), tolerance)
        if not signed.valid:
            _count(signed, applied=False)
            refused = Problem(
                401, "webhook/invalid-signature", "The signature does not belong to these bytes, or is too old."
            )
            return Judged(signed, self._refused(source, signed, f"invalid_signature:{signed.fault}"), refused)
        try:
            units = read(source, signed)
        except (Problem, Rejected) as trouble:
            _count(signed, applied=False)
            return Judged(signed, self._refused(source, signed, "invalid_body"), _unreadable(trouble))
        _count(signed, applied=True)
        return Judged(signed, units)

    def _one(self, source: Source, signed: Signed) -> tuple[Unit, ...]:
        report = parse(source.body, DepositReport)
        known = shown_id(report.reference)
        _LOG.info("Signature Verified", partner=signed.partner, key_id=signed.key_id, reference=known)
        return (self._unit(source, signed, report, source.arrival_id, source.body, headers_kept(source.signature)),)

    def _many(self, source: Source, signed: Signed) -> tuple[Unit, ...]:
        """The bytes are kept once, with the batch; each item's arrival names the batch and its index."""
        items = parse(source.body, _Batch).deposits
        _LOG.info(
            "Signature Verified", partner=signed.partner, key_id=signed.key_id, reference=f"batch of {len(items)}"
        )
        whole = self._arrival(source, signed, "batch", source.arrival_id, source.body, headers_kept(source.signature))
        units = [Unit((), self._meta(source, signed), arrival=whole)]
        for index, item in enumerate(items):
            inside = json.dumps({"batch": str(source.arrival_id), "index": index}).encode()
            units.append(self._inside(source, signed, item, derive(source.arrival_id, index), inside))
        return tuple(units)

    def _inside(self, source: Source, signed: Signed, item: object, arrival_id: UUID, inside: bytes) -> Unit:
        """One item of a batch; a bad one asks nothing and has its problem for an answer."""
        try:
            return self._unit(source, signed, _report(item), arrival_id, b"", inside)
        except (Problem, Rejected) as trouble:
            _count(signed, applied=False)
            refused = _unreadable(trouble).answer
        arrival = self._arrival(source, signed, "invalid_item", arrival_id, b"", inside)
        return Unit((), self._meta(source, signed), arrival=arrival, answer=lambda _: refused)

    def _unit(
        self, source: Source, signed: Signed, report: DepositReport, arrival_id: UUID, body: bytes, headers: bytes
    ) -> Unit:
        amount = Money(report.amount_minor, iso4217(report.currency))
        booked_at = _time(report.booked_at)
        ask = observe(
            self._tenant,
            arrival_id=arrival_id,
            partner=signed.partner,
            reference=report.reference,
            route=report.route,
            amount=amount,
            booked_at=booked_at,
        )
        known_by = (report.reference, ask.command.content)
        arrival = self._arrival(source, signed, "accepted", arrival_id, body, headers, *known_by)
        meta = Meta(self._tenant, f"partner:{signed.partner}", ask.stream_id, None, None, source.traceparent)
        return Unit((ask,), meta, arrival=arrival, answer=_answer(report.reference), verdict=verdict)

    def _refused(self, source: Source, signed: Signed, why: str) -> tuple[Unit, ...]:
        """Keep the bytes of a refused arrival: a record always, a request within the budget."""
        headers = headers_kept(source.signature)
        if source.transport != "kafka" and not self._budget.affords(signed, source.body, headers):
            return ()
        arrival = self._arrival(source, signed, why, source.arrival_id, source.body, headers)
        return (Unit((), self._meta(source, signed), arrival=arrival),)

    def _arrival(
        self,
        source: Source,
        signed: Signed,
        why: str,
        arrival_id: UUID,
        body: bytes,
        headers: bytes,
        reference: str | None = None,
        content: str | None = None,
    ) -> Arrival:
        """The one place where an arrival is made. Raises Unavailable as long as there is no key to seal it with."""
        sealed = self._seal(signed.partner, arrival_id, body, headers)
        return Arrival(arrival_id, signed.partner, source.transport, *sealed, why, reference, content)

    def _meta(self, source: Source, signed: Signed) -> Meta:
        return Meta(self._tenant, f"partner:{signed.partner}", source.arrival_id, None, None, source.traceparent)


def verdict(outcome: Outcome) -> str:
    """What we made of an arrival: accepted, duplicate, or the same reference with other content, now or before."""
    if any(isinstance(each.event, DepositReferenceMismatched) for each in outcome.events):
        return "reference_mismatch"
    if any("deposit-conflict" in seen.owners for seen in outcome.seen):
        return "reference_mismatch"
    return "accepted" if outcome.events else "duplicate"


def _answer(reference: str) -> Callable[[Outcome], Answer]:
    """The same bytes for a duplicate as for the first: a partner that repeats itself sees no difference."""

    def answer(outcome: Outcome) -> Answer:
        if verdict(outcome) == "reference_mismatch":
            title = "This reference was used before for another deposit"
            return problem(409, "REFERENCE_MISMATCH", "webhook/reference-mismatch", title)
        return 200, encode({"reference": reference, "status": "accepted"})

    return answer


def _report(item: object) -> DepositReport:
    """An item of a batch. Raises Problem 422."""
    try:
        return DepositReport.model_validate(item)
    except ValidationError as error:
        raise invalid_body(faults(error)) from None


def _time(text: str) -> datetime:
    """RFC 3339 with an offset. Raises Problem 422."""
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        found = None
    if found is None or found.tzinfo is None or not 1970 <= found.year <= 9000:
        raise Problem(422, "webhook-body-invalid", errors=[{"pointer": "/booked_at", "code": "time-invalid"}])
    return found


def _unreadable(trouble: Problem | Rejected) -> Problem:
    """What a partner is told of a body, or an item, that cannot be read."""
    if isinstance(trouble, Problem) and trouble.status in {400, 413}:
        return trouble
    detail = trouble.detail if isinstance(trouble, Rejected) else ""
    return Problem(422, "webhook-body-invalid", detail, errors=_errors(trouble))


def _errors(trouble: Problem | Rejected) -> Sequence[Mapping[str, str]]:
    if isinstance(trouble, Rejected):
        return [{"pointer": "", "code": trouble.slug}]
    found: Sequence[Mapping[str, str]] = json.loads(trouble.answer[1]).get("errors", [])
    return found


def _count(signed: Signed, *, applied: bool) -> None:
    metrics.WEBHOOK_EVENTS.labels(signed.partner, str(signed.valid).lower(), str(applied).lower()).inc()
