"""The door: what it passes on, what it keeps back, and what it says when nobody is there."""

from __future__ import annotations

import asyncio
import json
import os
import socket
from contextlib import suppress
from typing import Any
from urllib.parse import urlsplit

import pytest
from starlette.types import Message, Receive, Scope, Send

from services.core_api.adapters import proxy
from services.kernel import upstream
from services.kernel.deadline import Deadline
from services.kernel.problem import Problem
from tests.integration.core_api.conftest import Echo, OpenGate, System, reply

TRACE = "0af7651916cd43dd8448eb211c80319c"


async def raw(system: System, request: bytes) -> bytes:
    """The answer to these very bytes, until the end of the connection."""
    address = urlsplit(system.url)
    reader, writer = await asyncio.open_connection(address.hostname, address.port)
    writer.write(request)
    answer = await reader.read()
    writer.close()
    return answer


@pytest.mark.parametrize(
    ("path", "owner"),
    [
        ("/v1/quotes", "quote"), ("/v1/quotes/batch", "quote"), ("/v1/corridors", "quote"),
        ("/v1/transfers/1/timeline", "transfer"), ("/v1/deposits/waiting", "deposit"), ("/v1/routes/1", "deposit"),
        ("/v1/webhooks/deposit", "deposit"), ("/v1/webhooks/deposit/batch", "deposit"),
        ("/v1/webhooks/payout", "payout"), ("/v1/webhooks/payouts/bank", "payout"), ("/v1/payouts/1", "payout"),
        ("/v1/ledger/trial-balance", "ledger"), ("/v1/reviews", "review"), ("/v1/recon/runs", "recon"),
    ],
)  # fmt: skip
async def test_each_prefix_has_its_owner(system: System, path: str, owner: str) -> None:
    await system.session.get(system.url + path)
    assert {name: len(echo.asked) for name, echo in system.behind.items() if echo.asked} == {owner: 1}


@pytest.mark.parametrize("path", ["/v1/nothing", "/v1", "/v2/quotes", "/v1/webhooks/other"])
async def test_what_nobody_owns_is_not_found(system: System, path: str) -> None:
    assert (await system.ask("GET", path))[0] == 404
    assert not any(echo.asked for echo in system.behind.values())


@pytest.mark.parametrize("method", ["GET", "POST"])
@pytest.mark.parametrize(
    "path", ["/metrics", "/internal/profiles", "/internal/quotes/terms", "//internal/profiles", "/v1/../metrics"]
)
async def test_what_is_internal_is_not_on_the_public_port(system: System, method: str, path: str) -> None:
    answer = await raw(system, f"{method} {path} HTTP/1.1\r\nhost: x\r\nconnection: close\r\n\r\n".encode())
    head, _, body = answer.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 404")
    assert b"content-type: application/problem+json" in head.lower()
    assert json.loads(body)["code"] == "NOT_FOUND"


async def test_the_documents_of_the_public_port_do_not_name_what_is_internal(system: System) -> None:
    _, document = await system.ask("GET", "/openapi.json", accept_encoding="identity")
    assert "/v1/profiles" in document["paths"]
    assert not [path for path in document["paths"] if path.startswith(("/internal", "/metrics"))]


@pytest.mark.parametrize("path", ["/healthz", "/readyz", "/health/ready", "/api/health", "/v1/health", "/version"])
async def test_probes_answer_on_both_ports(system: System, path: str) -> None:
    for at in (system.url, system.internal):
        assert (await system.session.get(at + path)).status == 200


async def test_the_internal_port_has_the_metrics_and_none_of_the_public_routes(system: System) -> None:
    text = await (await system.session.get(system.internal + "/metrics")).text()
    assert "corridor_build_info" in text
    for path in ("/v1/me", "/v1/quotes", "/v1/auth/login"):
        assert (await system.session.get(system.internal + path)).status == 404


async def test_body_path_and_query_pass_byte_for_byte_in_both_directions(system: System, quote: Echo) -> None:
    body = bytes(range(256)) * 200
    request = (
        b"POST /v1/quotes/%%41b%%2Fc?a=1&b=%%20 HTTP/1.1\r\nhost: x\r\nconnection: close\r\ncontent-length: %d\r\n\r\n"
    )
    answer = await raw(system, request % len(body) + body)
    assert answer.partition(b"\r\n\r\n")[2] == body
    asked = quote.asked[0]
    assert (asked["path"], asked["query"], asked["body"]) == (b"/v1/quotes/%41b%2Fc", b"a=1&b=%20", body)


async def test_a_body_in_chunks_arrives_whole(system: System, quote: Echo) -> None:
    request = (
        b"POST /v1/quotes HTTP/1.1\r\nhost: x\r\nconnection: close\r\ntransfer-encoding: chunked\r\n\r\n"
        b"3\r\nabc\r\n2\r\nde\r\n0\r\n\r\n"
    )
    assert (await raw(system, request)).startswith(b"HTTP/1.1 200")
    assert quote.asked[0]["body"] == b"abcde"
    assert quote.headers[b"content-length"] == b"5"
    assert b"transfer-encoding" not in quote.headers


async def test_the_bearer_the_key_and_a_signature_pass_unchanged(system: System, quote: Echo) -> None:
    given = {"authorization": "Bearer abc.def", "idempotency-key": "k-1", "x-webhook-signature": "t=1,v1=00"}
    await system.session.post(system.url + "/v1/quotes", data=b"{}", headers=given)
    assert {name: quote.headers[name.encode()].decode() for name in given} == given


async def test_hop_by_hop_and_forged_headers_stay_outside(system: System, quote: Echo) -> None:
    given = {
        "connection": "keep-alive, x-hop", "x-hop": "1", "te": "trailers", "keep-alive": "timeout=5", "upgrade": "h2c",
        "proxy-authorization": "Basic xyz", "x-forwarded-for": "1.2.3.4", "x-forwarded-host": "evil",
        "forwarded": "for=1.2.3.4", "x-real-ip": "1.2.3.4", "x-user-id": "root", "x-tenant-id": "other",
        "X-User-Roles": "admin",
    }  # fmt: skip
    await system.session.get(system.url + "/v1/quotes/1", headers=given)
    assert not {name.lower().encode() for name in given} & set(quote.headers)
    assert quote.headers[b"host"] == urlsplit(system.settings.quote_url).netloc.encode()


async def test_the_trace_goes_on_behind_the_door(system: System, quote: Echo) -> None:
    given = {"traceparent": f"00-{TRACE}-b7ad6b7169203331-01"}
    async with system.session.get(system.url + "/v1/quotes/1", headers=given) as answer:
        assert answer.headers["x-request-id"] == TRACE
    passed = quote.headers[b"traceparent"].decode().split("-")
    assert passed[1] == TRACE
    assert passed[2] != "b7ad6b7169203331"


async def test_an_answer_keeps_status_body_and_headers_and_loses_what_is_ours_to_say(
    system: System, quote: Echo
) -> None:
    async def answer(_scope: Scope, send: Send) -> None:
        headers = [
            (b"content-type", b"application/problem+json"), (b"retry-after", b"2"), (b"x-request-id", b"inner"),
            (b"set-cookie", b"a=1"), (b"set-cookie", b"b=2"), (b"content-encoding", b"gzip"),
            (b"location", system.settings.quote_url.encode() + b"/v1/quotes/7"),
        ]  # fmt: skip
        await reply(send, 429, b"\x1f\x8bnot really", headers)

    quote.answer = answer
    async with system.session.get(system.url + "/v1/quotes/1") as found:
        assert (found.status, await found.read()) == (429, b"\x1f\x8bnot really")
        assert found.headers.getall("set-cookie") == ["a=1", "b=2"]
        assert found.headers["retry-after"] == "2"
        assert found.headers["location"] == "/v1/quotes/7"
        assert len(found.headers.getall("x-request-id")) == len(found.headers.getall("date")) == 1
        assert found.headers["x-request-id"] != "inner"


async def test_a_head_request_has_the_headers_and_no_body(system: System) -> None:
    async with system.session.head(system.url + "/v1/quotes/1") as answer:
        assert (answer.status, await answer.read()) == (200, b"")
    assert (await system.ask("GET", "/v1/me"))[0] == 401  # the connection is still in step


async def test_a_large_answer_streams_through(system: System, quote: Echo) -> None:
    part = os.urandom(100_000)

    async def answer(_scope: Scope, send: Send) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(50):
            await send({"type": "http.response.body", "body": part, "more_body": True})
        await send({"type": "http.response.body", "body": b""})

    quote.answer = answer
    for pause in (0.1, 0.0, 0.2):  # a slow reader: the door must not keep all of it, nor lose what came meanwhile
        async with system.session.get(system.url + "/v1/quotes/1") as found:
            await asyncio.sleep(pause)
            assert await found.read() == part * 50


async def test_an_answer_that_ends_while_its_caller_is_slow_is_given_whole() -> None:
    """The end may arrive while a part is still being sent on."""
    body, taken = os.urandom(700_000), list[tuple[bytes, bool]]()

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n" % len(body) + body)

    async def slow(message: Any) -> None:
        await asyncio.sleep(0.3)
        taken.append((message.get("body", b""), message.get("more_body")))

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    there = upstream.Upstream(f"http://127.0.0.1:{port}")
    await proxy.Proxy(OpenGate())._pass(there, b"GET / HTTP/1.1\r\n\r\n", slow, repeatable=False)
    assert b"".join(part for part, _ in taken) == body
    assert [more for _, more in taken[1:]] == [True] * (len(taken) - 2) + [False]
    assert (there._busy, len(there._idle)) == (0, 1)
    there.close()
    server.close()


async def test_what_a_service_says_past_its_answer_is_given_to_nobody() -> None:
    answer = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n"
    more = iter([answer + b"xxHTTP/1.1 200 OK\r\nx: y\r\ncontent-length: 9\r\n\r\nxxx", b"", b""])

    async def one(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        with suppress(asyncio.IncompleteReadError, ConnectionError):
            while await reader.readuntil(b"\r\n\r\n"):
                writer.write(answer + b"ok" + next(more))

    server = await asyncio.start_server(one, "127.0.0.1", 0)
    there = upstream.Upstream(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}")
    assert [await there.post("/", {}, b"") for _ in range(3)] == [(200, b"ok")] * 3
    there.close()
    server.close()


@pytest.mark.parametrize(
    ("path", "limit"),
    [("/v1/quotes", 64 * 1024), ("/v1/quotes/batch", 1024 * 1024), ("/v1/webhooks/deposit", 256 * 1024)],
)
async def test_a_body_beyond_its_limit_is_refused(system: System, path: str, limit: int) -> None:
    async with system.session.post(system.url + path, data=b"x" * limit) as answer:
        assert answer.status == 200
    async with system.session.post(system.url + path, data=b"x" * (limit + 1)) as answer:
        assert answer.status == 413
    chunked = b"POST %b HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n" % path.encode()
    many = b"10000\r\n%b\r\n" % (b"x" * 65_536) * (limit // 65_536) + b"1\r\nx\r\n0\r\n\r\n"
    assert (await raw(system, chunked + many)).startswith(b"HTTP/1.1 413")


async def test_large_bodies_that_come_slowly_have_a_bound_together(monkeypatch: pytest.MonkeyPatch) -> None:
    """Nobody needs a token to send one, and each may be of a MiB."""
    monkeypatch.setattr(proxy, "HELD_BYTES_MAX", 300_000)
    door, go_on = proxy.Proxy(OpenGate()), asyncio.Event()

    def sent(*sizes: int, end: asyncio.Event | None = None) -> Receive:
        rest = list(sizes)

        async def receive() -> Message:
            if end is not None and len(rest) == 1:
                await end.wait()
            return {"type": "http.request", "body": b"x" * rest.pop(0), "more_body": bool(rest)}

        return receive

    slow = asyncio.create_task(door._read(sent(200_000, 1, end=go_on), 200_001, 1_000_000))
    await asyncio.sleep(0)
    with pytest.raises(Problem) as refused:
        await door._read(sent(150_000, 50_000), -1, 1_000_000)
    assert (refused.value.status, b'"code":"OVERLOADED"' in refused.value.answer[1]) == (503, True)
    go_on.set()
    assert len(await slow) == 200_001
    assert len(await door._read(sent(150_000, 50_000), -1, 1_000_000)) == 200_000
    assert door._held == 0


async def test_a_token_in_the_query_is_refused(system: System, quote: Echo) -> None:
    assert (await system.ask("GET", "/v1/quotes/1?access_token=abc"))[0] == 400
    assert not quote.asked


async def test_a_service_that_is_down_is_503_and_its_address_does_not_leak(system: System) -> None:
    with socket.socket() as reserved:  # bound, and nobody listens
        reserved.bind(("127.0.0.1", 0))
        port = reserved.getsockname()[1]
        behind = proxy.targets(dict.fromkeys(system.behind, f"http://127.0.0.1:{port}"))
        _replace(system, behind)
        async with system.session.post(system.url + "/v1/quotes", json={}) as answer:
            text = await answer.text()
        assert (answer.status, answer.headers["retry-after"]) == (503, "1")
        assert '"code":"TEMPORARILY_UNAVAILABLE"' in text
        assert str(port) not in text + str(answer.headers)


async def test_a_service_that_dies_in_the_middle_is_503(system: System) -> None:
    async def half(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        writer.close()

    server = await asyncio.start_server(half, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _replace(system, proxy.targets(dict.fromkeys(system.behind, f"http://127.0.0.1:{port}")))
    assert (await system.ask("POST", "/v1/quotes", {}))[0] == 503
    server.close()


async def test_a_connection_that_was_closed_meanwhile_is_no_error_for_who_may_repeat(system: System) -> None:
    served = 0

    async def once(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """Answers one request on each connection, then closes it while the next one is on its way."""
        nonlocal served
        await reader.readuntil(b"\r\n\r\n")
        served += 1
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\n{}")
        await reader.read(1)
        writer.transport.abort()

    server = await asyncio.start_server(once, "127.0.0.1", 0)
    port = server.sockets[0].getsockname()[1]
    _replace(system, proxy.targets(dict.fromkeys(system.behind, f"http://127.0.0.1:{port}")))
    for _ in range(3):
        assert (await system.ask("GET", "/v1/quotes/1"))[0] == 200
    assert served == 3
    assert (await system.session.head(system.url + "/v1/quotes/1")).status == 200
    assert (await system.ask("POST", "/v1/quotes"))[0] == 503  # without a key we may not send it twice
    assert (await system.ask("POST", "/v1/quotes"))[0] == 200
    assert (await system.ask("POST", "/v1/quotes", idempotency_key="k"))[0] == 200
    server.close()


async def test_no_answer_in_time_is_504(system: System, quote: Echo) -> None:
    async def never(_scope: Scope, _send: Send) -> None:
        await asyncio.sleep(4)

    quote.answer = never
    _proxy(system)._deadline = Deadline(1)
    status, problem = await system.ask("GET", "/v1/quotes/1")
    assert (status, problem["code"]) == (504, "GATEWAY_TIMEOUT")


async def test_connections_are_used_again_and_their_number_has_a_bound(
    system: System, monkeypatch: pytest.MonkeyPatch
) -> None:
    for _ in range(20):
        await system.session.get(system.url + "/v1/quotes/1")
    found = system.door._targets["quotes"].upstream
    assert (len(found._idle), found._busy) == (1, 0)
    monkeypatch.setattr(upstream, "CONNECTIONS_MAX", 0)
    assert (await system.ask("GET", "/v1/quotes/1"))[0] == 503


def _replace(system: System, behind: dict[str, Any]) -> None:
    system.door._targets = behind


def _proxy(system: System) -> proxy.Proxy:
    edge: Any = system.door._passed
    found: proxy.Proxy = edge._app
    return found
