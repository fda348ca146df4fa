"""HTTP in front of the deposit domain, and the reader of the partners' topic. Judges, calls, answers; never decides."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any
from uuid import UUID

from starlette.responses import Response

from services.deposit_watcher.api.replies import DepositAccepted, RouteNotFound, RouteReply, WaitingReply
from services.deposit_watcher.api.reports import DepositBatchReport, DepositReport, Judged, Reports, Source
from services.deposit_watcher.domain.states import Mismatched, Unexpected, Unmatched
from services.deposit_watcher.projections.unmatched import UNMATCHED
from services.kernel import tracing
from services.kernel.bulk import BulkReply, commit, commit_items
from services.kernel.codec import encode
from services.kernel.decider import Unit
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.http import Reply, reply
from services.kernel.ids import derive
from services.kernel.internal import OVERSEERS, Callers
from services.kernel.poll import Record
from services.kernel.routing import BULK_BYTES_MAX, WEBHOOK_BYTES_MAX, Request, Router
from services.kernel.strict_json import read_uuid
from services.kernel.webhook import HEADER

WAITING_MAX = 200  # rows of one answer
WAITING = f"""
    SELECT DISTINCT s.stream_id, s.changed_at
    FROM event e
    JOIN stream_state s ON s.stream_id = e.stream_id
    WHERE ({UNMATCHED}) AND s.tenant = $1 AND s.stage IN ('Unexpected', 'Unmatched', 'Mismatched')
    ORDER BY s.changed_at
    LIMIT $2"""  # noqa: S608 - our own words


class RecordTooLarge(Exception):
    """A record above the size that the same report may have over HTTP."""


class Deposits:
    """What the routes need: one object, built in __main__."""

    def __init__(self, commands: GroupCommit, reads: Engine, reports: Reports, new_id: Callable[[], UUID]) -> None:
        self._commands = commands
        self._reads = reads
        self._reports = reports
        self._new_id = new_id

    async def report(self, source: Source) -> Response:
        """One report."""
        judged = await self._kept(self._reports.single(source))
        return reply((await commit(self._commands, judged.units))[0])

    async def report_all(self, source: Source) -> Response:
        """A bulk report: the first unit keeps the bytes, the others are the items."""
        judged = await self._kept(self._reports.batch(source))
        keeping = commit(self._commands, judged.units[:1])
        await keeping
        return await commit_items(self._commands, judged.units[1:])

    async def _kept(self, judged: Judged) -> Judged:
        """A refused source is kept first, then answered with its problem."""
        if judged.refused is not None:
            if judged.units:
                await commit(self._commands, judged.units)
            raise judged.refused
        return judged

    async def waiting(self, tenant: str) -> list[dict[str, Any]]:
        """Money that fits nothing yet, oldest first."""
        rows = await self._reads.rows(WAITING, tenant, WAITING_MAX)
        found = await self._reads.heads([row[0] for row in rows])
        return [view(stream_id, found[stream_id][1]) for stream_id in (row[0] for row in rows) if stream_id in found]

    async def find(self, route_id: UUID, tenant: str) -> dict[str, Any]:
        """A route. Raises RouteNotFound."""
        found = (await self._reads.heads([route_id])).get(route_id)
        if found is None or found[0].tenant != tenant or found[1] is None:
            raise RouteNotFound(route_id)
        return view(route_id, found[1])

    def source(self, request: Request, body: bytes) -> Source:
        """What came over HTTP."""
        signature = sole([value for name, value in request.scope["headers"] if name == HEADER.encode()])
        return Source("webhook", signature, body, self._new_id(), tracing.traceparent())


def view(route_id: UUID, state: Any) -> dict[str, Any]:
    """A route as staff see it; amounts in minor units."""
    expected = getattr(state, "expected", None)
    return {
        "route_id": route_id,
        "state": state.state,
        "transfer_id": expected.transfer_id if expected else None,
        "expected_minor": expected.amount.minor if expected else None,
        "expected_currency": expected.amount.currency if expected else None,
        "unresolved": [
            {
                "amount_minor": pile.amount.minor,
                "currency": pile.amount.currency,
                "arrivals": pile.arrivals,
                "last_at": pile.last_at,
            }
            for pile in state.piles
        ],
        "needs_a_person": isinstance(state, Unmatched | Mismatched),
        "in_grace": isinstance(state, Unexpected),
    }


def _story(record: Record, arrival_id: UUID) -> str:
    """The sender's `traceparent`; without one, a story that begins here and is the same whenever it is read again."""
    sent = sole([value for name, value in record.headers if name.lower() == "traceparent"])
    return (tracing.parse(sent) or tracing.Trace(arrival_id.hex, arrival_id.hex[16:])).header


def on_partner_record(reports: Reports, epoch: int) -> Callable[[Record], Unit]:
    """The reader of `partner.deposits.v1`: the same judgement; a refused record is kept and never stops the topic.

    It raises RecordTooLarge, and the consumer parks the record with all its bytes.
    """

    def read(record: Record) -> Unit:
        body = record.value or b""
        if len(body) > WEBHOOK_BYTES_MAX:
            raise RecordTooLarge(f"{len(body)} bytes")
        signature = sole([value for name, value in record.headers if name.lower() == HEADER])
        arrival_id = derive(record.topic, epoch, record.partition, record.offset)
        (unit,) = reports.single(Source("kafka", signature, body, arrival_id, _story(record, arrival_id))).units
        return unit

    return read


def sole(signatures: Sequence[bytes]) -> str | None:
    """Two signatures are no signature."""
    return signatures[0].decode("latin-1") if len(signatures) == 1 else None


def routes(deposits: Deposits, callers: Callers) -> Router:
    """/v1/webhooks/deposit, and what staff look at but for the list."""
    router = Router()

    @router.post(
        "/v1/webhooks/deposit", status=200, body=DepositReport, reply=DepositAccepted, limit=WEBHOOK_BYTES_MAX,
        roles=("partner",), problems=("webhook/reference-mismatch", "webhook-body-invalid"),
    )  # fmt: skip
    async def post_deposit(request: Request) -> Response:
        """A partner reports money, signed by X-Webhook-Signature. 200 also for a duplicate; 409 for other content."""
        return await deposits.report(deposits.source(request, await request.body()))

    @router.post(
        "/v1/webhooks/deposit/batch", status=200, body=DepositBatchReport, reply=BulkReply, limit=BULK_BYTES_MAX,
        roles=("partner",), problems=("webhook-body-invalid",),
    )  # fmt: skip
    async def post_deposits(request: Request) -> Response:
        """Up to 500 reports under one signature, with a result for each."""
        return await deposits.report_all(deposits.source(request, await request.body()))

    @router.get("/v1/deposits/waiting", reply=WaitingReply, roles=OVERSEERS)
    async def get_waiting(request: Request) -> Response:
        """For operators: money that fits nothing yet, oldest first."""
        principal = callers.overseer(request.headers)
        return Reply((200, encode({"deposits": await deposits.waiting(principal.tenant)})))

    @router.get("/v1/deposits/routes/{route_id}", reply=RouteReply, roles=OVERSEERS, problems=(RouteNotFound,))
    async def get_route(request: Request) -> Response:
        """For operators: one route with its unresolved money."""
        principal = callers.overseer(request.headers)
        return Reply((200, encode(await deposits.find(read_uuid(request.path_params["route_id"]), principal.tenant))))

    return router
