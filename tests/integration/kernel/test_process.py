"""A service process serves soon, ends cleanly when told, and dies loudly of everything else."""

from __future__ import annotations

import json
import os
import signal
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import psutil
import pytest

SCRIPT = """
import asyncio, os, sys, threading, time
from services.kernel.health import Health
from services.kernel.http import create_app, json_reply
from services.kernel.process import Running, run
from services.kernel.routing import Router
from services.kernel.settings import Kernel, load_or_exit

router, health = Router(), Health()

@router.get("/slow")
async def slow(request):
    print('{"event": "slow_began"}', flush=True)
    await asyncio.sleep(1)
    return json_reply({"done": True})

@router.get("/block")
async def block(request):
    time.sleep(60)

async def ends():
    await asyncio.sleep(0.3)

async def raises():
    await asyncio.sleep(0.3)
    raise RuntimeError("the loop is broken")

async def lives():
    await asyncio.sleep(3600)

async def stubborn():
    while True:
        try:
            await asyncio.sleep(3600)
        except asyncio.CancelledError:
            pass

async def build(stack):
    if "fails" in sys.argv:
        raise RuntimeError("cannot start")
    app = create_app(settings, [router], health)
    return Running(app=app, tasks={name: globals()[name] for name in sys.argv[1:]}, health=health)

settings = load_or_exit(Kernel, "sample")
run(settings, build)
"""
ENVIRON = {
    "ENV": "test", "DATABASE_URL": "postgresql://x/y", "KAFKA_BOOTSTRAP_SERVERS": "k:1", "JWT_SECRET": "x" * 32,
    "PATH": os.environ["PATH"],
}  # fmt: skip


@contextmanager
def service(*arguments: str, **environ: str) -> Iterator[subprocess.Popen[str]]:
    command = [sys.executable, "-c", SCRIPT, *arguments]
    process = subprocess.Popen(
        command, env=ENVIRON | environ, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True,
        start_new_session=True,
    )  # fmt: skip
    try:
        yield process
    finally:
        process.kill()
        process.communicate()


def until(process: subprocess.Popen[str], event: str) -> dict[str, Any]:
    assert process.stdout
    for line in process.stdout:
        said: dict[str, Any] = json.loads(line)
        if said["event"] == event:
            return said
    raise AssertionError(f"never said {event}")


def get(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=30) as answer:  # noqa: S310 - our own process
        body: bytes = answer.read()
        return body


def test_a_service_is_ready_after_3_seconds_of_work_at_most_and_says_where() -> None:
    with service("lives") as process:
        said = until(process, "listening")
        spent = psutil.Process(process.pid).cpu_times()
        assert get(said["url"] + "/healthz")
        assert spent.user + spent.system < 3  # seconds of CPU: the machine may be busy with other tests
        assert said["pid"] == process.pid


def test_a_told_service_finishes_what_is_in_flight_and_exits_0() -> None:
    with service("lives") as process, ThreadPoolExecutor() as threads:
        url = until(process, "listening")["url"]
        asked = threads.submit(get, url + "/slow")
        until(process, "slow_began")
        process.send_signal(signal.SIGTERM)
        until(process, "stopping")
        assert asked.result(timeout=30) == b'{"done":true}'
        assert until(process, "stopped")
        with pytest.raises(urllib.error.URLError):
            get(url + "/version")
        assert process.wait(30) == 0


def test_a_task_that_will_not_end_does_not_hold_the_process() -> None:
    with service("stubborn", CORRIDOR_STOP_SECONDS="1") as process:
        until(process, "listening")
        process.send_signal(signal.SIGTERM)
        assert process.wait(30) == 0


@pytest.mark.parametrize(("task", "error"), [("ends", None), ("raises", "RuntimeError")])
def test_a_task_that_ends_takes_the_process_with_it(task: str, error: str | None) -> None:
    with service("lives", task) as process:
        said = until(process, "task_ended")
        assert (said["task"], said.get("error")) == (task, error)
        assert process.wait(30) == 70


def test_a_service_that_cannot_be_built_says_why() -> None:
    with service("fails") as process:
        assert until(process, "start_failed")["error_text"] == "cannot start"
        assert process.wait(30) == 70


def test_a_stuck_loop_ends_the_process_with_its_stack() -> None:
    with service("lives", CORRIDOR_WATCHDOG_SECONDS="1") as process:
        url = until(process, "listening")["url"]
        asking = subprocess.Popen([sys.executable, "-c", f"import urllib.request as u; u.urlopen('{url}/block')"],
                                  stderr=subprocess.DEVNULL)  # fmt: skip
        assert process.wait(60) == 71
        asking.wait(30)
        assert process.stderr
        assert "in block" in process.stderr.read()


def test_a_paused_process_is_not_taken_for_a_stuck_one() -> None:
    with service("lives", CORRIDOR_WATCHDOG_SECONDS="2") as process:
        url = until(process, "listening")["url"]
        process.send_signal(signal.SIGSTOP)
        time.sleep(4)
        process.send_signal(signal.SIGCONT)
        time.sleep(1.5)
        assert process.poll() is None
        assert get(url + "/healthz")


def test_what_may_wait_gives_way() -> None:
    with service("lives", CORRIDOR_NICENESS="10") as process:
        until(process, "listening")
        assert psutil.Process(process.pid).nice() == min(19, psutil.Process().nice() + 10)
        autogroup = Path(f"/proc/{process.pid}/autogroup")
        if autogroup.exists():  # of Linux, where it is switched on
            assert autogroup.read_text().split()[-1] == "10"


def test_an_orphan_ends() -> None:
    parent = subprocess.Popen(["sleep", "60"])
    with service("lives", CORRIDOR_PARENT_PID=str(parent.pid)) as process:
        until(process, "listening")
        time.sleep(1)
        assert process.poll() is None
        parent.kill()
        parent.wait()
        assert process.wait(30) == 72
