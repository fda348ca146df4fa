"""Lists in keyset pages: newest first, bounded in what they read, continued by a signed cursor.

A row of a list is a stream; its place is that of its first event (occurred_at, global_seq), which never changes. So a
list needs no table of its own: an index of the first events that is only ever appended to, and the states beside it
(decision 0018).
"""

from __future__ import annotations

import asyncio
import re
import typing
from collections.abc import AsyncIterator, Callable, Mapping, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, replace
from datetime import datetime
from typing import Annotated, Any, NamedTuple, TypeVar
from uuid import UUID

from pydantic import AwareDatetime, BaseModel, BeforeValidator, ConfigDict, Field, ValidationError
from pydantic_core import PydanticCustomError
from starlette.requests import Request

from services.kernel.codec import encode
from services.kernel.cursors import CURSOR_CHARS_MAX, Cursors, Place
from services.kernel.engine import Engine
from services.kernel.http import Reply
from services.kernel.problem import Problem, unavailable
from services.kernel.store import StoredHead
from services.kernel.strict_json import PLAIN_UUID, Body, faults
from services.kernel.tokens import Principal

LIMIT_MAX, LIMIT_DEFAULT = 200, 50
LISTS_MAX, TURN_SECONDS_MAX = 1, 5  # at once in a process, and how long one more waits
SCANNED_MAX = 5_000  # first events that one page looks at when its filters leave most of them out
LIST_PROBLEMS = ("invalid-query", "cursor-invalid")
YEARS = (1970, 9000)  # whatever the offset, a time of the database's
_TIME = re.compile(r"(\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(?:\.\d{1,6})?)(Z|[+ -]\d\d:\d\d)")


def _instant(text: object) -> object:
    """RFC 3339 with an offset. A plus sign that a client forgot to escape arrives as a blank."""
    found = _TIME.fullmatch(text) if isinstance(text, str) else None
    if found is None or not YEARS[0] <= int(found[1][:4]) <= YEARS[1]:
        raise PydanticCustomError("time-invalid", "not an RFC 3339 time with an offset")
    return found[1] + found[2].replace(" ", "+")


def _whole(text: object) -> object:
    if not (isinstance(text, str) and text.isascii() and text.isdecimal() and len(text) < 10):
        raise PydanticCustomError("number-invalid", "not a whole number")
    return int(text)


def _plain_id(text: object) -> object:
    if not (isinstance(text, str) and PLAIN_UUID.fullmatch(text)):
        raise PydanticCustomError("id-invalid", "not a UUID in its plain spelling")
    return text


Instant = Annotated[AwareDatetime, BeforeValidator(_instant)]
QueryId = Annotated[UUID, BeforeValidator(_plain_id)]
Whole = Annotated[int, BeforeValidator(_whole)]


class Query(BaseModel):
    """The base of what an address may ask."""

    model_config = ConfigDict(extra="forbid", frozen=True)


class PageQuery(Query):
    """What every list takes: which page, and since or until when its rows were made."""

    limit: Whole = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX, description="rows of a page, at most")
    cursor: str | None = Field(None, max_length=CURSOR_CHARS_MAX, description="`next_cursor` of the page before")
    created_from: Instant | None = Field(None, description="made at or after; RFC 3339")
    created_to: Instant | None = Field(None, description="made before; RFC 3339")

    def filters(self) -> bytes:
        """What the cursor is bound to: everything but the page."""
        chosen = self.model_dump(exclude={"limit", "cursor"}, exclude_none=True)
        return encode({name: sorted(each) if isinstance(each, tuple) else each for name, each in chosen.items()})


class PageReply(Body):
    """The base of a page's reply: `items` are of the class that adds them."""

    next_cursor: str | None = Field(description="null at the end; filters may leave a page short, or empty, before it")


QueryType = TypeVar("QueryType", bound=Query)


def read_query(request: Request, model: type[QueryType]) -> QueryType:
    """The parameters as `model`; one whose field is a tuple may be repeated. Raises Problem 400 invalid-query."""
    asked: dict[str, Any] = {}
    for name, text in request.query_params.multi_items():
        field = model.model_fields.get(name)
        if "\x00" in text:
            raise invalid_query(name if field else "~", "text-invalid")
        if field is not None and typing.get_origin(field.annotation) is tuple:
            asked[name] = (*asked.get(name, ()), text)
        elif name in asked:
            raise invalid_query(name if field else "~", "repeated")
        else:
            asked[name] = text
    try:
        return model.model_validate(asked)
    except ValidationError as error:
        raise _invalid(faults(error)) from None


def invalid_query(name: str, code: str, detail: str = "") -> Problem:
    """400: what is wrong with which parameter."""
    return _invalid([{"pointer": f"/{name}", "code": code}], detail)


def _invalid(errors: list[dict[str, str]], detail: str = "") -> Problem:
    detail = detail or "A parameter of the address does not have its documented form."
    return Problem(400, "invalid-query", detail, errors=errors)


@dataclass(frozen=True, slots=True)
class Found:
    """Streams that are named, or few, instead of all by time: SQL for their ids, with `{}` for each of its values."""

    sql: str
    values: tuple[Any, ...]


NAMED = "SELECT unnest({}::uuid[]) AS stream_id"
CLAIMED = "SELECT stream_id FROM claim WHERE namespace = {} AND value = {} AND tenant = {}"

MADE_FROM, MADE_BEFORE = "e.occurred_at >= {}::timestamptz", "e.occurred_at < {}::timestamptz"
IN_STAGES = "s.stage = ANY({}::text[])"
FIRST = "convert_from(e.data, 'UTF8')::jsonb"  # read of rows that a page looks at, never indexed


@dataclass(frozen=True, slots=True, kw_only=True)
class Wish:
    """One page of one list. `e` is a row's first event, `s` its state.

    `placed` are conditions that the index of first events answers, `kept` those that a row is read for; both are SQL
    with one `{}` for their value. `found` takes the place of the walk by time.
    """

    tenant: str
    limit: int
    after: Place | None = None
    down_to: Place | None = None
    placed: Sequence[tuple[str, Any]] = ()
    kept: Sequence[tuple[str, Any]] = ()
    found: Found | None = None


_ORDER = "ORDER BY e.occurred_at DESC, e.global_seq DESC"
_HEAD = "s.stream_id, s.tenant, s.category, s.record_key, s.version, s.hash, s.stage, s.state, s.fold, s.changed_at"


class _Sql:
    """Text with numbered values."""

    def __init__(self) -> None:
        self.values: list[Any] = []

    def put(self, text: str, *values: Any) -> str:
        """`text` with the numbers of its values in the places of `{}`."""
        self.values.extend(values)
        return text.format(*(f"${len(self.values) - len(values) + at + 1}" for at in range(len(values))))


def _placed(sql: _Sql, wish: Wish) -> str:
    conditions = ["e.version = 1", *(sql.put(text, value) for text, value in wish.placed)]
    for sign, place in (("<", wish.after), (">=", wish.down_to)):
        if place is not None:
            bounds = sql.put("({}::timestamptz, {}::bigint)", *place)
            conditions.append(f"(e.occurred_at, e.global_seq) {sign} {bounds}")
    return " AND ".join(conditions)


def page_statement(wish: Wish) -> tuple[str, list[Any]]:
    """Heads with their places, one more than the page has room for. OFFSET 0: a walk begins with its first events."""
    sql = _Sql()
    begin = ""
    if wish.found is None:
        columns = "stream_id, occurred_at, global_seq" + (
            ", data" if any(FIRST in text for text, _ in wish.kept) else ""
        )
        source = f"(SELECT {columns} FROM event e WHERE {_placed(sql, wish)} {_ORDER} OFFSET 0) e"  # noqa: S608 - $n
    else:
        begin = f"WITH found AS MATERIALIZED ({sql.put(wish.found.sql, *wish.found.values)}) "
        source = f"found f JOIN event e ON e.stream_id = f.stream_id AND {_placed(sql, wish)}"
    kept = [sql.put("s.tenant = {}", wish.tenant), *(sql.put(text, value) for text, value in wish.kept)]
    text = (
        f"{begin}SELECT {_HEAD}, e.occurred_at, e.global_seq FROM {source} "  # noqa: S608 - our own words and $n
        f"JOIN stream_state s ON s.stream_id = e.stream_id WHERE {' AND '.join(kept)} "
        f"{_ORDER} {sql.put('LIMIT {}::int', wish.limit + 1)}"
    )
    return text, sql.values


def end_statement(wish: Wish) -> tuple[str, list[Any]]:
    """The place of the last first event that a page looks at, if there are so many: what bounds its cost, whatever the
    plan of the page itself is."""
    sql = _Sql()
    window = SCANNED_MAX if wish.kept else wish.limit + 1
    text = f"SELECT occurred_at, global_seq FROM event e WHERE {_placed(sql, wish)} {_ORDER} "  # noqa: S608 - as above
    return text + sql.put("OFFSET {}::int LIMIT 1", window - 1), sql.values


class Row(NamedTuple):
    """A stream of a page."""

    head: StoredHead
    state: Any
    changed_at: datetime  # when its state moved last
    place: Place


class Lists:
    """The reader of a service's lists."""

    def __init__(self, reads: Engine, cursors: Cursors) -> None:
        """`reads`: an engine whose store bounds its statements and only reads."""
        self.reads = reads
        self._cursors = cursors
        self._turn = asyncio.Semaphore(LISTS_MAX)

    async def page(
        self, name: str, principal: Principal, query: PageQuery, wish: Wish, view: Callable[[Row], Mapping[str, Any]]
    ) -> Reply:
        """200 with {"items", "next_cursor"}; a cursor is for this list, caller and filters alone."""
        bound = _bound(name, principal, query)
        async with self._waited():
            return await self._page(bound, query, wish, view)

    @asynccontextmanager
    async def _waited(self) -> AsyncIterator[None]:
        """Lists leave sessions to those who look one thing up. Raises Problem 503."""
        try:
            async with asyncio.timeout(TURN_SECONDS_MAX):
                await self._turn.acquire()
        except TimeoutError:
            raise unavailable("too many lists are being read") from None
        try:
            yield
        finally:
            self._turn.release()

    async def _page(
        self, bound: bytes, query: PageQuery, wish: Wish, view: Callable[[Row], Mapping[str, Any]]
    ) -> Reply:
        if query.cursor is not None:
            wish = replace(wish, after=self._cursors.read(query.cursor, bound))
        if wish.found is None:
            wish = replace(wish, down_to=await self._end(wish))
        rows = await self._rows(wish)
        following = rows[wish.limit - 1].place if len(rows) > wish.limit else wish.down_to
        cursor = self._cursors.make(following, bound) if following else None
        return Reply((200, encode({"items": [view(row) for row in rows[: wish.limit]], "next_cursor": cursor})))

    async def _end(self, wish: Wish) -> Place | None:
        text, values = end_statement(wish)
        return next((Place(*row) for row in await self.reads.rows(text, *values)), None)

    async def _rows(self, wish: Wish) -> list[Row]:
        text, values = page_statement(wish)
        found = [(StoredHead(*row[:9]), row[9], Place(*row[10:])) for row in await self.reads.rows(text, *values)]
        return [Row(head, await self.reads.folded(head), changed, place) for head, changed, place in found]


def _bound(name: str, principal: Principal, query: PageQuery) -> bytes:
    who = (name, principal.tenant, str(principal.subject), *sorted(principal.roles))
    return encode(who) + query.filters()


def between(query: PageQuery) -> list[tuple[str, Any]]:
    """The conditions of `created_from` and `created_to`."""
    bounds = ((MADE_FROM, query.created_from), (MADE_BEFORE, query.created_to))
    return [(text, at) for text, at in bounds if at is not None]


def standing(stages: Sequence[str], events: str) -> Found:
    """Streams in one of these stages, which few are ever in. `events`: what their entry always leaves, as the partial
    index of such events says it (`e` is the event)."""
    return Found(
        "SELECT DISTINCT e.stream_id FROM event e JOIN stream_state s ON s.stream_id = e.stream_id "  # noqa: S608
        f"WHERE ({events}) AND s.stage = ANY({{}}::text[])",
        (list(stages),),
    )


def stages_of(stages: Sequence[Any], states: Sequence[str]) -> list[str]:
    """The stored stages that are called by these states. Raises Problem 400 for a state that there is not."""
    known = {stage.state for stage in stages}
    if not known.issuperset(states):
        raise invalid_query("state", "unknown", f"The states are {', '.join(sorted(known))}.")
    return [stage.__name__ for stage in stages if stage.state in states]
