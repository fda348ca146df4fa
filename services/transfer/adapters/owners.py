"""The internal routes of the services that own what we need to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from services.kernel import tracing
from services.kernel.codec import encode
from services.kernel.deadline import Deadline
from services.kernel.upstream import Upstream, UpstreamBusy, UpstreamLost
from services.transfer.ports import OwnerUnavailable

SECONDS_MAX = 5  # the customer waits for this


class Owner:
    """One owner's internal route."""

    def __init__(self, upstream: Upstream, path: str, token: Callable[[], str]) -> None:
        """`token` gives one that is good now."""
        self._upstream = upstream
        self._path = path
        self._token = token
        self._deadline = Deadline(SECONDS_MAX)

    async def ask(self, body: Mapping[str, Any], read: Callable[[bytes], Any]) -> Any:
        """One call; raises OwnerUnavailable for whatever goes wrong."""
        headers = {"authorization": f"Bearer {self._token()}", "content-type": "application/json"}
        if trace := tracing.traceparent():
            headers["traceparent"] = trace
        try:
            async with self._deadline:
                status, content = await self._upstream.post(self._path, headers, encode(body))
            if status != 200:
                raise OwnerUnavailable(f"{status}")
            return read(content)
        except (UpstreamLost, UpstreamBusy, TimeoutError, ValueError) as error:
            raise OwnerUnavailable(type(error).__name__) from error
