"""What became of a request: its Idempotency-Key, looked up in all services at once."""

from __future__ import annotations

from datetime import datetime

from pydantic import Field
from starlette.responses import Response

from services.core_api.ports import KeyBooks
from services.kernel.http import json_reply
from services.kernel.idempotency import KEY_CHARS_MAX
from services.kernel.problem import Problem
from services.kernel.routing import Parameter, Request, Router
from services.kernel.strict_json import Body
from services.kernel.tokens import Tokens, require

PRINCIPAL_CHARS_MAX = 128
QUERY = (
    Parameter("key", "the Idempotency-Key as it was sent, without quotes", required=True),
    Parameter("principal", "whose: a user id, or `signup:` and the first 32 digits of a login's digest"),
)


class StoredKey(Body):
    """One key in one service, with the answer that a repeat would get."""

    service: str
    tenant: str
    principal: str
    key: str
    fingerprint: str
    status: int
    answer: str | None
    created_at: datetime
    expires_at: datetime
    request: str | None = None


class KeysReply(Body):
    """All that was found. With a service in `unanswered` there may be more."""

    items: list[StoredKey]
    unanswered: list[str] = Field(description="services that did not answer in time")


def query_of(request: Request) -> dict[str, str]:
    """`key` and `principal`. Raises Problem 400."""
    given = request.query_params
    key, principal = given.get("key", ""), given.get("principal", "")
    if not 0 < len(key) <= KEY_CHARS_MAX or len(principal) > PRINCIPAL_CHARS_MAX or set(given) - {"key", "principal"}:
        raise Problem(400, "filter-invalid", "Ask with ?key=..., and with &principal=... if it is known.")
    return {"key": key} | ({"principal": principal} if principal else {})


def key_routes(books: KeyBooks, tokens: Tokens) -> Router:
    """/v1/admin/idempotency-keys."""
    router = Router()

    @router.get("/v1/admin/idempotency-keys", reply=KeysReply, query=QUERY, problems=("filter-invalid",))
    async def get_keys(request: Request) -> Response:
        """What is stored under an Idempotency-Key, in every service; for operators."""
        require(tokens.authenticate(request.headers), "operator", "admin")
        items, unanswered = await books.find(query_of(request))
        return json_reply({"items": items, "unanswered": unanswered})

    return router
