"""How far the loops have come, read from the ledger's own tables with the role of the people on call."""

import asyncio
from contextlib import suppress

import asyncpg

EVERY_SECONDS = 0.2
# Only what is new since the last look, each row by its key: a look at all entries would be a load of its own.
LOOK = """SELECT count(*) FILTER (WHERE 'payout.confirmed' =
                                         (SELECT e.kind FROM ledger.entry e WHERE e.entry_id = v.stream_id)),
                 max(v.global_seq)
          FROM ledger.event v WHERE v.global_seq > $1"""


class Progress:
    """Counts loops that are posted. `room` holds back whoever would make the queue longer."""

    def __init__(self, dsn: str, outstanding: int) -> None:
        self._dsn = dsn
        self._outstanding = outstanding
        self._seen = 0
        self._moved = asyncio.Event()
        self._task: asyncio.Task[None] | None = None
        self.begun = 0
        self.posted = 0

    async def start(self) -> None:
        """From what there is now."""
        connection = await asyncpg.connect(self._dsn)
        self._seen = int(await connection.fetchval("SELECT coalesce(max(global_seq), 0) FROM ledger.event"))
        self._task = asyncio.create_task(self._follow(connection))

    async def stop(self) -> None:
        if self._task:
            self._task.cancel()
            with suppress(asyncio.CancelledError):
                await self._task

    async def room(self, loops: int) -> None:
        """Wait until `loops` more may begin, and count them as begun."""
        while self.begun + loops - self.posted > self._outstanding:
            self._moved.clear()
            await self._moved.wait()
        self.begun += loops

    async def reach(self, posted: int, seconds: float) -> bool:
        """Wait until so many are posted; False when they are not within `seconds`."""
        try:
            async with asyncio.timeout(seconds):
                while self.posted < posted:
                    self._moved.clear()
                    await self._moved.wait()
        except TimeoutError:
            return False
        return True

    async def _follow(self, connection: "asyncpg.Connection[asyncpg.Record]") -> None:
        while True:
            count, seen = await connection.fetchrow(LOOK, self._seen) or (0, None)
            if seen is not None:
                self._seen, self.posted = int(seen), self.posted + int(count)
                self._moved.set()
            await asyncio.sleep(EVERY_SECONDS)
