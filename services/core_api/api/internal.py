"""What only our other services may ask of core_api; on the internal port."""

from __future__ import annotations

from typing import Annotated

from pydantic import Field
from starlette.responses import Response

from services.core_api.api.profiles import Profiles
from services.kernel.codec import encode
from services.kernel.http import Reply
from services.kernel.routing import Request, Router
from services.kernel.strict_json import Body, Id, parse
from services.kernel.tokens import ServiceTokens, require, require_tenant

PROFILES_MAX = 1_000  # of one request: both parties of 500 transfers


class ProfilesRequest(Body):
    """Which profiles, of which tenant."""

    tenant: str
    profile_ids: Annotated[list[Id], Field(min_length=1, max_length=PROFILES_MAX)]


def internal_routes(profiles: Profiles, tokens: ServiceTokens) -> Router:
    """/internal/profiles, for our other services; not on the public port."""
    router = Router()

    @router.post("/internal/profiles", status=200, body=ProfilesRequest)
    async def post_facts(request: Request) -> Response:
        """For services only: up to 1,000 profiles with what is personal still sealed."""
        principal = tokens.authenticate(request.headers)
        require(principal, "service")
        body = parse(await request.body(), ProfilesRequest)
        require_tenant(principal, body.tenant)
        return Reply((200, encode(await profiles.facts(body.tenant, body.profile_ids))))

    return router
