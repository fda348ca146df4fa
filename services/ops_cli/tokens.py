"""What a bearer token says of itself, unverified: only the services can verify it."""

from __future__ import annotations

import base64
import json
from datetime import UTC, datetime

from services.ops_cli.views import span


def ends(token: str, now: datetime | None = None) -> str:
    """`ends in 40 m`; never a part of the token itself."""
    try:
        payload = token.split(".")[1]
        claims = json.loads(base64.urlsafe_b64decode(payload + "=" * (-len(payload) % 4)))
        left = int(claims["exp"]) - (now or datetime.now(UTC)).timestamp()
    except (ValueError, LookupError, TypeError):
        return "set"
    return f"ends in {span(left)}" if left > 0 else f"ended {span(-left)} ago"
