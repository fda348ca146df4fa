"""What services of ours may ask any other of them, for people who look into something: request keys, parked streams."""

from __future__ import annotations

import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any, Self
from uuid import UUID

import msgspec
from pydantic import Field
from starlette.responses import Response

from services.kernel.bulk import ITEMS_MAX
from services.kernel.codec import encode
from services.kernel.fingerprint import HASH_CHARS, described, differing
from services.kernel.http import Reply
from services.kernel.idempotency import KEY_CHARS_MAX
from services.kernel.pages import Query, Whole, read_query
from services.kernel.problem import Problem
from services.kernel.routing import Request, Router
from services.kernel.settings import Kernel
from services.kernel.store import Store
from services.kernel.strict_json import Body
from services.kernel.tokens import Principal, ServiceTokens, Tokens, require

KEYS = """
    SELECT k.principal, k.key, k.fingerprint, k.status, k.answer, k.created_at, k.expires_at,
           c.fingerprint, c.times, c.last_at
    FROM request_key k
    LEFT JOIN request_conflict c ON (c.key, c.principal, c.tenant) = (k.key, k.principal, k.tenant)
    WHERE k.key = ANY($1::text[]) AND k.tenant = $2 AND ($3::text IS NULL OR k.principal = $3)
    ORDER BY k.principal, length(k.key), k.key
    LIMIT $4"""
PARKED = """
    SELECT consumer, topic, stream_id, (array_agg(event_type ORDER BY parked_id))[1],
           (array_agg(error ORDER BY parked_id))[1], (array_agg(fingerprint ORDER BY parked_id))[1],
           count(*), min(parked_at) AS oldest
    FROM parked_event
    WHERE resolved_at IS NULL
    GROUP BY consumer, topic, stream_id, CASE WHEN stream_id IS NULL THEN fingerprint END
    UNION ALL
    SELECT 'relay', s.topic, e.stream_id, (array_agg(e.event_type ORDER BY e.global_seq))[1],
           'Unpublishable', 'Unpublishable', count(*), min(s.stuck_at)
    FROM outbox_stuck s JOIN event e USING (global_seq)
    GROUP BY s.topic, e.stream_id
    ORDER BY oldest
    LIMIT $1"""  # what the relay cannot publish waits as what a consumer cannot apply
_ERROR = re.compile(r"[A-Za-z_][A-Za-z0-9_.]{0,99}")
_SEPARATOR = "\x1f"  # idempotency.item_key


class Callers:
    """Who may read what people look into: customers and staff by their tokens, services of ours by theirs."""

    def __init__(self, tokens: Tokens, services: ServiceTokens) -> None:
        self._tokens = tokens
        self._services = services

    @classmethod
    def from_settings(cls, settings: Kernel) -> Self:
        """With the keys of all tokens."""
        return cls(Tokens.from_settings(settings), ServiceTokens.from_settings(settings))

    def authenticate(self, headers: Mapping[str, str]) -> Principal:
        """The caller, of either kind. Raises Problem 401."""
        try:
            return self._tokens.authenticate(headers)
        except Problem:
            return self._services.authenticate(headers)

    def overseer(self, headers: Mapping[str, str]) -> Principal:
        """An operator, an admin or a service. Raises Problem 401, 403."""
        principal = self.authenticate(headers)
        require(principal, *OVERSEERS)
        return principal


OVERSEERS = ("operator", "admin", "service")  # see what is not theirs


class KeyQuery(Query):
    """Which request."""

    key: str = Field(min_length=1, max_length=KEY_CHARS_MAX, description="the Idempotency-Key as it was sent")
    principal: str | None = Field(None, max_length=64, description="whose; without it, everybody's")
    limit: Whole = Field(100, ge=1, le=ITEMS_MAX + 1, description="a bulk request has a key for each item")


class ParkedQuery(Query):
    """How many."""

    limit: Whole = Field(100, ge=1, le=500)


class RequestReply(Body):
    """What is kept of a request: no value of it, but four digits for each member that change when it does."""

    method: str | None
    route: str | None
    fields: dict[str, str]
    fingerprint: str = Field(description="SHA-256 of method, path and canonical body")


class ConflictReply(Body):
    """The last other request under the key."""

    request: RequestReply
    differs_in: list[str] = Field(description="`method`, `route`, members of the body; empty: the digests do not say")
    times: int
    last_at: datetime


class KeyReply(Body):
    """A request key with the answer that a repeat gets."""

    service: str
    tenant: str
    principal: str
    key: str
    item: int | None = Field(description="the item of a bulk request")
    fingerprint: str
    status: int
    answer: Any
    created_at: datetime
    expires_at: datetime
    request: RequestReply
    conflict: ConflictReply | None


class KeysReply(Body):
    """All that this service knows under the key."""

    items: list[KeyReply]


class ParkedReply(Body):
    """A stream that a consumer cannot go on with, or `relay` cannot publish, or records of no stream that failed in
    the same way."""

    service: str
    consumer: str
    topic: str
    stream_id: UUID | None
    event_type: str | None = Field(description="of the first record that is parked")
    error: str = Field(description="its class; the text may hold what the record holds")
    fingerprint: str
    count: int = Field(description="records of it that wait")
    parked_at: datetime = Field(description="the oldest of them")


class ParkedsReply(Body):
    """What is parked, oldest first."""

    items: list[ParkedReply]


def lookup_routes(settings: Kernel, store: Store) -> Router:
    """/internal/idempotency-keys and /internal/parked, of any service."""
    router = Router("/internal")
    service, tokens = settings.service, ServiceTokens.from_settings(settings)

    @router.get("/idempotency-keys", reply=KeysReply, query=KeyQuery, roles=("service",))
    async def get_idempotency_keys(request: Request) -> Response:
        """What became of a request: the answer that is kept for its repeats, and how another request differed."""
        principal = tokens.authenticate(request.headers)
        require(principal, "service")
        asked = read_query(request, KeyQuery)
        keys = [asked.key, *(f"{asked.key}{_SEPARATOR}{index}" for index in range(ITEMS_MAX))]
        rows = await store.fetch(KEYS, keys, principal.tenant, asked.principal, asked.limit)
        return Reply((200, encode({"items": [_key_view(service, principal.tenant, *row) for row in rows]})))

    @router.get("/parked", reply=ParkedsReply, query=ParkedQuery, roles=("service",))
    async def get_parked(request: Request) -> Response:
        """Streams that this service's consumers have parked and its relay cannot publish, oldest first."""
        require(tokens.authenticate(request.headers), "service")
        rows = await store.fetch(PARKED, read_query(request, ParkedQuery).limit)
        return Reply((200, encode({"items": [_parked_view(service, *row) for row in rows]})))

    return router


def _key_view(
    service: str, tenant: str, principal: str, key: str, fingerprint: str, status: int, answer: bytes,
    created_at: datetime, expires_at: datetime, *conflict: Any,
) -> dict[str, Any]:  # fmt: skip
    name, _, index = key.partition(_SEPARATOR)
    return {
        "service": service,
        "tenant": tenant,
        "principal": principal,
        "key": name,
        "item": int(index) if index else None,
        "fingerprint": fingerprint[:HASH_CHARS],
        "status": status,
        "answer": msgspec.Raw(answer),
        "created_at": created_at,
        "expires_at": expires_at,
        "request": _request_view(fingerprint),
        "conflict": _conflict_view(fingerprint, *conflict),
    }


def _request_view(fingerprint: str) -> dict[str, Any]:
    method, route, fields = described(fingerprint)
    return {"method": method, "route": route, "fields": fields, "fingerprint": fingerprint[:HASH_CHARS]}


def _conflict_view(first: str, other: str | None, times: int | None, last_at: datetime | None) -> Any:
    if other is None:
        return None
    differs = differing(first, other)
    return {"request": _request_view(other), "differs_in": differs, "times": times, "last_at": last_at}


def _parked_view(
    service: str, consumer: str, topic: str, stream_id: UUID | None, event_type: str | None, error: str,
    fingerprint: str, count: int, oldest: datetime,
) -> dict[str, Any]:  # fmt: skip
    """The class of the error alone: its text may hold what the record holds."""
    found = _ERROR.match(error)
    return {
        "service": service,
        "consumer": consumer,
        "topic": topic,
        "stream_id": stream_id,
        "event_type": event_type,
        "error": found[0] if found else "unknown",
        "fingerprint": fingerprint,
        "count": count,
        "parked_at": oldest,
    }
