"""A rebuild by several processes: the same rows, cursors and parked records as by one; and no death goes unseen."""

from __future__ import annotations

import asyncio
import os
import signal
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import AsyncExitStack, asynccontextmanager
from pathlib import Path

import asyncpg
import psutil
import pytest

from services.kernel import fold_team
from services.kernel.fold_process import ProcessFolder
from services.kernel.folding import Stand
from services.kernel.operations import Operations
from services.kernel.progress import Progress
from services.kernel.rebuild import Unappliable, rebuild
from services.kernel.store import Unavailable
from tests.support.fakes import until
from tests.support.town import LIFE, Town, publish_strange, quiet, took_strange

pytestmark = pytest.mark.timeout(240)
ROWS = "SELECT quote_id, customer_id, terms FROM quote_terms_v{} ORDER BY 1"


@pytest.fixture
def several(monkeypatch: pytest.MonkeyPatch) -> None:
    """Three processes, however little there is and whatever the machine has."""
    monkeypatch.setattr(fold_team, "ALONE_MAX", -1)
    monkeypatch.setattr(fold_team, "cores", lambda: 3)


def children() -> list[psutil.Process]:
    return [each for each in psutil.Process().children() if "multiprocessing.spawn" in " ".join(_words(each))]


def _words(process: psutil.Process) -> list[str]:
    try:
        return process.cmdline()
    except psutil.NoSuchProcess:  # or a zombie: dead, and not asked after yet
        return []


async def test_several_make_what_one_makes(place: Town, monkeypatch: pytest.MonkeyPatch) -> None:
    await publish_strange(place)
    await rebuild(place.target(LIFE), quiet, accept_parked=True)
    seen: set[int] = set()
    monkeypatch.setattr(fold_team, "ALONE_MAX", -1)
    monkeypatch.setattr(fold_team, "cores", lambda: 3)
    made = await rebuild(place.target(LIFE), lambda _: seen.update(each.pid for each in children()), accept_parked=True)
    assert len(seen) == 3
    took_strange(made)
    one, several = await place.kept(2), await place.kept(3)
    assert all(one)
    assert one == several
    assert await place.fetch(ROWS.format(2)) == await place.fetch(ROWS.format(3)) != []
    async with place.process(LIFE):
        later = await place.create(5)
        await place.publish()
        await place.caught_up(3)
    assert set(later) <= (await place.rows()).keys()
    assert not children()


@pytest.mark.usefixtures("several")
async def test_what_cannot_be_applied_is_said_as_by_one(place: Town) -> None:
    await publish_strange(place)
    with pytest.raises(Unappliable, match="3 records"):
        await rebuild(place.target(LIFE), quiet)
    assert not children()


@pytest.mark.usefixtures("several")
async def test_a_process_that_is_killed_ends_the_rebuild_and_changes_nothing(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.create(100)
    await place.publish()
    to = ProcessFolder.to

    async def killed(self: ProcessFolder, ends: object, told: Callable[[int], None]) -> Stand:
        children()[0].kill()
        return await to(self, ends, told)  # type: ignore[arg-type]

    with monkeypatch.context() as patched:
        patched.setattr(ProcessFolder, "to", killed)
        with pytest.raises(Unavailable, match="ended before its time"):
            await rebuild(place.target(LIFE), quiet)
    assert not children()
    assert await place.live() == 1
    made = await rebuild(place.target(LIFE), quiet)
    assert (made.version, made.records) == (3, 100)


@asynccontextmanager
async def locked(place: Town, table: str) -> AsyncIterator[None]:
    connection = await asyncpg.connect(place.dsn, server_settings={"search_path": "transfer"})
    await connection.execute("BEGIN")
    await connection.execute(f"LOCK TABLE {table} IN ACCESS EXCLUSIVE MODE")
    try:
        yield
    finally:
        await connection.close()


@pytest.mark.usefixtures("several")
async def test_who_dies_while_the_live_version_is_copied_leaves_a_version_that_is_given_up(
    place: Town, monkeypatch: pytest.MonkeyPatch
) -> None:
    await place.create(100)
    await place.publish()
    begin = Operations.begin

    async with AsyncExitStack() as stack:

        async def begun(self: Operations, service: str, projection: str) -> int:
            number = await begin(self, service, projection)
            await stack.enter_async_context(locked(place, "quote_terms_v1"))
            return number

        def dies(_: Progress) -> None:
            for each in children():
                each.kill()

        monkeypatch.setattr(Operations, "begin", begun)
        with pytest.raises(Unavailable):
            await rebuild(place.target(LIFE), dies)
    assert await place.status() == {1: "live", 2: "retired"}


@pytest.mark.usefixtures("several")
async def test_progress_never_goes_back(place: Town) -> None:
    await place.create(300)
    await place.publish()
    said: list[int] = []
    async with place.process(LIFE):
        await place.caught_up(1)
        await rebuild(place.target(LIFE), lambda told: said.append(told.done) if told.phase == "fold" else None)
    assert said == sorted(said)
    assert said[-1] == 300


@pytest.mark.usefixtures("several")
async def test_who_is_interrupted_leaves_no_process_behind(place: Town) -> None:
    await place.create(100)
    await place.publish()

    def interrupted(_: Progress) -> None:
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        await rebuild(place.target(LIFE), interrupted)
    assert not children()


KILLED = """
import asyncio, sys
from services.kernel import fold_team
from services.kernel.rebuild import rebuild
from tests.support.town import LIFE, Town, publish_strange, quiet

def waits(progress):
    import time
    print(progress.phase, flush=True)
    time.sleep(600)

if __name__ == "__main__":
    fold_team.ALONE_MAX, fold_team.cores = -1, lambda: 3
    asyncio.run(rebuild(Town(*sys.argv[1:]).target(LIFE), waits))
"""


async def test_processes_of_one_that_was_killed_end(place: Town, tmp_path_factory: pytest.TempPathFactory) -> None:
    await place.create(100)
    await place.publish()
    script = tmp_path_factory.mktemp("killed") / "killed.py"
    script.write_text(KILLED)
    process = await asyncio.create_subprocess_exec(
        sys.executable, str(script), place.dsn, place.bootstrap, env=os.environ | {"PYTHONPATH": str(Path.cwd())},
        stdout=asyncio.subprocess.PIPE,
    )  # fmt: skip
    assert process.stdout is not None
    assert await process.stdout.readline() == b"fold\n"
    left = psutil.Process(process.pid).children()
    assert len([each for each in left if "spawn_main" in " ".join(each.cmdline())]) == 3
    process.send_signal(signal.SIGKILL)
    await process.wait()
    await until(lambda: _gone(left))
    assert await place.live() == 1


async def _gone(left: list[psutil.Process]) -> bool:
    return not any(each.is_running() and each.status() != psutil.STATUS_ZOMBIE for each in left)
