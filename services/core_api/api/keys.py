"""What became of a request: its Idempotency-Key, looked up in all services at once."""

from __future__ import annotations

from pydantic import Field
from starlette.responses import Response

from services.core_api.ports import KeyBooks
from services.kernel.http import json_reply
from services.kernel.internal import KeyQuery, KeyReply
from services.kernel.pages import read_query
from services.kernel.routing import Request, Router
from services.kernel.strict_json import Body
from services.kernel.tokens import Tokens, require


class StoredKeysReply(Body):
    """All that was found, oldest first. With a service in `unanswered` there may be more."""

    items: list[KeyReply]
    unanswered: list[str] = Field(description="services that did not answer in time")


def key_routes(books: KeyBooks, tokens: Tokens) -> Router:
    """/v1/admin/idempotency-keys."""
    router = Router()

    @router.get("/v1/admin/idempotency-keys", reply=StoredKeysReply, query=KeyQuery, problems=("invalid-query",))
    async def get_keys(request: Request) -> Response:
        """What is stored under an Idempotency-Key, in every service; for operators."""
        require(tokens.authenticate(request.headers), "operator", "admin")
        read_query(request, KeyQuery)
        items, unanswered = await books.find(request.scope["query_string"].decode("latin-1"))
        return json_reply({"items": items, "unanswered": unanswered})

    return router
