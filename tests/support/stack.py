"""One PostgreSQL for a test run and one broker for each worker, started when the first test asks for them.

A run is what one `pytest` command does, with all its xdist workers. Its servers live under one directory, which the
command wipes at its end; a guard process does it when the command was killed.
"""

import asyncio
import os
import subprocess
import sys
import tempfile
from collections.abc import Coroutine, Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import uuid4

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient

from scripts import migrate
from scripts.stack import broker, postgres, process
from scripts.stack.lock import locked
from scripts.stack.server import Server
from tests.support import containers

RUN_VARIABLE = "CORRIDOR_TEST_RUN"  # the directory of the run; xdist workers inherit it
TEMPLATE = "corridor_template"


def open_run() -> Path:
    """Called by the pytest command itself, before its workers exist. Starts nothing yet."""
    root = Path(tempfile.mkdtemp(prefix="corridor-test-"))
    os.environ[RUN_VARIABLE] = str(root)
    return root


def close_run(root: Path) -> None:
    """End what the run has started, without ceremony: its data are not wanted again."""
    process.wipe(root)


def in_containers() -> bool:
    """Whether BROKER asks for containers. Tests that start a whole system have their own servers and are left out."""
    return os.environ.get("BROKER") == "containers"


def start_postgres() -> str:
    """The superuser's DSN of the run's PostgreSQL, running."""
    if in_containers():
        return containers.postgres().start().address
    return _guarded(postgres.server(_run() / "postgres"))


def ensure_template(dsn: str) -> None:
    """Make the migrated database that every fresh one is copied from, once for the run."""
    ready = _run() / f"template-{urlsplit(dsn).port}.ready"
    with locked(_run() / "template.lock"):
        if not ready.exists():
            _finish(_execute(dsn, f"DROP DATABASE IF EXISTS {TEMPLATE}", f"CREATE DATABASE {TEMPLATE}"))
            migrate_template(on_database(dsn, TEMPLATE))
            ready.touch()


def migrate_template(dsn: str) -> None:
    """The hook: whatever every fresh database of a test must contain."""
    with ThreadPoolExecutor(max_workers=1) as thread:  # it runs a loop of its own
        thread.submit(migrate.upgrade, dsn).result()


def start_broker(worker: str) -> Server:
    """The broker of one xdist worker, running. Topic names are literal, so workers cannot share one."""
    if in_containers():
        return containers.broker()
    server = broker.server(broker.kind(), _run() / f"broker-{worker}")
    _guarded(server)
    return server


def fresh_database(admin_dsn: str) -> Iterator[str]:
    """A migrated, empty database of its own; dropped, with whoever is still connected, at the end."""
    ensure_template(admin_dsn)
    name = f"test_{uuid4().hex}"
    _finish(_execute(admin_dsn, f"CREATE DATABASE {name} TEMPLATE {TEMPLATE}"))
    yield on_database(admin_dsn, name)
    _finish(_execute(admin_dsn, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)"))


def on_database(dsn: str, name: str) -> str:
    """The same server and user, another database."""
    return urlunsplit(urlsplit(dsn)._replace(path=f"/{name}"))


def delete_topics(bootstrap: str) -> None:
    """Give the next module a broker as it was on its first day."""
    _finish(_delete_topics(bootstrap))


def _run() -> Path:
    return Path(os.environ[RUN_VARIABLE])


def _guarded(server: Server) -> str:
    """Its address, running, and with a guard that ends it when pytest is killed."""
    with locked(_run() / "guard.lock"):
        if not (_run() / "guard.pid").exists():
            _start_guard()
    return server.start().address


def _start_guard() -> None:
    argv = [sys.executable, "-m", "scripts.stack", "guard", str(_owner()), str(_run())]
    # Not our output: whoever reads pytest's through a pipe would wait for the guard too.
    guard = subprocess.Popen(argv, start_new_session=True, cwd=migrate.ROOT, stdout=subprocess.DEVNULL)
    (_run() / "guard.pid").write_text(str(guard.pid))


def _owner() -> int:
    """The pytest command: a worker's parent, or this process when there are no workers."""
    return os.getppid() if "PYTEST_XDIST_WORKER" in os.environ else os.getpid()


def _finish(work: Coroutine[Any, Any, None]) -> None:
    """In a thread of its own: the caller may be an async test, whose loop already runs."""
    with ThreadPoolExecutor(max_workers=1) as thread:
        thread.submit(asyncio.run, work).result()


async def _execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()


async def _delete_topics(bootstrap: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        ours = [name for name in await admin.list_topics() if not name.startswith("__")]
        if ours:
            await admin.delete_topics(ours)
    finally:
        await admin.close()
