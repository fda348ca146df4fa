"""What the books' writing routes share: who asks, under which key, and why."""

from __future__ import annotations

from services.kernel.decider import RequestKey
from services.kernel.idempotency import request_key
from services.kernel.internal import Callers
from services.kernel.problem import Problem
from services.kernel.routing import Request
from services.kernel.tokens import Principal, require

SERVICE = ("service",)
STAFF = ("operator", "admin")
OVERSEERS = ("operator", "admin", "service")
REASON_CHARS_MIN, REASON_CHARS_MAX = 8, 500


async def asked(request: Request, callers: Callers, *roles: str) -> tuple[bytes, Principal, RequestKey]:
    """The body, who sent it, and its key. Raises Problem 400, 401, 403."""
    principal = callers.authenticate(request.headers)
    require(principal, *roles)
    body = await request.body()
    return body, principal, request_key(request, principal, body)


def reason_of(text: str) -> str:
    """Raises Problem 400."""
    if len(text.strip()) < REASON_CHARS_MIN:
        raise Problem(400, "reason-required", f"Say why, in at least {REASON_CHARS_MIN} characters.")
    return text.strip()
