"""A lane's session that ends badly: its network forgotten, its client gone in the middle of a query."""

from __future__ import annotations

import asyncio
import ctypes
import socket
import struct
import sys
import time
from typing import Any
from uuid import uuid4

import pytest

from services.kernel.decider import Unit
from services.kernel.engine import Engine, Units
from services.kernel.store import Unavailable
from tests.integration.kernel.backends import Postgres
from tests.support.builders import Add, ask
from tests.support.fakes import Between, until

SO_ATTACH_FILTER = 26  # Linux's; Python has no name for it
RETURN_NOTHING = struct.pack("HBBI", 0x06, 0, 0, 0)  # BPF_RET | BPF_K: no byte of a packet comes through
HALF_OPEN_SECONDS = 28.0  # about 14, and room for a slow machine
CANCELLED_SECONDS = 10.0


class Network(Between):
    """What is forgotten answers nothing any more, not even a keepalive's probe."""

    def __init__(self, dsn: str) -> None:
        super().__init__(dsn)
        self._upstream: list[asyncio.StreamWriter] = []
        self._forgotten: set[asyncio.StreamWriter] = set()

    def forget(self) -> None:
        """The connections there are; new ones work."""
        for each in self._upstream:
            _silence(each.get_extra_info("socket"))
        self._forgotten.update(self._upstream)

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        up_reader, up_writer = await asyncio.open_connection(self._to.hostname, self._to.port)
        self._upstream.append(up_writer)
        for each in (self._pump(reader, up_writer, up_writer), self._pump(up_reader, writer, up_writer)):
            self._tasks.add(asyncio.create_task(each))

    async def _pump(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, connection: asyncio.StreamWriter
    ) -> None:
        """Until one side ends; of what is forgotten, the other side does not hear it."""
        while (chunk := await reader.read(65536)) and connection not in self._forgotten:
            writer.write(chunk)
            await writer.drain()
        if connection not in self._forgotten:
            writer.close()


def _silence(raw: Any) -> None:
    program = ctypes.create_string_buffer(RETURN_NOTHING)
    raw.setsockopt(socket.SOL_SOCKET, SO_ATTACH_FILTER, struct.pack("HL", 1, ctypes.addressof(program)))


@pytest.mark.slow
@pytest.mark.skipif(sys.platform != "linux", reason="packets are dropped by a filter of Linux's")
async def test_a_session_whose_network_was_forgotten_frees_its_lane(postgres: Postgres) -> None:
    one, network = uuid4(), Network(postgres.dsn)
    async with network.open() as dsn:
        engine = postgres.engine(dsn)
        await engine.run(Units([ask(one, Add(1))]))
        network.forget()
        await postgres.lanes[0].drop()  # the client has noticed; the server never hears of it
        began = time.monotonic()
        await until(lambda: _answers(engine, ask(one, Add(2))), HALF_OPEN_SECONDS)
    assert time.monotonic() - began > 1, "it was held for a while: the network was really forgotten"
    assert await postgres.events(one) == [1, 2]


async def _answers(engine: Engine, unit: Unit) -> bool:
    try:
        return bool(await engine.run(Units([unit])))
    except Unavailable:
        return False


async def test_a_read_that_is_cancelled_does_not_hold_the_next(postgres: Postgres) -> None:
    lane = postgres.lane()
    await lane.fetch("SELECT 1")
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(lane.fetch("SELECT pg_sleep(20)"), 0.2)
    assert await asyncio.wait_for(lane.fetch("SELECT 7"), 2) == [(7,)]


async def test_a_query_that_outlives_its_client_does_not_hold_the_lane(postgres: Postgres) -> None:
    """The server looks, in the middle of it, whether anybody still wants it."""
    one, engine = uuid4(), postgres.engine()
    await engine.run(Units([ask(one, Add(1))]))
    with pytest.raises(TimeoutError):
        await asyncio.wait_for(engine.store.fetch("SELECT pg_sleep(20)"), 0.2)
    await asyncio.wait_for(engine.run(Units([ask(one, Add(2))])), CANCELLED_SECONDS)
    assert await postgres.events(one) == [1, 2]
