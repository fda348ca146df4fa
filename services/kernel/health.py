"""Health: the same body on the five paths that the runbooks know, from checks with a limit and a short memory."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass
from typing import Any

PATHS = ("/healthz", "/readyz", "/health/ready", "/api/health", "/v1/health")
PROBES = frozenset({*PATHS, "/metrics", "/version"})  # answered however many requests are under way

Probe = Callable[[], Awaitable[object]]  # raises, or gives False, when the dependency is down

LIMIT_SECONDS = 1.0
MEMORY_SECONDS = 1.0


@dataclass(frozen=True, slots=True)
class Check:
    """One dependency. `required`: without it the service must get no traffic."""

    probe: Probe
    required: bool = True


class Health:
    """Whether this process lives, and whether it may be sent traffic."""

    def __init__(
        self,
        *,
        database: Probe | None = None,
        migrations: Probe | None = None,
        others: Mapping[str, Check] | None = None,
        extra: Callable[[], Mapping[str, Any]] = dict,
        now: Callable[[], float] = time.monotonic,
    ) -> None:
        """`migrations` says whether the database's revision is the code's head. `extra` is added to `/v1/health`.

        A service without a database gives none, and its db_ok and migrations_ok are true.
        """
        self._probes: dict[str, Check] = dict(others or {})
        self._probes |= {
            name: Check(probe) for name, probe in (("postgres", database), ("migrations", migrations)) if probe
        }
        self._now = now
        self._known: dict[str, bool] = {}
        self._until = 0.0
        self._running: asyncio.Task[None] | None = None
        self.extra = extra
        self.draining = False  # set when the process is told to stop: no new traffic, please

    def also(self, name: str, check: Check) -> None:
        """One more dependency; said before the first report."""
        self._probes[name] = check

    async def report(self) -> dict[str, Any]:
        """The union of what the runbooks read. Takes at most LIMIT_SECONDS, and asks at most once a MEMORY_SECONDS."""
        if self._now() >= self._until:
            if self._running is None or self._running.done():
                self._running = asyncio.create_task(self._ask_all())
            await asyncio.shield(self._running)
        ready = not self.draining and all(
            self._known[name] for name, check in self._probes.items() if check.required
        )  # fmt: skip
        whole = ready and all(self._known.values())
        dependencies = {name: "ok" if up else "down" for name, up in self._known.items() if name != "migrations"}
        return {
            "ok": ready,
            "db_ok": self._known.get("postgres", True),
            "ready": ready,
            "migrations_ok": self._known.get("migrations", True),
            "status": "ok" if whole else "degraded" if ready else "draining" if self.draining else "unavailable",
            "dependencies": {"redis": "not_configured"} | dependencies,
        }

    async def _ask_all(self) -> None:
        answers = await asyncio.gather(*(_ask(check.probe) for check in self._probes.values()))
        self._known = dict(zip(self._probes, answers, strict=True))
        self._until = self._now() + MEMORY_SECONDS


async def _ask(probe: Probe) -> bool:
    try:
        async with asyncio.timeout(LIMIT_SECONDS):
            return await probe() is not False
    except Exception:  # noqa: BLE001 - whatever a dependency raises, it is down
        return False
