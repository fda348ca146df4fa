"""HTTP: adjustments, proposed by one person and approved by another. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from contracts.ledger.v1 import Posting
from services.kernel.bulk import answering, commit_item
from services.kernel.codec import encode
from services.kernel.decider import Answer, Ask, Meta, Outcome, RequestKey, Unit
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.http import json_reply, meta, reply
from services.kernel.internal import Callers
from services.kernel.money import AmountOutOfRange, CurrencyUnsupported, Money, iso4217
from services.kernel.routing import Request, Router
from services.kernel.strict_json import Body, Id, parse, read_uuid
from services.ledger.api.asking import OVERSEERS, REASON_CHARS_MAX, STAFF, asked, reason_of
from services.ledger.domain.adjustments import (
    AccountOverdrawn,
    Adjustment,
    AdjustmentDecided,
    AdjustmentInvalid,
    AdjustmentNotFound,
    ApproveAdjustment,
    Approved,
    Closed,
    ProposeAdjustment,
    Proposed,
    RejectAdjustment,
    SamePerson,
)

ADJUSTMENT_DAYS = 7


class LineRequest(Body):
    """One line."""

    account_id: str = Field(min_length=3, max_length=200, pattern=r"^[A-Za-z0-9_:-]+$")
    side: Literal["debit", "credit"]
    amount_minor: int = Field(ge=1)
    currency: str = Field(min_length=3, max_length=3)


class AdjustmentRequest(Body):
    """A journal entry that a person wants, with why."""

    lines: Annotated[list[LineRequest], Field(min_length=1, max_length=50)]
    transfer_id: Id | None = None
    reason: str = Field(max_length=REASON_CHARS_MAX, description="kept for ever; no personal data")
    evidence: str = Field(min_length=1, max_length=200, description="where the proof is: a ticket, a document")


class DecisionRequest(Body):
    """Why yes, or why no."""

    reason: str = Field(max_length=REASON_CHARS_MAX)


class AdjustmentReply(Body):
    """An adjustment as it stands. Nothing is in the books before it is ADJUSTED."""

    adjustment_id: UUID
    state: Literal["PROPOSED", "ADJUSTED", "CLOSED"]
    proposed_by: str | None
    approved_by: str | None
    reason: str | None
    evidence: str | None
    entry_id: UUID | None
    lines: list[LineRequest]


class Adjustments:
    """What the routes need: one object, built in __main__."""

    def __init__(
        self, commands: GroupCommit, reads: Engine, now: Callable[[], datetime] = lambda: datetime.now(UTC)
    ) -> None:
        self._commands = commands
        self._reads = reads
        self._now = now

    async def propose(self, wish: AdjustmentRequest, key: RequestKey, asked: Meta, person: str) -> Response:
        """One person's wish."""
        adjustment_id = key.derive("adjustment")
        command = ProposeAdjustment(
            adjustment_id=adjustment_id, lines=tuple(map(_posting, wish.lines)), transfer_id=wish.transfer_id,
            reason=wish.reason.strip(), evidence=wish.evidence, proposed_by=person,
            due_at=self._now() + timedelta(days=ADJUSTMENT_DAYS),
        )  # fmt: skip
        return await self._decide(adjustment_id, Ask(adjustment_id, command), key, asked, 201)

    async def approve(self, adjustment_id: UUID, reason: str, key: RequestKey, asked: Meta, person: str) -> Response:
        """Another person's yes; its ask reads the accounts that the proposal names."""
        found = await self.find(adjustment_id, asked.tenant)
        accounts = {line.account for line in found.lines} if isinstance(found, Proposed) else set()
        command = ApproveAdjustment(adjustment_id=adjustment_id, approved_by=person, reason=reason)
        ask = Ask(adjustment_id, command, reads=tuple(sorted(accounts)))
        return await self._decide(adjustment_id, ask, key, asked, 200)

    async def reject(self, adjustment_id: UUID, reason: str, key: RequestKey, asked: Meta, person: str) -> Response:
        """Anybody's no."""
        await self.find(adjustment_id, asked.tenant)
        command = RejectAdjustment(adjustment_id=adjustment_id, rejected_by=person, reason=reason)
        return await self._decide(adjustment_id, Ask(adjustment_id, command), key, asked, 200)

    async def find(self, adjustment_id: UUID, tenant: str) -> Proposed | Approved | Closed:
        """As it stands. Raises AdjustmentNotFound."""
        head = (await self._reads.heads([adjustment_id])).get(adjustment_id)
        if head is None or head[0].tenant != tenant or not isinstance(head[1], Proposed | Approved | Closed):
            raise AdjustmentNotFound(adjustment_id)
        return head[1]

    async def _decide(self, adjustment_id: UUID, ask: Ask, key: RequestKey, asked: Meta, status: int) -> Response:
        def made(outcome: Outcome) -> Answer:
            return status, encode(view(adjustment_id, outcome.heads[0].state))

        unit = Unit((ask,), asked, key, answer=answering(made))
        return reply(await commit_item(self._commands, unit))


def _posting(line: LineRequest) -> Posting:
    return Posting(account=line.account_id, side=line.side, amount=Money(line.amount_minor, iso4217(line.currency)))


def view(adjustment_id: UUID, adjustment: Adjustment) -> Mapping[str, Any]:
    """An adjustment for staff."""
    assert adjustment is not None, "it was just decided"
    return {
        "adjustment_id": adjustment_id,
        "state": adjustment.state,
        "proposed_by": getattr(adjustment, "proposed_by", None),
        "approved_by": getattr(adjustment, "approved_by", None),
        "reason": getattr(adjustment, "reason", None),
        "evidence": getattr(adjustment, "evidence", None),
        "entry_id": getattr(adjustment, "entry_id", None),
        "lines": [
            {
                "account_id": line.account,
                "side": line.side,
                "amount_minor": line.amount.minor,
                "currency": line.amount.currency,
            }
            for line in getattr(adjustment, "lines", ())
        ],
    }


PROPOSE = (AdjustmentInvalid, CurrencyUnsupported, AmountOutOfRange, "reason-required")
DECIDE = (AdjustmentNotFound, AdjustmentDecided, SamePerson, AccountOverdrawn, "reason-required")


def routes(adjustments: Adjustments, callers: Callers) -> Router:
    """/v1/ledger/adjustments."""
    router = Router("/v1/ledger/adjustments")

    @router.post("", body=AdjustmentRequest, reply=AdjustmentReply, roles=STAFF, keyed=True, problems=PROPOSE)
    async def post_adjustment(request: Request) -> Response:
        """For operators: propose a journal entry. Another person approves it, or nothing is posted."""
        body, principal, key = await asked(request, callers, *STAFF)
        wish = parse(body, AdjustmentRequest)
        reason = reason_of(wish.reason)
        return await adjustments.propose(wish, key, meta(principal, reason), str(principal.subject))

    @router.post(
        "/{adjustment_id}/approvals", status=200, body=DecisionRequest, reply=AdjustmentReply, roles=STAFF,
        keyed=True, problems=DECIDE,
    )  # fmt: skip
    async def post_approval(request: Request) -> Response:
        """For operators: approve what another person proposed; it is in the books when this answers."""
        body, principal, key = await asked(request, callers, *STAFF)
        reason = reason_of(parse(body, DecisionRequest).reason)
        adjustment_id = read_uuid(request.path_params["adjustment_id"])
        return await adjustments.approve(adjustment_id, reason, key, meta(principal, reason), str(principal.subject))

    @router.post(
        "/{adjustment_id}/rejections", status=200, body=DecisionRequest, reply=AdjustmentReply,
        roles=STAFF, keyed=True, problems=DECIDE,
    )  # fmt: skip
    async def post_rejection(request: Request) -> Response:
        """For operators: say no, or take back what you proposed."""
        body, principal, key = await asked(request, callers, *STAFF)
        reason = reason_of(parse(body, DecisionRequest).reason)
        adjustment_id = read_uuid(request.path_params["adjustment_id"])
        return await adjustments.reject(adjustment_id, reason, key, meta(principal, reason), str(principal.subject))

    @router.get("/{adjustment_id}", reply=AdjustmentReply, roles=OVERSEERS, problems=(AdjustmentNotFound,))
    async def get_adjustment(request: Request) -> Response:
        """An adjustment as it stands."""
        principal = callers.overseer(request.headers)
        adjustment_id = read_uuid(request.path_params["adjustment_id"])
        return json_reply(view(adjustment_id, await adjustments.find(adjustment_id, principal.tenant)))

    return router
