"""A small service behind the kernel's HTTP, and how to ask it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import asyncpg
from asyncpg.exceptions._base import DataError as ClientDataError

from services.kernel import tracing
from services.kernel.health import Health
from services.kernel.http import App, create_app, json_reply
from services.kernel.idempotency import item_key, request_key
from services.kernel.problem import Problem
from services.kernel.rejected import Rejected
from services.kernel.routing import BULK_BYTES_MAX, Request, Router
from services.kernel.settings import Kernel, load
from services.kernel.strict_json import Body, Id, Line, parse, read_uuid
from services.kernel.tokens import Principal

SETTINGS = load(
    Kernel,
    "quote",
    {
        "ENV": "test", "DATABASE_URL": "postgresql://a:b@c/d", "KAFKA_BOOTSTRAP_SERVERS": "k:1",
        "JWT_SECRET": "0f9d1c3b5a7e88420f9d1c3b5a7e8842", "RELEASE_SHA": "abc", "CORS_ALLOW_ORIGINS": "https://ui.example",
    },
)  # fmt: skip
ANNA = Principal(UUID(int=7), "corridor", frozenset({"customer"}))
SECRET = "planted-secret-4111111111111111"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
JSON = (("content-type", "application/json"),)


class QuoteUsed(Rejected):
    """Another transfer has taken this quote."""

    slug = "quote/used"


class Amount(Body):
    minor: int


class Ask(Body):
    sender: Id
    name: Line
    amount: Amount
    items: tuple[Amount, ...] = ()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def service(health: Health | None = None) -> App:
    router = Router("/v1")

    @router.post("/asks", body=Ask, reply=Amount)
    async def post_ask(request: Request) -> Any:
        ask = parse(await request.body(), Ask)
        return json_reply({"sender": ask.sender, "name": ask.name}, 201)

    @router.post("/asks/batch", limit=BULK_BYTES_MAX)
    async def post_batch(request: Request) -> Any:
        return json_reply({"bytes": len(await request.body())})

    @router.post("/keyed")
    async def post_keyed(request: Request) -> Any:
        key = request_key(request, ANNA, await request.body())
        return json_reply({"key": key.key, "fingerprint": key.fingerprint, "item": item_key(key, 3).key})

    @router.get("/asks/{ask_id}")
    async def get_ask(request: Request) -> Any:
        return json_reply({"id": read_uuid(request.path_params["ask_id"]), "trace": tracing.traceparent()})

    @router.get("/fail/{how}")
    async def get_failure(request: Request) -> Any:
        raise {
            "refused": QuoteUsed(UUID(int=1)), "problem": Problem(409, "webhook/reference-mismatch"),
            "bug": RuntimeError(SECRET), "data": ClientDataError(SECRET), "away": asyncpg.InterfaceError(SECRET),
            "refused_connection": ConnectionRefusedError(SECRET), "slow": TimeoutError(),
        }[request.path_params["how"]]  # fmt: skip

    return create_app(SETTINGS, [router], health)


async def send(
    app: Any,
    method: str,
    path: str,
    body: bytes | Sequence[bytes] = b"",
    headers: Sequence[tuple[str, str]] = JSON,
    *,
    query: str = "",
    chunked: bool = False,
    hang: bool = False,
) -> Answer:
    chunks = [body] if isinstance(body, bytes) else list(body)
    if any(chunks) and not chunked:
        headers = [*headers, ("content-length", str(sum(map(len, chunks))))]
    elif chunked:
        headers = [*headers, ("transfer-encoding", "chunked")]
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "scheme": "http", "server": ("x", 1), "client": ("y", 2), "root_path": "", "http_version": "1.1",
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if hang:
            await asyncio.sleep(3600)
        assert chunks, "more was read than there is"
        part = chunks.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(chunks)}

    async def take(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, take)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    head = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], head, sent[1]["body"])


def ask(**changes: Any) -> bytes:
    whole = {"sender": str(UUID(int=5)), "name": "Anna", "amount": {"minor": 100}} | changes
    return json.dumps(whole).encode()


def slug(answer: Answer) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == answer.status
    assert answer.json["trace_id"] == answer.headers["x-request-id"]
    assert answer.json["instance"].endswith(answer.json["trace_id"])
    kind: str = answer.json["type"]
    return kind.removeprefix("https://corridor.dev/problems/")


async def faults(body: bytes) -> list[tuple[str, str]]:
    answer = await send(service(), "POST", "/v1/asks", body)
    assert (answer.status, slug(answer)) == (422, "invalid-body")
    return [(fault["pointer"], fault["code"]) for fault in answer.json["errors"]]
