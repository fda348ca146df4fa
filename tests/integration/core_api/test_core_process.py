"""The process itself: it starts, knows the users that the command line made, and stops."""

from __future__ import annotations

import asyncio
import json
import os
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from typing import Any

import asyncpg
import pytest

from scripts import topics
from tests.integration.core_api.conftest import KEY, PASSWORD

EXPIRED = """INSERT INTO core.request_key (tenant, principal, key, fingerprint, status, answer, expires_at)
             VALUES ('corridor', 'anna', 'old', 'f', 201, '{}', now())"""
PROGRAM = [sys.executable, "-m", "services.core_api"]


@pytest.fixture
def environ(database: str, broker: str) -> dict[str, str]:
    """What a supervisor would give it; the services behind are away."""
    asyncio.run(topics.ensure(broker, 4))
    behind = {f"{name}_URL": "http://127.0.0.1:1" for name in ("QUOTE", "TRANSFER", "DEPOSIT", "PAYOUT", "LEDGER")}
    ours = {"ENV": "test", "DATABASE_URL": database, "KAFKA_BOOTSTRAP_SERVERS": broker, "CORRIDOR_KEK": KEY}
    return {"PATH": os.environ["PATH"], "JWT_SECRET": "an-hs256-key-of-32-chars-or-more", **ours, **behind}


@pytest.fixture
def running(environ: dict[str, str]) -> Iterator[tuple[subprocess.Popen[str], str, str]]:
    """The process, its address, and the internal one."""
    process = subprocess.Popen(PROGRAM, env=environ, stdout=subprocess.PIPE, text=True)
    assert process.stdout is not None
    lines = (json.loads(line) for line in process.stdout)
    said = next(line for line in lines if line["event"] == "listening")
    yield process, said["url"], f"http://127.0.0.1:{said['internal_port']}"
    process.kill()
    process.wait()


def add(environ: dict[str, str], password: str) -> subprocess.CompletedProcess[str]:
    argv = [*PROGRAM, "users", "add", "--login", "ops", "--role", "operator"]
    return subprocess.run(
        argv, env=environ, input=password + "\n", text=True, capture_output=True, timeout=60, check=False
    )


def test_a_user_of_another_tenant_is_refused_with_a_sentence(environ: dict[str, str]) -> None:
    argv = [*PROGRAM, "users", "add", "--login", "x", "--role", "operator", "--tenant", "elsewhere"]
    ended = subprocess.run(argv, env=environ, input=PASSWORD, text=True, capture_output=True, timeout=60, check=False)
    assert (ended.returncode, ended.stdout) == (2, "")
    assert ended.stderr == "one tenant per installation: this one serves corridor, not elsewhere\n"


def test_the_process_deletes_request_keys_whose_time_is_over(environ: dict[str, str]) -> None:
    async def fetch(sql: str) -> list[Any]:
        connection = await asyncpg.connect(environ["DATABASE_URL"])
        try:
            return list(await connection.fetch(sql))
        finally:
            await connection.close()

    asyncio.run(fetch(EXPIRED))
    with subprocess.Popen(PROGRAM, env=environ, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None
        deleted = (line for line in map(json.loads, process.stdout) if line["event"] == "request_keys_deleted")
        assert next(deleted)["count"] == 1
        process.kill()
    assert asyncio.run(fetch("SELECT 1 FROM core.request_key WHERE key = 'old'")) == []


def call(url: str, body: Any = None) -> Any:
    data = json.dumps(body).encode() if body is not None else None
    request = urllib.request.Request(url, data, {"content-type": "application/json"})  # noqa: S310 - http, and ours
    with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
        return json.load(answer)


def test_a_user_made_on_the_command_line_logs_in_and_sigterm_ends_it_by_0(
    environ: dict[str, str], running: tuple[subprocess.Popen[str], str, str]
) -> None:
    process, url, internal = running
    first, again, short = add(environ, PASSWORD), add(environ, PASSWORD), add(environ, "short")

    assert (first.returncode, again.returncode, short.returncode) == (0, 0, 1), first.stderr
    assert json.loads(first.stdout)["user_id"] == json.loads(again.stdout)["user_id"]
    answer = call(url + "/v1/auth/login", {"login": "ops", "password": PASSWORD})
    assert (answer["user_id"], answer["roles"]) == (json.loads(first.stdout)["user_id"], ["operator"])
    started = time.monotonic()
    while not call(internal + "/readyz")["ready"]:
        assert time.monotonic() - started < 10
    for path in ("/metrics", "/internal/profiles"):
        with pytest.raises(urllib.error.HTTPError) as refused:
            call(url + path)
        assert refused.value.code == 404
    process.terminate()
    assert process.wait(20) == 0
