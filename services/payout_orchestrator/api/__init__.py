"""HTTP in front of the payout domain: the partners' callbacks, and what staff look at. Decides nothing."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Annotated, Any, Literal
from uuid import UUID

from pydantic import ConfigDict, Field
from starlette.responses import Response

from services.kernel import metrics, tracing
from services.kernel.budget import Budget, headers_kept
from services.kernel.bulk import ITEMS_MAX, commit
from services.kernel.codec import encode
from services.kernel.decider import Arrival, Ask, Meta, Outcome, Unit
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.http import Reply
from services.kernel.internal import OVERSEERS, Callers
from services.kernel.problem import Problem
from services.kernel.routing import BULK_BYTES_MAX, Request, Router
from services.kernel.strict_json import Body, parse, read_uuid
from services.kernel.telemetry import logger
from services.kernel.tokens import Principal
from services.kernel.vault_arrivals import Seal
from services.kernel.webhook import HEADER, Signed, Verifier
from services.payout_orchestrator.api.replies import PayoutNotFound, PayoutReply, view
from services.payout_orchestrator.domain.commands import PayoutCommand

CallbackReader = Callable[[object], PayoutCommand]
_LOG = logger("payouts")


class CallbackItem(Body):
    """What a partner says of one payout; the words are ISO 20022 (ACSC settled, RJCT refused, ACSP in progress).

    A member that we do not know is ignored: it does not make the fact untrue.
    """

    model_config = ConfigDict(extra="ignore")

    end_to_end_id: str
    status: str
    reason_code: str | None = None
    reference: str | None = None
    amount_minor: int | None = None
    currency: str | None = None
    settled_at: str | None = None


class CallbackRequest(Body):
    """Up to 500 payouts in one callback."""

    payouts: Annotated[list[CallbackItem], Field(min_length=1, max_length=ITEMS_MAX)]


class CallbackResult(Body):
    """What we made of one item. `unmatched`: not a payout that you were given. `failed`: send it again."""

    end_to_end_id: UUID | None
    status: Literal["accepted", "unmatched", "failed", "unreadable"]


class CallbackReply(Body):
    """A result for each item, in the order of the request."""

    results: list[CallbackResult]


class _Envelope(Body):
    """What must hold for the whole of a callback."""

    payouts: Annotated[list[Any], Field(min_length=1, max_length=ITEMS_MAX)]


class Callbacks:
    """What the routes need: one object, built in __main__."""

    def __init__(
        self,
        commands: GroupCommit,
        reads: Engine,
        verifier: Verifier,
        read: CallbackReader,
        tenant: str,
        now: Callable[[], float],
        new_id: Callable[[], UUID],
        seal: Seal,
    ) -> None:
        self._commands = commands
        self._reads = reads
        self._verifier = verifier
        self._read = read
        self._tenant = tenant
        self._now = now
        self._new_id = new_id
        self._seal = seal
        self._budget = Budget(now)
        for partner in (*verifier.partners, "unknown"):
            metrics.prepare_webhook(partner)

    async def receive(self, signature: str | None, body: bytes) -> Response:
        """Verify, keep the bytes (if refused, within the budget), settle each item. 200 once all of it is committed."""
        signed = self._verifier.verify(signature, body, int(self._now()))
        if not signed.valid:
            await self._refuse(signed, body, signature, f"invalid_signature:{signed.fault}")
            raise Problem(
                401, "webhook/invalid-signature", "The signature does not belong to these bytes, or is too old."
            )
        try:
            items = parse(body, _Envelope).payouts
        except Problem:
            await self._refuse(signed, body, signature, "invalid_body")
            raise
        _LOG.info("Signature Verified", partner=signed.partner, key_id=signed.key_id, reference=f"{len(items)} payouts")
        return await self._settle(signed, signature, body, items)

    async def _settle(self, signed: Signed, signature: str | None, body: bytes, items: Sequence[object]) -> Response:
        keeping = self._arrival_unit(signed, body, signature, "accepted")
        commands = [self._command(item) for item in items]
        theirs = await self._theirs(signed, [command.payout_id for command in commands if command is not None])
        units = [self._unit(signed, command) for command in commands if command and command.payout_id in theirs]
        outcomes = iter((await commit(self._commands, [keeping, *units]))[1:])
        metrics.WEBHOOK_EVENTS.labels(signed.partner, "true", "true").inc()
        results: list[dict[str, UUID | str | None]] = []
        for command in commands:
            if command is None:
                results.append({"end_to_end_id": None, "status": "unreadable"})
                continue
            said = _said(next(outcomes)) if command.payout_id in theirs else "unmatched"
            results.append({"end_to_end_id": command.payout_id, "status": said})
        return Reply((200, encode({"results": results})))

    def _command(self, item: object) -> PayoutCommand | None:
        try:
            return self._read(CallbackItem.model_validate(item).model_dump())
        except Exception as error:  # noqa: BLE001 - kept with the bytes, told to the partner; its neighbours go on
            _LOG.warning("callback_unreadable", error=type(error).__name__)
            return None

    async def _theirs(self, signed: Signed, payout_ids: Sequence[UUID]) -> set[UUID]:
        """Which of these were given to the partner that signed: it never changes, and nobody else may speak of them."""
        found = await self._reads.heads(payout_ids)
        theirs = {
            payout_id
            for payout_id, (head, payout) in found.items()
            if head.tenant == self._tenant and payout.terms.partner == signed.partner
        }
        foreign = len(set(payout_ids) - theirs)
        if foreign:
            metrics.WEBHOOK_EVENTS.labels(signed.partner, "true", "false").inc(foreign)
            _LOG.warning("callback_unmatched", partner=signed.partner, payouts=foreign)
        return theirs

    def _unit(self, signed: Signed, command: PayoutCommand) -> Unit:
        return Unit((Ask(command.payout_id, command),), self._meta(signed, command.payout_id))

    def _meta(self, signed: Signed, belongs: UUID) -> Meta:
        return Meta(self._tenant, f"partner:{signed.partner}", belongs, None, None, tracing.traceparent())

    async def _refuse(self, signed: Signed, body: bytes, signature: str | None, verdict: str) -> None:
        """Count it, and keep its bytes within the budget."""
        metrics.WEBHOOK_EVENTS.labels(signed.partner, str(signed.valid).lower(), "false").inc()
        if not self._budget.affords(signed, body, headers_kept(signature)):
            return
        await commit(self._commands, [self._arrival_unit(signed, body, signature, verdict)])

    def _arrival_unit(self, signed: Signed, body: bytes, signature: str | None, verdict: str) -> Unit:
        arrival_id = self._new_id()
        sealed = self._seal(signed.partner, arrival_id, body, headers_kept(signature))
        arrival = Arrival(arrival_id, signed.partner, "webhook", *sealed, verdict)
        return Unit((), self._meta(signed, arrival_id), arrival=arrival)

    async def find(self, payout_id: UUID, principal: Principal) -> dict[str, Any]:
        """A payout of this customer, or any for staff. Raises PayoutNotFound."""
        found = (await self._reads.heads([payout_id])).get(payout_id)
        if found is None or found[0].tenant != principal.tenant or found[1] is None:
            raise PayoutNotFound(payout_id)
        head, payout = found
        if payout.terms.customer_id != principal.subject and principal.roles.isdisjoint(OVERSEERS):
            raise PayoutNotFound(payout_id)
        return view(payout, head.version)


def _said(outcome: Outcome) -> str:
    if outcome.error is not None or outcome.refusal is not None:
        return "failed"
    return "accepted" if outcome.heads and outcome.heads[0].state is not None else "unmatched"


def routes(callbacks: Callbacks, callers: Callers) -> Router:
    """/v1/webhooks/payout and one payout."""
    router = Router()

    @router.post(
        "/v1/webhooks/payout", status=200, body=CallbackRequest, reply=CallbackReply, limit=BULK_BYTES_MAX,
        roles=("partner",),
    )  # fmt: skip
    async def post_callbacks(request: Request) -> Response:
        """A partner tells what became of payouts, signed by X-Webhook-Signature."""
        signatures = [value for name, value in request.scope["headers"] if name == HEADER.encode()]
        signature = signatures[0].decode("latin-1") if len(signatures) == 1 else None
        return await callbacks.receive(signature, await request.body())

    @router.get(
        "/v1/payouts/{payout_id}", reply=PayoutReply, roles=("customer", *OVERSEERS), problems=(PayoutNotFound,)
    )
    async def get_payout(request: Request) -> Response:
        """A payout, without the creditor's data."""
        principal = callers.authenticate(request.headers)
        return Reply((200, encode(await callbacks.find(read_uuid(request.path_params["payout_id"]), principal))))

    return router
