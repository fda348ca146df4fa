"""The client asks until it is answered, with the same key and the same bytes; a deposit is signed anew each time."""

import asyncio
import hmac
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field

import pytest

from scripts.bench.client import Body, Client, Facts, NotAnswered, Refused
from scripts.bench.http import Door, Lost

GOOD = b'{"quote_id":"q1","send_minor":10000,"send_currency":"GBP"}'
SECRET = "a-secret-of-the-partner-bank"


@dataclass
class Bench:
    """A server that answers from a list; None cuts the line."""

    answers: list[tuple[int, bytes] | None]
    url: str = ""
    requests: list[tuple[dict[str, str], bytes]] = field(default_factory=list)
    lines: int = 0

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.lines += 1
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                first, *rest = head.decode().strip().split("\r\n")
                headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in rest)}
                body = await reader.readexactly(int(headers.get("content-length", "0")))
                self.requests.append((headers | {"first": first}, body))
                answer = self.answers.pop(0)
                if answer is None:
                    break
                status, content = answer
                writer.write(b"HTTP/1.1 %d X\r\ncontent-length: %d\r\n\r\n%b" % (status, len(content), content))
        except asyncio.IncompleteReadError:
            pass
        finally:
            writer.close()


@asynccontextmanager
async def bench(*answers: tuple[int, bytes] | None) -> AsyncIterator[Bench]:
    made = Bench(list(answers))
    server = await asyncio.start_server(made.serve, "127.0.0.1", 0)
    made.url = f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    try:
        yield made
    finally:
        server.close()


def client(url: str, patience_seconds: float = 20.0) -> Client:
    webhook = {"partner": "sandbox-bank", "key_id": "k1", "secret": SECRET}
    facts = Facts(
        base_url=url, sandbox_url="", kafka_bootstrap="", oncall_database_url="", tokens={"customer": "t"},
        webhooks=[webhook],
    )  # fmt: skip
    return Client(facts, patience_seconds=patience_seconds, seconds=2.0)


@pytest.mark.parametrize("trouble", [None, (503, b"{}"), (500, b"oops"), (429, b"{}"), (408, b"{}")])
async def test_it_asks_again_with_the_same_key_and_body(trouble: tuple[int, bytes] | None) -> None:
    async with bench(trouble, (201, GOOD)) as served:
        asking = client(served.url)
        answer = await asking.quote("key-1")
        assert answer == Body(quote_id="q1", send_minor=10_000, send_currency="GBP")
        (first, bytes_1), (second, bytes_2) = served.requests
        assert first["idempotency-key"] == second["idempotency-key"] == "key-1"
        assert bytes_1 == bytes_2
        assert asking.retries == 1
        assert asking.in_flight["quotes"] == 0
        asking.close()


async def test_a_definite_no_is_not_asked_again() -> None:
    async with bench((409, b'{"code":"QUOTE_EXPIRED","detail":"too late"}')) as served:
        asking = client(served.url)
        with pytest.raises(Refused, match="QUOTE_EXPIRED"):
            await asking.quote("key-1")
        assert len(served.requests) == 1
        asking.close()


async def test_patience_ends() -> None:
    async with bench((503, b""), (503, b"")) as served:
        asking = client(served.url, patience_seconds=0.0)
        with pytest.raises(NotAnswered):
            await asking.quote("key-1")
        asking.close()


async def test_items_that_say_later_are_asked_for_again() -> None:
    body: Callable[[int], bytes] = lambda status: b'{"results":[{"index":0,"status":%d,"body":{}}]}' % status  # noqa: E731
    async with bench((200, body(503)), (200, body(201))) as served:
        asking = client(served.url)
        (result,) = await asking.quotes(1, "key-1")
        assert result.status == 201
        assert len({request[0]["idempotency-key"] for request in served.requests}) == 1
        asking.close()


async def test_a_deposit_keeps_its_bytes_and_is_signed_over_them() -> None:
    transfer = Body(transfer_id="t", route="RF1", send_minor=10_000, send_currency="GBP")
    async with bench(None, (200, b'{"reference":"r1","status":"accepted"}')) as served:
        asking = client(served.url)
        assert (await asking.deposit("r1", transfer)).reference == "r1"
        assert served.requests[0][1] == served.requests[1][1]
        for headers, body in served.requests:
            stamp, key_id, mac = (part.partition("=")[2] for part in headers["x-webhook-signature"].split(","))
            assert key_id == "k1"
            assert mac == hmac.digest(SECRET.encode(), stamp.encode() + b"." + body, "sha256").hex()
        asking.close()


async def test_a_line_stays_open_and_one_without_answer_is_never_used_again() -> None:
    async with bench((200, b"1"), (200, b"2")) as served:
        door = Door(served.url)
        assert [(await door.ask("GET", "/a")).body, (await door.ask("GET", "/b")).body] == [b"1", b"2"]
        assert served.lines == 1
        door.close()

    async def silent(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        await reader.readuntil(b"\r\n\r\n")
        await asyncio.sleep(0.2)
        writer.write(b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nstale")

    server = await asyncio.start_server(silent, "127.0.0.1", 0)
    door = Door(f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}", seconds=0.05)
    with pytest.raises(Lost, match="no answer"):
        await door.ask("GET", "/a")
    assert door._idle == []
    server.close()


async def test_a_closed_door_is_lost() -> None:
    with pytest.raises(Lost):
        await Door("http://127.0.0.1:1").ask("GET", "/")
