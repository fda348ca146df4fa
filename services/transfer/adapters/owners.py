"""The internal routes of the services that own what we need to know."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import aiohttp

from services.kernel import tracing
from services.kernel.codec import encode
from services.transfer.ports import OwnerUnavailable

SECONDS_MAX = 5.0  # the customer waits for this


class Owner:
    """One owner's internal route."""

    def __init__(self, session: aiohttp.ClientSession, url: str, token: Callable[[], str]) -> None:
        self._session = session
        self._url = url
        self._token = token

    async def ask(self, body: Mapping[str, Any], read: Callable[[bytes], Any]) -> Any:
        """One call; raises OwnerUnavailable for whatever goes wrong."""
        headers = {"authorization": f"Bearer {self._token()}", "content-type": "application/json"}
        if trace := tracing.traceparent():
            headers["traceparent"] = trace
        try:
            timeout = aiohttp.ClientTimeout(total=SECONDS_MAX)
            async with self._session.post(self._url, data=encode(body), headers=headers, timeout=timeout) as answer:
                content = await answer.read()
                if answer.status != 200:
                    raise OwnerUnavailable(f"{answer.status}")
                return read(content)
        except (aiohttp.ClientError, TimeoutError, ValueError) as error:
            raise OwnerUnavailable(type(error).__name__) from error
