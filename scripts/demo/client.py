"""A customer, an operator and a payer, as the outside sees Corridor. Plain JSON over HTTP; knows nothing of our code.

Whatever fails on the way is asked again under the same Idempotency-Key; what was answered is written down before it is
believed, and that log is what the judge holds Corridor to.
"""

import asyncio
import json
import uuid
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from types import TracebackType
from typing import Any, Self

import aiohttp

ANSWER_SECONDS = 10
AGAIN_SECONDS = 0.3
CONNECTIONS_MAX = 32
TRANSIENT = frozenset({408, 425, 429, 500, 502, 503, 504})
Json = dict[str, Any]


class Refused(Exception):
    """A definite no: asking again would bring the same."""


@dataclass
class Log:
    """One line of JSON for each thing that was done and answered."""

    path: Path

    def write(self, kind: str, **content: Any) -> None:
        line = json.dumps({"kind": kind} | content)
        with self.path.open("a") as file:
            file.write(line + "\n")


@dataclass
class Client:
    """Asks until it is answered; whoever calls sets the deadline."""

    base_url: str
    sandbox_url: str
    retries: int = 0
    tokens: dict[str, str] = field(default_factory=dict)
    _session: aiohttp.ClientSession | None = None

    async def __aenter__(self) -> Self:
        connector = aiohttp.TCPConnector(limit=CONNECTIONS_MAX)
        limit = aiohttp.ClientTimeout(total=ANSWER_SECONDS)
        self._session = aiohttp.ClientSession(connector=connector, timeout=limit)
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        assert self._session
        await self._session.close()

    async def log_in(self, login: str, password: str) -> None:
        """Its requests go under `login` from now on."""
        answer = await self._until_answered("POST", "/v1/auth/login", {"login": login, "password": password}, {})
        self.tokens[login] = answer["access_token"]

    async def get(self, path: str, who: str = "customer") -> Json:
        return await self._until_answered("GET", path, None, self._bearer(who))

    async def post(self, path: str, body: Mapping[str, Any], who: str = "customer") -> Json:
        """A command: a new key, kept for as long as it is asked."""
        headers = self._bearer(who) | {"Idempotency-Key": str(uuid.uuid4())}
        return await self._until_answered("POST", path, body, headers)

    async def post_all(self, path: str, name: str, items: Sequence[Mapping[str, Any]]) -> list[Json]:
        """A bulk command; the answers in order. Items that were not answered for good are asked for again, same key.

        Raises Refused when an item is.
        """
        headers = self._bearer("customer") | {"Idempotency-Key": str(uuid.uuid4())}
        while True:
            answer = await self._until_answered("POST", path, {name: items}, headers)
            results = sorted(answer["results"], key=lambda each: int(each["index"]))
            if not any(each["status"] in TRANSIENT for each in results):
                return [_good(each["status"], each["body"]) for each in results]
            await self._pause()

    async def look(self, path: str) -> Json | None:
        """One try; None while nobody answers."""
        try:
            status, answer = await self._once("GET", f"{self.base_url}{path}", None, self._bearer("customer"))
        except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
            return None
        return answer if status == 200 else None

    async def sandbox(self, method: str, path: str, body: Mapping[str, Any]) -> Json:
        """The outside world is told what to do. It may be killed as well; what it did already it does not do again."""
        while True:
            try:
                status, answer = await self._once(method, f"{self.sandbox_url}{path}", body, {})
                return _good(status, answer)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                await self._pause()

    def _bearer(self, who: str) -> dict[str, str]:
        return {"Authorization": f"Bearer {self.tokens[who]}"}

    async def _until_answered(
        self, method: str, path: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> Json:
        while True:
            try:
                status, answer = await self._once(method, f"{self.base_url}{path}", body, headers)
            except (aiohttp.ClientError, TimeoutError, OSError, ValueError):
                status, answer = 503, {}
            if status not in TRANSIENT:
                return _good(status, answer)
            await self._pause()

    async def _once(
        self, method: str, url: str, body: Mapping[str, Any] | None, headers: Mapping[str, str]
    ) -> tuple[int, Json]:
        assert self._session, "not opened"
        async with self._session.request(method, url, json=body, headers=headers) as response:
            return response.status, await response.json(content_type=None)

    async def _pause(self) -> None:
        self.retries += 1
        await asyncio.sleep(AGAIN_SECONDS)


def _good(status: int, answer: Json) -> Json:
    if status >= 300:
        raise Refused(f"HTTP {status} {json.dumps(answer)[:500]}")
    return answer
