"""The life of a service process: bind, build, serve, stop. Crash-only: a loop that ends takes the process with it."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import socket
import sys
from collections.abc import Awaitable, Callable, Coroutine, Iterator, Mapping, Sequence
from contextlib import AsyncExitStack, contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, NoReturn

import uvicorn
import uvloop
from starlette.types import ASGIApp

from services.kernel import heap, telemetry, tracing
from services.kernel.admission import Admission
from services.kernel.corked import CorkedHttp
from services.kernel.health import Health
from services.kernel.settings import Kernel
from services.kernel.watchdog import Watchdog

EXIT_CRASHED = 70
KEEP_ALIVE_SECONDS = 65  # longer than the proxy in front keeps its own, so that it never sends into a closing one
BACKLOG = 2_048
CONNECTIONS_MAX = 2_000  # of a port; HTTP_CONCURRENCY, always less, is for requests, so that a probe finds room
CLOSE_SECONDS = 5
GC_THRESHOLDS = (50_000, 20, 100)  # a batch of 500 makes 30,000 objects and no cycles: the default walks them 40 times
AUTOGROUP = Path("/proc/self/autogroup")
_LOG = telemetry.logger("process")

Task = Callable[[], Coroutine[Any, Any, None]]  # runs for as long as the process does


@dataclass(frozen=True, slots=True, kw_only=True)
class Running:
    """A service put together: what answers HTTP, and what runs beside it for ever.

    `internal` answers on a port of its own, which only our other services and the operator's probes may reach.
    """

    app: ASGIApp
    internal: ASGIApp | None = None
    tasks: Mapping[str, Task] = field(default_factory=dict)
    health: Health | None = None


Build = Callable[[AsyncExitStack], Awaitable[Running]]  # what it opens goes on the stack
Address = tuple[str, int]  # host and port; port 0 is any free one


def run(settings: Kernel, build: Build, internal: Address | None = None) -> NoReturn:
    """Serve until SIGTERM or SIGINT, then exit 0; exit 70 when building fails or a task ends.

    `internal` is where what `build` gives as Running.internal listens.
    """
    heap.bound()
    telemetry.start(settings)
    if settings.niceness:
        give_way(settings.niceness)
    addresses = [(settings.host, settings.port), *([internal] if internal else [])]
    listening = [bind(*address) for address in addresses]  # before anything slow: callers queue, nobody is refused
    runner = asyncio.Runner(loop_factory=uvloop.new_event_loop)
    try:
        runner.run(_serve(settings, build, listening))
    except Exception as error:  # noqa: BLE001 - said as one line, then out
        _crash("start_failed", error)
    sys.stdout.flush()
    os._exit(0)  # neither a task that will not end nor a thread of a library may keep the process


def give_way(niceness: int) -> None:
    """Take the processor after others. Linux weighs whole sessions against each other first, and a nice value counts
    only inside its own: who leads a session says it of the session too."""
    os.nice(niceness)
    if os.getsid(0) == os.getpid():
        with suppress(OSError):
            AUTOGROUP.write_text(str(niceness), encoding="ascii")


def bind(host: str, port: int) -> socket.socket:
    """A listening socket; port 0 takes a free one."""
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    listening = socket.socket(family, socket.SOCK_STREAM)
    listening.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    listening.bind((host, port))
    listening.listen(BACKLOG)
    listening.setblocking(False)  # noqa: FBT003 - the standard library's own signature
    return listening


async def _serve(settings: Kernel, build: Build, listening: Sequence[socket.socket]) -> None:
    loop = asyncio.get_running_loop()
    watchdog = Watchdog(settings.watchdog_seconds, settings.parent_pid)
    watchdog.start(loop)
    stop = asyncio.Event()
    for number in (signal.SIGTERM, signal.SIGINT):
        loop.add_signal_handler(number, stop.set)
    opened = AsyncExitStack()
    running = await build(opened)
    servers = _started(running, listening, settings)
    tasks = [_supervised(name, task, stop) for name, task in running.tasks.items()]
    await _listening(servers, listening, settings)
    await asyncio.wait({*servers.values(), asyncio.create_task(stop.wait())}, return_when=asyncio.FIRST_COMPLETED)
    if not stop.is_set():
        ended = next(serving for serving in servers.values() if serving.done())
        _crash("http_ended", None if ended.cancelled() else ended.exception())
    await _stop(servers, tasks, running.health)
    with suppress(TimeoutError):
        async with asyncio.timeout(CLOSE_SECONDS):
            await opened.aclose()
    watchdog.stop()
    if tracing.exporter:
        tracing.exporter.close()
    _LOG.info("stopped")


def _config(app: ASGIApp, settings: Kernel) -> uvicorn.Config:
    return uvicorn.Config(
        app,
        loop="none",
        http=CorkedHttp,
        ws="none",
        lifespan="off",
        log_config=None,
        access_log=False,
        server_header=False,
        proxy_headers=False,
        timeout_keep_alive=KEEP_ALIVE_SECONDS,
        timeout_graceful_shutdown=settings.stop_seconds,
        limit_concurrency=CONNECTIONS_MAX,
        backlog=BACKLOG,
    )


class _Server(uvicorn.Server):
    """uvicorn without its own handling of signals, which would end the process by the signal and not by 0."""

    @contextmanager
    def capture_signals(self) -> Iterator[None]:
        """Signals are ours."""
        yield


Servers = Mapping[_Server, asyncio.Task[None]]  # one for each port, with the task that serves it


def _started(running: Running, listening: Sequence[socket.socket], settings: Kernel) -> Servers:
    """Servers of their own, so that a flood of the public port takes no connection from the other one."""
    servers: dict[_Server, asyncio.Task[None]] = {}
    for app, at in zip((running.app, running.internal) if running.internal else (running.app,), listening, strict=True):
        server = _Server(_config(Admission(app, settings.http_concurrency), settings))
        servers[server] = asyncio.create_task(server.serve(sockets=[at]), name="http")
    return servers


async def _listening(servers: Servers, listening: Sequence[socket.socket], settings: Kernel) -> None:
    """The line that a supervisor waits for."""
    for server, serving in servers.items():
        while not server.started and not serving.done():  # noqa: ASYNC110 - uvicorn has no event for it
            await asyncio.sleep(0.005)
    gc.collect()
    gc.freeze()  # what is there now stays; the collector need not walk it again and again
    gc.set_threshold(*GC_THRESHOLDS)
    host, port = listening[0].getsockname()[:2]
    internal = {"internal_port": listening[1].getsockname()[1]} if len(listening) > 1 else {}
    _LOG.info("listening", url=f"http://{settings.host}:{port}", host=host, port=port, pid=os.getpid(), **internal)


def _supervised(name: str, task: Task, stop: asyncio.Event) -> asyncio.Task[None]:
    """A task that may not end before the process is told to."""

    def ended(done: asyncio.Task[None]) -> None:
        error = None if done.cancelled() else done.exception()
        if stop.is_set():
            if error is not None:
                _LOG.warning("task_failed_while_stopping", task=name, exc_info=error)
            return
        _crash("task_ended", error, task=name)

    started: asyncio.Task[None] = asyncio.create_task(task(), name=name)
    started.add_done_callback(ended)
    return started


async def _stop(servers: Servers, tasks: list[asyncio.Task[None]], health: Health | None) -> None:
    """Let requests in flight finish, then end the loops, each within a limit. Correctness needs none of it."""
    _LOG.info("stopping")
    if health is not None:
        health.draining = True
    for server in servers:
        server.should_exit = True
    await asyncio.wait(servers.values())
    for task in tasks:
        task.cancel()
    if tasks:
        _, late = await asyncio.wait(tasks, timeout=CLOSE_SECONDS)
        if late:
            _LOG.warning("tasks_did_not_stop", tasks=[task.get_name() for task in late])


def _crash(event: str, error: BaseException | None, **fields: str) -> NoReturn:
    """Say why, and go. The supervisor starts us again, and the store knows where we were."""
    _LOG.error(event, exc_info=error, **fields)
    sys.stdout.flush()
    os._exit(EXIT_CRASHED)
