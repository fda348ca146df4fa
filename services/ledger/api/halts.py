"""HTTP: in which currencies no new money moves, and the two people who let it go on. Decides nothing."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from services.kernel.bulk import answering, commit_item
from services.kernel.codec import encode
from services.kernel.decider import Answer, Ask, Meta, Outcome, RequestKey, Unit
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.http import json_reply, meta, reply
from services.kernel.internal import Callers
from services.kernel.money import CurrencyUnsupported, currencies, iso4217
from services.kernel.routing import Request, Router
from services.kernel.strict_json import Body, parse
from services.ledger.api.asking import OVERSEERS, REASON_CHARS_MAX, STAFF, asked, reason_of
from services.ledger.domain.adjustments import SamePerson
from services.ledger.domain.halts import (
    ApproveLift,
    CurrencyNotHalted,
    Halt,
    HaltCommand,
    Halted,
    LiftAlreadyRequested,
    LiftAsked,
    LiftNotRequested,
    RequestLift,
    Resumed,
    halt_id,
)


class LiftRequest(Body):
    """Why money may move again."""

    reason: str = Field(max_length=REASON_CHARS_MAX, description="kept for ever; no personal data")


class HaltReply(Body):
    """A currency in which the books were found wrong. New money moves again only when it is RESUMED."""

    currency: str
    state: Literal["HALTED", "LIFT_REQUESTED", "RESUMED"]
    halted_at: datetime | None = Field(description="when something was last found; null once it is RESUMED")
    difference_minor: int | None = Field(description="the largest of what was found, without sign")
    journals: list[UUID] = Field(description="entries concerned; 100 at most")
    lift_requested_by: UUID | None
    lift_requested_at: datetime | None
    reason: str | None = Field(description="of who asked to lift it")
    resumed_at: datetime | None


class HaltsReply(Body):
    """All currencies in which something was ever found."""

    halts: list[HaltReply]


class Halts:
    """What the routes need: one object, built in __main__."""

    def __init__(self, commands: GroupCommit, reads: Engine, tenant: str) -> None:
        """`tenant`: the books are of the installation, whoever asks."""
        self._commands = commands
        self._reads = reads
        self._tenant = tenant

    async def all(self) -> list[Mapping[str, Any]]:
        """In the order of the currencies."""
        streams = {halt_id(currency): currency for currency in sorted(currencies())}
        found = await self._reads.heads(list(streams))
        return [view(found[stream][1]) for stream in streams if stream in found]

    async def decide(self, command: HaltCommand, key: RequestKey, asked_by: Meta) -> Response:
        """Ask, and answer with the halt as it then stands."""

        def made(outcome: Outcome) -> Answer:
            return 200, encode(view(outcome.heads[0].state))

        belongs = Meta(
            self._tenant, asked_by.actor, halt_id(command.currency), None, asked_by.reason, asked_by.traceparent
        )
        unit = Unit((Ask(halt_id(command.currency), command),), belongs, key, answer=answering(made))
        return reply(await commit_item(self._commands, unit))


def view(halt: Halt) -> Mapping[str, Any]:
    """HaltReply."""
    assert halt is not None, "a halt begins with a difference"
    shown = dict.fromkeys(("halted_at", "difference_minor", "lift_requested_by", "lift_requested_at", "reason"))
    base: dict[str, Any] = shown | {"state": halt.state, "journals": (), "resumed_at": None}
    match halt:
        case Resumed():
            return base | {"currency": halt.currency, "resumed_at": halt.resumed_at}
        case Halted():
            return base | _found(halt)
        case LiftAsked():
            wish = {
                "lift_requested_by": halt.requested_by, "lift_requested_at": halt.requested_at, "reason": halt.reason,
            }  # fmt: skip
            return base | _found(halt.halted) | wish


def _found(halted: Halted) -> dict[str, Any]:
    return {
        "currency": halted.currency, "halted_at": halted.halted_at, "difference_minor": halted.difference_minor,
        "journals": halted.journals,
    }  # fmt: skip


REFUSED = (CurrencyNotHalted, CurrencyUnsupported, "reason-required")


def routes(halts: Halts, callers: Callers) -> Router:
    """/v1/ledger/halts."""
    router = Router("/v1/ledger/halts")

    @router.get("", reply=HaltsReply, roles=OVERSEERS)
    async def get_halts(request: Request) -> Response:
        """In which currencies no new money moves, since when, and who has asked to lift it."""
        callers.overseer(request.headers)
        return json_reply({"halts": await halts.all()})

    @router.post(
        "/{currency}/lift-requests", status=200, body=LiftRequest, reply=HaltReply, roles=STAFF, keyed=True,
        problems=(*REFUSED, LiftAlreadyRequested),
    )  # fmt: skip
    async def post_lift_request(request: Request) -> Response:
        """For operators: ask to let money move again. Nothing changes before another person approves."""
        body, principal, key = await asked(request, callers, *STAFF)
        reason = reason_of(parse(body, LiftRequest).reason)
        wish = RequestLift(currency=iso4217(request.path_params["currency"]), by=principal.subject, reason=reason)
        return await halts.decide(wish, key, meta(principal, reason))

    @router.post(
        "/{currency}/lift-approvals", status=200, body=LiftRequest, reply=HaltReply, roles=STAFF, keyed=True,
        problems=(*REFUSED, LiftNotRequested, SamePerson),
    )  # fmt: skip
    async def post_lift_approval(request: Request) -> Response:
        """For operators: approve what another person asked for; new money moves within seconds."""
        body, principal, key = await asked(request, callers, *STAFF)
        reason = reason_of(parse(body, LiftRequest).reason)
        yes = ApproveLift(currency=iso4217(request.path_params["currency"]), by=principal.subject, reason=reason)
        return await halts.decide(yes, key, meta(principal, reason))

    return router
