"""core_api in this process, on a database of its own, with services behind it that say what they were asked."""

from __future__ import annotations

import asyncio
import base64
import json
from collections.abc import AsyncIterator, Callable, Sequence
from contextlib import AsyncExitStack, asynccontextmanager
from typing import Any

import aiohttp
import pytest
import pytest_asyncio
import uvicorn
from starlette.types import ASGIApp, Receive, Scope, Send

from services.core_api.__main__ import Settings, add_user, build
from services.kernel.corked import CorkedHttp
from services.kernel.process import bind
from services.kernel.settings import load
from services.kernel.tokens import Principal, ServiceToken, ServiceTokens, Tokens

PASSWORD = "correct horse battery"
BEHIND = ("quote", "transfer", "deposit", "payout", "ledger", "review", "recon")
KEY = base64.b64encode(bytes(range(32))).decode()


class Echo:
    """A service behind the door: keeps what it was asked, and answers what it was told."""

    def __init__(self) -> None:
        self.asked: list[dict[str, Any]] = []
        self.answer: Callable[[Scope, Send], Any] | None = None

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        body, more = b"", True
        while more:
            message = await receive()
            body, more = body + message.get("body", b""), message.get("more_body", False)
        self.asked.append({
            "method": scope["method"], "path": scope["raw_path"], "query": scope["query_string"],
            "headers": [(name.lower(), value) for name, value in scope["headers"]], "body": body,
        })  # fmt: skip
        if self.answer is not None:
            await self.answer(scope, send)
        else:
            await reply(send, 200, body, [(b"content-type", b"application/octet-stream")])

    @property
    def headers(self) -> dict[bytes, bytes]:
        """Those of the last request."""
        return dict(self.asked[-1]["headers"])


async def reply(send: Send, status: int, body: bytes, headers: list[tuple[bytes, bytes]]) -> None:
    """An answer with its length."""
    length = (b"content-length", b"%d" % len(body))
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def served(app: ASGIApp) -> AsyncIterator[str]:
    """`app` under uvicorn on a free port."""
    listening = bind("127.0.0.1", 0)
    config = uvicorn.Config(
        app, loop="none", http=CorkedHttp, ws="none", lifespan="off", log_config=None, access_log=False,
        server_header=False, proxy_headers=False, timeout_graceful_shutdown=1,
    )  # fmt: skip
    server = uvicorn.Server(config)
    task = asyncio.create_task(server._serve(sockets=[listening]))
    while not server.started:  # noqa: ASYNC110 - uvicorn has no event for it
        await asyncio.sleep(0.005)
    try:
        yield f"http://127.0.0.1:{listening.getsockname()[1]}"
    finally:
        task.cancel()  # its loop looks only every 100 ms whether it should end
        await asyncio.wait({task})
        await server.shutdown(sockets=[listening])


class OpenGate:
    """No maintenance."""

    closed = False

    def judge(self, headers: Sequence[tuple[bytes, bytes]]) -> None:
        """Everybody may."""

    def judge_anybody(self) -> None:
        """Everybody may."""


class System:
    """The door, who stands behind it, and clients of it."""

    def __init__(
        self,
        settings: Settings,
        url: str,
        internal: str,
        session: aiohttp.ClientSession,
        behind: dict[str, Echo],
        door: Any,
    ) -> None:
        self.settings = settings
        self.door = door
        self.url = url
        self.internal = internal
        self.session = session
        self.behind = behind
        self.tokens = Tokens.from_settings(settings)

    async def ask(self, method: str, path: str, body: Any = None, **headers: str) -> tuple[int, Any]:
        """(status, JSON)."""
        named = {name.replace("_", "-"): value for name, value in headers.items()}
        at = self.internal if path.startswith("/internal/") else self.url
        async with self.session.request(method, at + path, json=body, headers=named) as answer:
            return answer.status, json.loads(await answer.read())

    async def user(self, login: str, role: str) -> dict[str, str]:
        """A registered user, logged in: the headers of their requests."""
        code, text = await add_user(self.settings, self.settings.tenant, login, PASSWORD, role)
        assert code == 0, text
        body = self.credentials(login) | {"tenant": self.settings.tenant}
        status, answer = await self.ask("POST", "/v1/auth/login", body)
        assert status == 200, answer
        return {"authorization": f"Bearer {answer['access_token']}"}

    def credentials(self, login: str, password: str = PASSWORD) -> dict[str, str]:
        """The body of a login."""
        return {"login": login, "password": password}

    async def login(self, login: str) -> dict[str, Any]:
        """What a login answers."""
        status, answer = await self.ask("POST", "/v1/auth/login", self.credentials(login))
        assert status == 200, answer
        granted: dict[str, Any] = answer
        return granted

    def bearer(self, principal: Principal) -> dict[str, str]:
        """A token for whoever that is."""
        return {"authorization": f"Bearer {self.tokens.issue(principal, 600)}"}

    def service(self, service: str) -> dict[str, str]:
        """The token with which a service of ours asks."""
        token = ServiceToken(ServiceTokens.from_settings(self.settings), service, self.settings.tenant)
        return {"authorization": f"Bearer {token()}"}


@asynccontextmanager
async def opened_system(database: str, *absent: str, **variables: str) -> AsyncIterator[System]:
    """One core_api with these variables more, without the services that are `absent`."""
    async with AsyncExitStack() as opened:
        behind = {name: Echo() for name in BEHIND if name not in absent}
        addresses = {name: await opened.enter_async_context(served(echo)) for name, echo in behind.items()}
        environ = {f"{name.upper()}_URL": url for name, url in addresses.items()}
        environ |= {
            "ENV": "test", "DATABASE_URL": database, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
            "JWT_SECRET": "an-hs256-key-of-32-chars-or-more", "CORRIDOR_KEK": KEY,
        }  # fmt: skip
        settings = load(Settings, "core_api", environ | variables)
        running = await build(settings, opened)
        for task in ("commands", "maintenance"):
            opened.callback(asyncio.create_task(running.tasks[task]()).cancel)
        url = await opened.enter_async_context(served(running.app))
        session = await opened.enter_async_context(aiohttp.ClientSession(auto_decompress=False))
        assert running.internal is not None
        internal = await opened.enter_async_context(served(running.internal))
        yield System(settings, url, internal, session, behind, running.app)


@pytest_asyncio.fixture
async def system(database: str) -> AsyncIterator[System]:
    """A new one for each test; the module's database stays."""
    async with opened_system(database) as made:
        yield made


@pytest.fixture
def quote(system: System) -> Echo:
    """The service behind /v1/quotes."""
    return system.behind["quote"]
