"""HTTP in front of the runs: who may start one, and what they have found. Decides nothing."""

from __future__ import annotations

import asyncio
import csv
import io
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any, Literal
from uuid import UUID

from pydantic import Field
from starlette.responses import Response

from services.kernel.book import Reader
from services.kernel.codec import encode
from services.kernel.cursors import CURSOR_CHARS_MAX, Cursors, Place
from services.kernel.decider import Outcome, RequestKey, Unit
from services.kernel.group_commit import GroupCommit
from services.kernel.http import Reply, json_reply, meta, reply
from services.kernel.idempotency import request_key
from services.kernel.pages import LIMIT_MAX, Query, Whole, read_query
from services.kernel.problem import Problem, rejection
from services.kernel.rejected import NotFound
from services.kernel.routing import Request, Router
from services.kernel.strict_json import Body, parse, read_uuid
from services.kernel.tokens import Principal, Tokens, require, require_tenant
from services.reconciliation.domain.runs import REASON_CHARS_MIN, RefuseRun, RunUnderWay, StartRun
from services.reconciliation.handlers.conductor import Conductor
from services.reconciliation.projections import found

STAFF = ("operator", "admin")
WAIT_SECONDS = 20.0  # for a run to end before the answer says that it goes on
POLL_SECONDS = 0.25  # of a run that another request has started
REASON_CHARS_MAX = 500
RETRY_AFTER_SECONDS = 10
CSV_COLUMNS = (
    "issue_id", "run_id", "transfer_id", "code", "state", "currency", "expected_minor", "actual_minor", "subject",
    "details", "opened_at", "cleared_at",
)  # fmt: skip
FORMULA = ("=", "+", "-", "@", "\t", "\r")  # a spreadsheet would compute a text that begins so
OLDEST = Place(datetime(1970, 1, 1, tzinfo=UTC), 0)
NEWEST = Place(datetime(9999, 1, 1, tzinfo=UTC), 0)


class RunNotFound(NotFound):
    """There is no such run."""


class RunRequest(Body):
    """Why the books are to be compared now."""

    reason: str = Field(
        "", max_length=REASON_CHARS_MAX,
        description=f"at least {REASON_CHARS_MIN} characters; kept with the run, no personal data",
    )  # fmt: skip


class TotalReply(Body):
    """Two books of the same money, summed up over all transfers that were judged; minor units."""

    name: str
    currency: str
    expected_minor: int
    actual_minor: int


class RunReply(Body):
    """A run. Counts are null until it has ended."""

    run_id: UUID
    status: Literal["running", "completed", "failed"]
    trigger: Literal["schedule", "request"]
    reason: str
    actor: str = Field(description="who wanted it")
    started_at: datetime
    completed_at: datetime | None = Field(description="when it ended, either way")
    watermark: datetime | None = Field(description="all topics were read at least to here")
    transfers: int | None = Field(description="judged")
    not_judged: int | None = Field(description="moved too shortly before the watermark; the next run's")
    issues_opened: int | None
    issues_cleared: int | None
    issues_open: int | None = Field(description="at its end, also those that earlier runs saw first")
    issues_by_code: dict[str, int] = Field(description="of those that are open at its end")
    totals: list[TotalReply]
    error: str | None = Field(description="what kept a failed run from its end")


class RunsReply(Body):
    """Runs, newest first."""

    items: list[RunReply]
    next_cursor: str | None = Field(description="null at the end")


class IssueReply(Body):
    """Two books that differ, in minor units; `expected` is what the cause says, `actual` what should follow from it."""

    issue_id: UUID
    run_id: UUID = Field(description="that saw it first")
    transfer_id: UUID | None
    code: str
    state: Literal["open", "cleared"]
    currency: str | None
    expected_minor: int | None
    actual_minor: int | None
    subject: str
    details: str
    opened_at: datetime
    cleared_at: datetime | None


class IssuesReply(Body):
    """Issues, oldest first."""

    items: list[IssueReply]
    next_cursor: str | None = Field(description="null at the end")


class PageQuery(Query):
    """Which page."""

    limit: Whole = Field(LIMIT_MAX, ge=1, le=LIMIT_MAX, description="rows of a page, at most")
    cursor: str | None = Field(None, max_length=CURSOR_CHARS_MAX, description="`next_cursor` of the page before")


class IssuesQuery(PageQuery):
    """Which issues."""

    state: Literal["open", "cleared"] = "open"


class Runs:
    """What the routes need: one object, built in __main__."""

    def __init__(self, conductor: Conductor, commands: GroupCommit, reads: Reader, cursors: Cursors) -> None:
        """`reads`: the service's schema, for reading alone."""
        self._conductor = conductor
        self._commands = commands
        self._reads = reads
        self._cursors = cursors

    async def post(self, principal: Principal, reason: str, key: RequestKey) -> Response:
        """Start a run, or find the one that this key has started; 201 when it has ended, 202 while it goes on."""
        run_id = key.derive("recon-run")
        if await found.run(self._reads, run_id) is not None:
            return await self._again(run_id, principal, reason, key)
        wish = StartRun(run_id=run_id, trigger="request", requested_by=str(principal.subject), reason=reason)
        try:
            outcome, task = await self._conductor.start(wish, meta(principal, reason), key)
        except RunUnderWay as busy:
            if await found.run(self._reads, run_id) is not None:  # the same request, a moment earlier
                return await self._again(run_id, principal, reason, key)
            await self.refuse(principal, reason, RunUnderWay.code, key)
            return Reply(rejection(busy), ((b"retry-after", b"%d" % RETRY_AFTER_SECONDS),))
        await asyncio.wait({task}, timeout=WAIT_SECONDS)
        return await self._told(run_id, outcome)

    async def _again(self, run_id: UUID, principal: Principal, reason: str, key: RequestKey) -> Response:
        """The engine says whether it is the same request; the run says how it stands."""
        outcome = await self._commands.ask(Unit((), meta(principal, reason), key))
        deadline = asyncio.get_running_loop().time() + WAIT_SECONDS
        while asyncio.get_running_loop().time() < deadline:
            row = await found.run(self._reads, run_id)
            if row is None or row["status"] != "running":
                break
            await asyncio.sleep(POLL_SECONDS)
        return await self._told(run_id, outcome)

    async def _told(self, run_id: UUID, outcome: Outcome) -> Response:
        if outcome.refusal is not None or outcome.error is not None:
            return reply(outcome)
        row = await found.run(self._reads, run_id)
        assert row is not None, "started, and not there"
        replayed = ((b"idempotency-replayed", b"true"),) if outcome.replayed else ()
        return json_reply(run_view(row), 202 if row["status"] == "running" else 201, replayed)

    async def refuse(self, principal: Principal, reason: str, code: str, key: RequestKey) -> None:
        """Keep who wanted a run and was refused. The same key again is the same attempt."""
        refused_id = key.derive(f"recon-run-refused-{code}")
        wish = RefuseRun(
            run_id=refused_id, requested_by=str(principal.subject), reason=reason[:REASON_CHARS_MAX], code=code
        )
        await self._conductor.refuse(wish, meta(principal, reason or None))

    async def find(self, run_id: UUID) -> Mapping[str, Any]:
        """Raises RunNotFound."""
        row = await found.run(self._reads, run_id)
        if row is None:
            raise RunNotFound(run_id)
        return row

    async def runs(self, principal: Principal, query: PageQuery) -> Response:
        """A page of runs."""
        before = self._place("recon-runs", principal, query) or NEWEST
        rows = await found.runs(self._reads, before, query.limit + 1)
        following = self._following("recon-runs", principal, rows, query.limit, "started_at")
        return json_reply({"items": [run_view(row) for row in rows[: query.limit]], "next_cursor": following})

    async def issues(
        self, request: Request, principal: Principal, name: str, query: PageQuery, *,
        state: str | None = None, at: datetime | None = None,
    ) -> Response:  # fmt: skip
        """A page of issues, as JSON or as CSV."""
        after = self._place(name, principal, query) or OLDEST
        rows = await found.issues(self._reads, after, query.limit + 1, state=state, at=at)
        following = self._following(name, principal, rows, query.limit, "opened_at")
        items = [issue_view(row) for row in rows[: query.limit]]
        if "text/csv" in request.headers.get("accept", ""):
            headers = {"x-next-cursor": following} if following else {}
            headers |= {"cache-control": "no-store"}
            return Response(csv_of(items), media_type="text/csv; charset=utf-8", headers=headers)
        return json_reply({"items": items, "next_cursor": following})

    def _place(self, name: str, principal: Principal, query: PageQuery) -> Place | None:
        return self._cursors.read(query.cursor, _bound(name, principal)) if query.cursor else None

    def _following(
        self, name: str, principal: Principal, rows: Sequence[Mapping[str, Any]], limit: int, time: str
    ) -> str | None:
        if len(rows) <= limit:
            return None
        last = rows[limit - 1]
        return self._cursors.make(Place(last[time], last["seq"]), _bound(name, principal))


def _bound(name: str, principal: Principal) -> bytes:
    """A cursor is for one list and one caller."""
    return encode((name, principal.tenant, str(principal.subject)))


def run_view(row: Mapping[str, Any]) -> dict[str, Any]:
    """A run as it is answered."""
    names = (
        "run_id", "status", "trigger", "reason", "started_at", "watermark", "transfers", "not_judged", "issues_opened",
        "issues_cleared", "issues_open",
    )  # fmt: skip
    return {name: row[name] for name in names} | {
        "actor": row["requested_by"],
        "completed_at": row["ended_at"],
        "issues_by_code": row["issues_by_code"] or {},
        "totals": row["totals"] or [],
        "error": row["failure"],
    }


def issue_view(row: Mapping[str, Any]) -> dict[str, Any]:
    """An issue as it is answered."""
    return {name: row[name] for name in CSV_COLUMNS if name != "state"} | {
        "state": "open" if row["cleared_at"] is None else "cleared"
    }


def csv_of(items: Sequence[Mapping[str, Any]]) -> str:
    """A head, then a line for each issue. Texts that a spreadsheet would compute are quoted with an apostrophe."""
    written = io.StringIO()
    lines = csv.writer(written, lineterminator="\n")
    lines.writerow(CSV_COLUMNS)
    for item in items:
        lines.writerow([_cell(item[name]) for name in CSV_COLUMNS])
    return written.getvalue()


def _cell(value: Any) -> Any:
    if isinstance(value, datetime):
        return value.isoformat()
    if isinstance(value, str):
        one_line = value.replace("\n", " ")
        return f"'{one_line}" if one_line.startswith(FORMULA) else one_line
    return value


def routes(runs: Runs, tokens: Tokens, tenant: str) -> Router:
    """/v1/recon."""
    router = Router("/v1/recon")
    staff = _staff(tokens, tenant)

    @router.post(
        "/runs", body=RunRequest, reply=RunReply, roles=STAFF, keyed=True, also={202: RunReply},
        problems=(RunUnderWay, "reason-required"), example={"reason": "daily reconciliation"},
    )  # fmt: skip
    async def post_run(request: Request) -> Response:
        """For operators: compare all books now; 202 when it takes longer than an answer may, then ask for the run."""
        principal = tokens.authenticate(request.headers)
        body = await request.body()
        key = request_key(request, principal, body)
        reason = parse(body, RunRequest).reason.strip()
        require_tenant(principal, tenant)
        if principal.roles.isdisjoint(STAFF):
            await runs.refuse(principal, reason, "FORBIDDEN", key)
        require(principal, *STAFF)
        if len(reason) < REASON_CHARS_MIN:
            raise Problem(400, "reason-required", f"Say why, in at least {REASON_CHARS_MIN} characters.")
        return await runs.post(principal, reason, key)

    @router.get("/runs", query=PageQuery, reply=RunsReply, roles=STAFF, problems=("invalid-query", "cursor-invalid"))
    async def get_runs(request: Request) -> Response:
        """For operators: all runs, newest first."""
        return await runs.runs(staff(request), read_query(request, PageQuery))

    @router.get("/runs/{run_id}", reply=RunReply, roles=STAFF, problems=(RunNotFound,))
    async def get_run(request: Request) -> Response:
        """For operators: one run with what it counted."""
        staff(request)
        return json_reply(run_view(await runs.find(read_uuid(request.path_params["run_id"]))))

    @router.get(
        "/runs/{run_id}/issues", query=PageQuery, reply=IssuesReply, roles=STAFF,
        problems=(RunNotFound, "invalid-query", "cursor-invalid"),
    )  # fmt: skip
    async def get_run_issues(request: Request) -> Response:
        """For operators: what was open at the end of a run, oldest first; CSV for `Accept: text/csv`."""
        principal = staff(request)
        run_id = read_uuid(request.path_params["run_id"])
        query, row = read_query(request, PageQuery), await runs.find(run_id)
        at = row["ended_at"] or datetime.now(UTC)
        return await runs.issues(request, principal, f"recon-issues-of-{run_id}", query, at=at)

    @router.get(
        "/issues", query=IssuesQuery, reply=IssuesReply, roles=STAFF, problems=("invalid-query", "cursor-invalid")
    )
    async def get_issues(request: Request) -> Response:
        """For operators: the differences that are open, or those that are cleared; CSV for `Accept: text/csv`."""
        principal, query = staff(request), read_query(request, IssuesQuery)
        return await runs.issues(request, principal, f"recon-issues-{query.state}", query, state=query.state)

    return router


def _staff(tokens: Tokens, tenant: str) -> Callable[[Request], Principal]:
    def staff(request: Request) -> Principal:
        principal = tokens.authenticate(request.headers)
        require(principal, *STAFF)
        require_tenant(principal, tenant)
        return principal

    return staff
