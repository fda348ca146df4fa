"""HTTP/1.1 to one of our services over connections that stay open, with as little work for a request as it takes."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping
from contextlib import suppress
from time import monotonic
from urllib.parse import urlsplit

import httptools

CONNECTIONS_MAX = 500  # to one service at once; its own limit is 2,000 for all who call
IDLE_SECONDS_MAX = 30  # half of what the service keeps a connection, so that we never send into a closing one
CONNECT_SECONDS_MAX = 3
BUFFER_BYTES_MAX = 256 * 1024  # of an answer that the caller has not taken yet

Header = tuple[bytes, bytes]
# hop by hop (RFC 9110, 7.6.1), or said anew by our own server and edge
_DROPPED = frozenset({
    b"connection", b"keep-alive", b"proxy-authenticate", b"proxy-connection", b"te", b"trailer", b"transfer-encoding",
    b"upgrade", b"date", b"server", b"x-content-type-options", b"traceresponse", b"x-request-id",
})  # fmt: skip


def is_address(url: str) -> str | None:
    """What is wrong with the address of a service of ours: http://host:port, without a path."""
    scheme, _, rest = url.partition("://")
    return None if scheme == "http" and rest.strip("/") and "/" not in rest.rstrip("/") else "must be http://host:port"


class UpstreamLost(Exception):
    """No answer, or not a whole one. The service may have acted on the request, unless the connection was refused."""


class UpstreamBusy(Exception):
    """More requests are under way than we want to have there."""


class Link(asyncio.Protocol):
    """One connection, one exchange at a time. The parser calls the methods `on_...` of this same object."""

    transport: asyncio.Transport

    def __init__(self, idle: list[Link]) -> None:
        """`idle` is the upstream's list of connections that nobody uses."""
        self._idle = idle
        self._loop = asyncio.get_running_loop()
        self._parser = httptools.HttpResponseParser(self)
        self._waiter: asyncio.Future[None] | None = None
        self.error: str | None = None
        self.since = 0.0  # monotonic seconds at which it became idle
        self._begin()

    def _begin(self) -> None:
        self.status = 0
        self.headers: list[Header] = []
        self.complete = False  # the last byte of the answer is here
        self.reusable = True
        self._body: list[bytes] = []
        self._buffered = 0  # bytes in `_body`
        self._streaming = False  # the head has gone to the caller, who takes the body in parts

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Ready for the first exchange."""
        self.transport = transport  # type: ignore[assignment]  # TCP gives one that reads and writes

    async def ask(self, request: bytes) -> None:
        """Send, and wait for the whole answer, or for as much of it as we keep. Raises UpstreamLost."""
        self._begin()
        self._waiter = self._loop.create_future()
        self.transport.write(request)
        await self._waiter
        if self.error is not None and not self.complete:
            raise UpstreamLost(self.error)

    async def part(self) -> tuple[bytes, bool]:
        """What came of the body since the last time, and whether it was the last part. Raises UpstreamLost."""
        self._streaming = True
        if self._nothing_yet():
            self._waiter = self._loop.create_future()
            await self._waiter
        if self.error is not None and not self.complete:
            raise UpstreamLost(self.error)
        part = self._body[0] if len(self._body) == 1 else b"".join(self._body)
        if self._buffered > BUFFER_BYTES_MAX and not self.complete:
            self.transport.resume_reading()
        self._body, self._buffered = [], 0
        return part, self.complete

    def _nothing_asked(self) -> bool:
        return self._waiter is None or self.complete

    def _nothing_yet(self) -> bool:
        return not (self._body or self.complete or self.error)

    def data_received(self, data: bytes) -> None:
        """Bytes that nobody asked for end the connection, as does what is no HTTP."""
        if self._nothing_asked():
            self._fail("unexpected bytes")
            return
        before = self._buffered
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserError:
            self._fail("not HTTP")
            return
        if self.complete:
            self._wake()
        elif self._buffered > BUFFER_BYTES_MAX >= before:
            self.transport.pause_reading()
            self._wake()
        elif self._streaming and self._body:
            self._wake()

    def connection_lost(self, exc: Exception | None) -> None:
        """Whoever waits learns of it; nobody is given this connection again."""
        self.error = self.error or (type(exc).__name__ if exc else "closed")
        with suppress(ValueError):
            self._idle.remove(self)
        self._wake()

    def _fail(self, reason: str) -> None:
        self.error = self.error or reason
        self.transport.abort()

    def _wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    def on_message_begin(self) -> None:
        """An answer that nobody asked for, behind a whole one: it ends the connection, and nothing of it is kept."""
        if self.complete:
            raise ValueError("a second answer")

    def on_header(self, name: bytes, value: bytes) -> None:
        """One header of the answer."""
        name = name.lower()
        if name not in _DROPPED:
            self.headers.append((name, value))
        elif name == b"connection" and value.lower() == b"close":
            self.reusable = False

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self.status = self._parser.get_status_code()

    def on_body(self, part: bytes) -> None:
        """A part of the body, without the frame of its chunk."""
        self._body.append(part)
        self._buffered += len(part)

    def on_message_complete(self) -> None:
        """The answer is whole, unless it was an interim one."""
        if self.status < 200:
            self._begin()
        else:
            self.complete = True


class Upstream:
    """One service, by its address."""

    def __init__(self, url: str) -> None:
        """`url` as `is_address` wants it."""
        address = urlsplit(url)
        assert address.hostname, "settings check the address"
        self._host, self._port = address.hostname, address.port or 80
        self.origin = url.rstrip("/").encode()
        self.authority = address.netloc.encode()  # of the Host header
        self._idle: list[Link] = []  # the last used first, so that the others may age
        self._busy = 0

    async def post(self, path: str, headers: Mapping[str, str], body: bytes) -> tuple[int, bytes]:
        """(status, body) of a request that may be sent twice. Raises UpstreamLost, UpstreamBusy."""
        lines = "".join([f"{name}: {value}\r\n" for name, value in headers.items()])
        head = f"POST {path} HTTP/1.1\r\nhost: {self.authority.decode()}\r\n{lines}content-length: {len(body)}\r\n\r\n"
        link = await self.exchange(head.encode() + body, repeatable=True)
        try:
            return link.status, await _whole(link)
        finally:
            self.release(link)

    async def exchange(self, request: bytes, *, repeatable: bool) -> Link:
        """The link with the answer's head on it; `release` it. Raises UpstreamLost, UpstreamBusy.

        A kept connection may have been closed under us: what is `repeatable` is then sent once more, on a new one.
        """
        if self._busy >= CONNECTIONS_MAX:
            raise UpstreamBusy
        self._busy += 1
        link = self._kept()
        try:
            if link is not None:
                try:
                    await link.ask(request)
                except UpstreamLost:
                    if not repeatable or link.status:
                        raise
                else:
                    return link
            link = None
            link = await self._connect()
            await link.ask(request)
        except BaseException:
            self.release(link)
            raise
        return link

    def release(self, link: Link | None) -> None:
        """Keep the connection if the exchange on it is over, else end it."""
        self._busy -= 1
        if link is None:
            return
        if link.complete and link.reusable and link.error is None:
            link.since = monotonic()
            self._idle.append(link)
        else:
            link.transport.abort()

    def close(self) -> None:
        """End the connections that nobody uses."""
        for link in [*self._idle]:
            link.transport.abort()

    def _kept(self) -> Link | None:
        oldest = monotonic() - IDLE_SECONDS_MAX
        while self._idle:
            link = self._idle.pop()
            if link.since >= oldest and not link.transport.is_closing():
                return link
            link.transport.abort()
        return None

    async def _connect(self) -> Link:
        loop = asyncio.get_running_loop()
        try:
            async with asyncio.timeout(CONNECT_SECONDS_MAX):
                _, link = await loop.create_connection(lambda: Link(self._idle), self._host, self._port)
        except (OSError, TimeoutError) as error:
            raise UpstreamLost(type(error).__name__) from error
        return link


async def _whole(link: Link) -> bytes:
    parts, last = [], False
    while not last:
        part, last = await link.part()
        parts.append(part)
    return b"".join(parts)
