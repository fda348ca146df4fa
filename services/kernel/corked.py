"""The head and the body of an answer in one packet.

uvicorn writes them apart, and uvloop sends each at once: a system call for us and a wake-up for whoever reads.
"""

from __future__ import annotations

import asyncio
from typing import Any

from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol


class Corked(asyncio.Transport):
    """A transport that holds one write back until the next one, or to the end of the loop's turn."""

    def __init__(self, inner: asyncio.Transport) -> None:
        super().__init__()
        self._inner = inner
        self._loop = asyncio.get_running_loop()
        self._held: bytes = b""

    def write(self, data: bytes) -> None:  # type: ignore[override]  # uvicorn writes nothing but bytes
        """At most one write is held, so that a fast sender still feels a slow reader."""
        if self._held:
            self._flush(data)
        elif data:
            self._held = data
            self._loop.call_soon(self._flush)

    def _flush(self, last: bytes = b"") -> None:
        held, self._held = self._held, b""
        if held:
            self._inner.write(held + last)

    def close(self) -> None:
        """What was written goes first."""
        self._flush()
        self._inner.close()

    def abort(self) -> None:
        """What was written is lost."""
        self._held = b""
        self._inner.abort()

    def is_closing(self) -> bool:
        """As the transport says."""
        return self._inner.is_closing()

    def pause_reading(self) -> None:
        """As the transport does."""
        self._inner.pause_reading()

    def resume_reading(self) -> None:
        """As the transport does."""
        self._inner.resume_reading()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """As the transport says."""
        return self._inner.get_extra_info(name, default)


class CorkedHttp(HttpToolsProtocol):
    """uvicorn's protocol on a corked transport."""

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn has it
        """Everything that is written goes through the cork."""
        super().connection_made(Corked(transport))
