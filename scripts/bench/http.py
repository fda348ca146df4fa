"""A small HTTP/1.1 client: connections that stay open and little work for a request, for it shares the machine."""

import asyncio
from collections.abc import Callable
from dataclasses import dataclass
from urllib.parse import urlsplit

import httptools

SILENCE_SECONDS_MAX = 30.0  # the bulk request's own patience; past it the client asks again with the same key


class Lost(Exception):
    """No answer, or not a whole one: the request may have had its effect."""


@dataclass(frozen=True, slots=True)
class Reply:
    """A whole answer."""

    status: int
    body: bytes


class Line(asyncio.Protocol):
    """One connection, one exchange at a time. httptools calls the methods `on_...`."""

    def __init__(self) -> None:
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[Reply] | None = None
        self._parts: list[bytes] = []
        self.transport: asyncio.Transport | None = None
        self.open = False

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = transport  # type: ignore[assignment]  # TCP gives one that reads and writes
        self.open = True

    def connection_lost(self, exc: Exception | None) -> None:
        self.open = False
        self._fail(Lost(f"the line was closed ({exc})"))

    def data_received(self, data: bytes) -> None:
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError as error:
            self._fail(Lost(str(error)))
            self.close()

    def on_body(self, part: bytes) -> None:
        self._parts.append(part)

    def on_message_complete(self) -> None:
        reply = Reply(self._parser.get_status_code(), b"".join(self._parts))
        if not self._parser.should_keep_alive():
            self.close()
        self._parser, self._parts = httptools.HttpResponseParser(self), []
        if self._waiter and not self._waiter.done():
            self._waiter.set_result(reply)

    def _fail(self, error: Lost) -> None:
        if self._waiter and not self._waiter.done():
            self._waiter.set_exception(error)

    def close(self) -> None:
        self.open = False
        if self.transport:
            self.transport.close()

    async def exchange(self, request: bytes, seconds: float) -> Reply:
        """Raises Lost; the line is of no use then."""
        assert self.transport
        self._waiter = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        try:
            async with asyncio.timeout(seconds):
                return await self._waiter
        except TimeoutError:
            raise Lost(f"no answer in {seconds:.0f} s") from None
        finally:
            if not self._waiter.done() or self._waiter.cancelled():
                self.close()  # its answer may still come, and would be taken for the next one


class Door:
    """Where requests go. As many connections as there are requests at once."""

    def __init__(self, base_url: str, seconds: float = SILENCE_SECONDS_MAX) -> None:
        parts = urlsplit(base_url)
        self._host, self._port = parts.hostname or "127.0.0.1", parts.port or 80
        self._seconds = seconds
        self._idle: list[Line] = []

    async def ask(self, method: str, path: str, body: bytes = b"", headers: str = "") -> Reply:
        """`headers` are whole lines. Raises Lost."""
        head = f"{method} {path} HTTP/1.1\r\nHost: {self._host}:{self._port}\r\n{headers}"
        if body:
            head += f"Content-Type: application/json\r\nContent-Length: {len(body)}\r\n"
        line = await self._line()
        reply = await line.exchange(f"{head}\r\n".encode() + body, self._seconds)
        if line.open:
            self._idle.append(line)
        return reply

    async def _line(self) -> Line:
        while self._idle:
            line = self._idle.pop()
            if line.open:
                return line
        try:
            _, fresh = await _connect(Line, self._host, self._port)
        except OSError as error:
            raise Lost(str(error)) from error
        return fresh

    def close(self) -> None:
        """Every line that is idle."""
        for line in self._idle:
            line.close()


async def _connect(make: Callable[[], Line], host: str, port: int) -> tuple[asyncio.BaseTransport, Line]:
    return await asyncio.get_running_loop().create_connection(make, host, port)
