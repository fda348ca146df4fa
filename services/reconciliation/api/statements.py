"""HTTP in front of the statements: who may bring one, and what they say. Decides nothing."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import sha256
from typing import Any
from uuid import UUID

from starlette.responses import Response

from services.kernel.book import Reader
from services.kernel.codec import encode
from services.kernel.cursors import Cursors, Place
from services.kernel.decider import Meta, Outcome, RequestKey, Unit
from services.kernel.fingerprint import fingerprint
from services.kernel.group_commit import GroupCommit
from services.kernel.http import json_reply, meta, reply
from services.kernel.idempotency import read_key
from services.kernel.pages import read_query
from services.kernel.problem import Problem, unavailable
from services.kernel.rejected import NotFound
from services.kernel.routing import FILE_BYTES_MAX, Request, Router, media_type
from services.kernel.strict_json import canonical, parse, read_uuid
from services.kernel.telemetry import logger
from services.kernel.tokens import Principal, Tokens, require, require_tenant
from services.reconciliation.api.statement_replies import (
    BookDay,
    ImportQuery,
    ImportReply,
    LinesReply,
    PageQuery,
    ParkedLinesReply,
    StatementReply,
    StatementsQuery,
    StatementsReply,
)
from services.reconciliation.domain.statements.shape import BadFile
from services.reconciliation.handlers.statements import Intake, Taken
from services.reconciliation.ports import BookUnavailable, Format, Read
from services.reconciliation.projections import statements as tables

STAFF = ("operator", "admin")
WAIT_SECONDS = 20.0  # for an intake to end before the answer says that it goes on
INTAKES_MAX = 2  # at once in a process: each holds a whole file
NEWEST = Place(datetime(9999, 1, 1, tzinfo=UTC), 0)
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
CSV_EXAMPLE = (
    "account,statement,number,reference,booked,value,amount,currency,opening,closing,end to end id,text,code\n"
    "GB33BUKB20201555555555,2026-03-02,61,FPS-0091847,2026-03-02,2026-03-02,100.00,GBP,0.00,100.00,,RF18539007547034,PMNT\n"
)
XML_EXAMPLE = (
    '<Document xmlns="urn:iso:std:iso:20022:tech:xsd:camt.053.001.08"><BkToCstmrStmt>...</BkToCstmrStmt></Document>'
)
_LOG = logger("reconciliation")


class StatementNotFound(NotFound):
    """There is no such statement."""


@dataclass
class _Going:
    """An intake that is under way; `read`: once the file is."""

    task: asyncio.Task[Response]
    read: Read | None = None


class Desk:
    """What the routes need: one object, built in __main__."""

    def __init__(self, intake: Intake, commands: GroupCommit, reads: Reader, cursors: Cursors, tenant: str) -> None:
        """`reads`: the service's schema, for reading alone."""
        self._intake = intake
        self._commands = commands
        self._reads = reads
        self._cursors = cursors
        self._tenant = tenant
        self._under_way: dict[RequestKey, _Going] = {}

    async def post(self, principal: Principal, request: Request, body: bytes, key: RequestKey) -> Response:
        """201 when all of it is in, 202 while it goes on: the same key again waits for the end."""
        query = read_query(request, ImportQuery)
        said = meta(principal, query.reason)
        if key not in self._under_way:
            known = await self._commands.ask(Unit((), said, key))
            if known.refusal is not None or known.answer is not None or known.error is not None:
                return reply(known)
        if key not in self._under_way:  # nor since, by the same request
            if len(self._under_way) >= INTAKES_MAX:
                raise Problem(503, "overloaded", "Other files are being taken.", headers=((b"retry-after", b"5"),))
            self._begin(key, self._whole(request, query, body, said, key))
        return await self._waited(self._under_way[key], sha256(body).hexdigest())

    def _begin(self, key: RequestKey, work: Coroutine[Any, Any, Response]) -> None:
        """It goes on when nobody waits for it any more."""
        going = self._under_way[key] = _Going(asyncio.create_task(work))
        going.task.add_done_callback(lambda task: self._over(key, task))

    def _over(self, key: RequestKey, task: asyncio.Task[Response]) -> None:
        self._under_way.pop(key, None)
        if not task.cancelled() and (error := task.exception()) is not None:
            _LOG.warning("statement_not_taken", cause=type(error).__name__)

    async def _whole(self, request: Request, query: ImportQuery, body: bytes, said: Meta, key: RequestKey) -> Response:
        read = await self._read(request, query, body)
        self._under_way[key].read = read
        return await self._take(read, said, key)

    async def _read(self, request: Request, query: ImportQuery, body: bytes) -> Read:
        media = media_type(request.headers.get("content-type", "").encode("latin-1", "replace"))
        try:
            if media.endswith("json"):
                return await self._intake.files.of_book(query.partner, parse(body, BookDay).day)
            return await self._intake.files.of_file(body, query.partner, _format(media, query.format, body))
        except BadFile as bad:
            raise Problem(422, "statement-unreadable", str(bad)) from None
        except BookUnavailable:
            raise unavailable("The partner's book cannot be read at the moment.", retry_after_seconds=10) from None

    async def _take(self, read: Read, said: Meta, key: RequestKey) -> Response:
        taken = await self._intake.take(read, said)
        answer = 201, encode(_answer(read, taken))
        outcome: Outcome = await self._commands.ask(Unit((), said, key, answer=lambda _: answer))
        return reply(outcome)

    async def _waited(self, going: _Going, sha256_: str) -> Response:
        """Its answer, or that it goes on: then also what it is of, once that is read."""
        await asyncio.wait({going.task}, timeout=WAIT_SECONDS)
        if going.task.done():
            return going.task.result()
        read = going.read
        ids = [each.statement_id(self._tenant) for each in read.statements] if read else []
        digest = read.sha256 if read else sha256_
        return json_reply({"state": "receiving", "file_sha256": digest, "statements": [], "receiving": ids}, 202)

    async def find(self, statement_id: UUID) -> Mapping[str, Any]:
        """Raises StatementNotFound."""
        row = await tables.find(self._reads, statement_id)
        if row is None:
            raise StatementNotFound(statement_id)
        return row

    async def one(self, statement_id: UUID) -> Response:
        """With how many of its lines are in."""
        row = await self.find(statement_id)
        return json_reply(_view(row) | {"recorded": await tables.recorded_lines(self._reads, statement_id)})

    async def page(self, principal: Principal, query: StatementsQuery) -> Response:
        """A page of statements."""
        bound = _bound(f"statements {query.partner} {query.account}", principal)
        before = self._cursors.read(query.cursor, bound) if query.cursor else NEWEST
        rows = await tables.heads(self._reads, before, query.limit + 1, partner=query.partner, account=query.account)
        last = rows[query.limit - 1] if len(rows) > query.limit else None
        following = self._cursors.make(Place(last["received_at"], last["seq"]), bound) if last else None
        return json_reply({"items": [_view(row) for row in rows[: query.limit]], "next_cursor": following})

    async def rows(
        self, principal: Principal, query: PageQuery, statement_id: UUID,
        read: Callable[[Reader, UUID, int, int], Any], name: str,
    ) -> Response:  # fmt: skip
        """A page of what belongs to one statement, by its place."""
        await self.find(statement_id)
        bound = _bound(f"{name} {statement_id}", principal)
        after = self._cursors.read(query.cursor, bound).seq if query.cursor else 0
        rows: Sequence[Mapping[str, Any]] = await read(self._reads, statement_id, after, query.limit + 1)
        more = len(rows) > query.limit
        following = self._cursors.make(Place(EPOCH, rows[query.limit - 1]["seq"]), bound) if more else None
        items = [{name: each for name, each in row.items() if name != "seq"} for row in rows[: query.limit]]
        return json_reply({"items": items, "next_cursor": following})


def _bound(name: str, principal: Principal) -> bytes:
    """A cursor is for one list and one caller."""
    return encode((name, principal.tenant, str(principal.subject)))


def _answer(read: Read, taken: Sequence[Taken]) -> dict[str, Any]:
    return {"state": "complete", "file_sha256": read.sha256, "statements": taken, "receiving": ()}


def _view(row: Mapping[str, Any]) -> dict[str, Any]:
    names = [name for name in StatementReply.model_fields if name != "recorded"]
    return {name: row[name] for name in names} | {"recorded": None}


def _format(media: str, said: Format | None, body: bytes) -> Format:
    """What was said, or what the file itself says. Raises BadFile when they differ."""
    if media == "text/csv":
        if said not in {None, "csv"}:
            raise BadFile(f"text/csv is no {said}")
        return "csv"
    if said == "csv":
        raise BadFile("send CSV as text/csv")
    return said or ("camt054" if b"camt.054." in body[:4_096] else "camt053")


def routes(desk: Desk, tokens: Tokens, tenant: str) -> Router:
    """/v1/reconciliation/statements."""
    router = Router("/v1/reconciliation/statements")
    staff = _staff(tokens, tenant)

    @router.post(
        "", body=BookDay, reply=ImportReply, limit=FILE_BYTES_MAX, query=ImportQuery, roles=STAFF, keyed=True,
        also={202: ImportReply}, problems=("statement-unreadable", "invalid-query"), example={"day": "2026-03-02"},
        files={"application/xml": XML_EXAMPLE, "text/xml": XML_EXAMPLE, "text/csv": CSV_EXAMPLE},
    )  # fmt: skip
    async def post_statements(request: Request) -> Response:
        """For operators: take a partner's statement, as a file, or as a day of the book that the partner shows. What is
        known already is not taken twice; a line that cannot be read is parked and the rest goes on."""
        principal = staff(request)
        body = await request.body()
        return await desk.post(principal, request, body, _key(request, principal, body))

    @router.get(
        "", query=StatementsQuery, reply=StatementsReply, roles=STAFF, problems=("invalid-query", "cursor-invalid")
    )
    async def get_statements(request: Request) -> Response:
        """For operators: statements, newest first."""
        principal = staff(request)
        return await desk.page(principal, read_query(request, StatementsQuery))

    @router.get("/{statement_id}", reply=StatementReply, roles=STAFF, problems=(StatementNotFound,))
    async def get_statement(request: Request) -> Response:
        """For operators: one statement, and how many of its lines are in."""
        staff(request)
        return await desk.one(read_uuid(request.path_params["statement_id"]))

    @router.get(
        "/{statement_id}/lines", query=PageQuery, reply=LinesReply, roles=STAFF,
        problems=(StatementNotFound, "invalid-query", "cursor-invalid"),
    )  # fmt: skip
    async def get_lines(request: Request) -> Response:
        """For operators: the lines of a statement that are recorded, in the order of their recording."""
        principal = staff(request)
        statement_id = read_uuid(request.path_params["statement_id"])
        return await desk.rows(principal, read_query(request, PageQuery), statement_id, tables.lines, "lines")

    @router.get(
        "/{statement_id}/parked", query=PageQuery, reply=ParkedLinesReply, roles=STAFF,
        problems=(StatementNotFound, "invalid-query", "cursor-invalid"),
    )  # fmt: skip
    async def get_parked(request: Request) -> Response:
        """For operators: the lines of a statement that could not be recorded, with position and reason."""
        principal = staff(request)
        statement_id = read_uuid(request.path_params["statement_id"])
        return await desk.rows(principal, read_query(request, PageQuery), statement_id, tables.parked_lines, "parked")

    return router


def _key(request: Request, principal: Principal, body: bytes) -> RequestKey:
    """A file is the same when its bytes are; JSON when it says the same. What the address says belongs to it."""
    key = read_key(request)
    asked = encode(sorted(request.query_params.multi_items()))
    is_json = media_type(request.headers.get("content-type", "").encode("latin-1", "replace")).endswith("json")
    content = sha256(asked + (canonical(body) if is_json else body)).hexdigest().encode()
    made = fingerprint(request.method, request.scope["path"], key, content)
    return RequestKey(principal.tenant, str(principal.subject), key, made)


def _staff(tokens: Tokens, tenant: str) -> Callable[[Request], Principal]:
    def staff(request: Request) -> Principal:
        principal = tokens.authenticate(request.headers)
        require(principal, *STAFF)
        require_tenant(principal, tenant)
        return principal

    return staff
