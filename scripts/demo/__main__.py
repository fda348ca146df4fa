"""python -m scripts.demo: the system from nothing, 200 transfers, kills and faults, and the proof.

Exit 0 only if every check holds. On a terminal it stays up afterwards until Ctrl-C. BROKER=apache takes Apache Kafka.
"""

import asyncio
import shutil
import signal
import sys
from collections import Counter
from contextlib import suppress
from pathlib import Path
from typing import Any

import aiohttp
import asyncpg
from aiokafka.errors import KafkaError
from rich.console import Console

from scripts.demo import evidence, judge
from scripts.demo.board import Board, show_proof
from scripts.demo.client import Client, Log, Refused
from scripts.demo.story import Story
from scripts.stack import broker
from scripts.stack.kafka_jars import MissingTool
from scripts.system import home as homes
from scripts.system.home import Home, write_json
from scripts.system.system import WHY_NOT, System

DEADLINE_SECONDS = 300.0
PROOF_SECONDS = 60.0  # for what is still on its way when the last transfer is completed: postings, the unknown route
AGAIN_SECONDS = 1.0
# All deadlines are configuration; these are short so that the audience sees them pass.
SHORTENED = {
    "*": {"CORRIDOR_EFFECT_LEASE_SECONDS": "10"},  # above twice the bank's time-out
    "deposit_watcher": {"UNKNOWN_ROUTE_GRACE_SECONDS": "5"},
    "payout_orchestrator": {
        "BANK_TIMEOUT_SECONDS": "4",
        "PAYOUT_LEASE_SECONDS": "6",
        "PAYOUT_UNKNOWN_ASK_SECONDS": "1",
        "PAYOUT_SETTLING_DELAY_SECONDS": "3",
        "PAYOUT_FIRST_POLL_SECONDS": "5",
    },
    "sandbox": {"SANDBOX_SETTLE_DELAY_SECONDS": "0.5"},
}

UNREADABLE = (evidence.EvidenceMissing, asyncpg.PostgresError, KafkaError, aiohttp.ClientError, OSError)

console = Console()


def main() -> int:
    """The exit code."""
    home = Home(homes.default().path / "demo")
    if home.is_occupied():
        print(f"a demo is running in {home.path}")
        return 2
    try:
        broker.prepare(broker.kind())
    except (MissingTool, ValueError) as trouble:
        print(trouble)
        return 2
    shutil.rmtree(home.path, ignore_errors=True)
    home.make()
    return asyncio.run(_told(home))


async def _told(home: Home) -> int:
    """Ctrl-C and SIGTERM end it at any point, and nothing stays behind."""
    task = asyncio.ensure_future(_demo(home))
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, task.cancel)
    try:
        return await task
    except asyncio.CancelledError:
        print("interrupted")
        return 130


async def _demo(home: Home) -> int:
    board = Board(console)
    board.note(f"starting with the {broker.kind()} broker; everything is in {home.path}")
    board.note(
        "shortened for the audience: an unknown route's grace to 5 s (15 min otherwise), the payout's lease to 6 s, "
        "first poll to 5 s, what the partner needs to know a payment to 3 s"
    )
    system = System(home, broker.kind(), overrides=SHORTENED, say=board.note)
    try:
        report = await _story_and_proof(system, home, board)
        report["seconds"] = round(board.seconds())
        write_json(home.path / "report.json", report)
        show_proof(console, report)
        if report["ok"]:
            _addresses(system, home)
            await _stay()
    finally:
        await asyncio.to_thread(system.stop)
    _last_line(report, home)
    return 0 if report["ok"] else 1


async def _story_and_proof(system: System, home: Home, board: Board) -> dict[str, Any]:
    """The report; one that proves nothing when the story could not be told to its end."""
    try:
        async with asyncio.timeout(DEADLINE_SECONDS):
            await asyncio.to_thread(system.start)
            return await _play(system, home, board)
    except TimeoutError:
        trouble = f"not done after {DEADLINE_SECONDS:.0f} s"
    except (*WHY_NOT, Refused, *UNREADABLE) as error:
        trouble = f"{type(error).__name__}: {error}"
    states = Counter(board.states.values())
    return {"ok": False, "checks": [_failed("the story was told to its end", trouble)], "transfers": dict(states)}


def _failed(name: str, detail: str) -> dict[str, Any]:
    return {"name": name, "ok": False, "detail": detail}


async def _play(system: System, home: Home, board: Board) -> dict[str, Any]:
    log = Log(home.path / "client.jsonl")
    facts = system.facts
    async with Client(facts.base_url, facts.sandbox_url) as client:
        for login in ("customer", "operator"):
            await client.log_in(login, system.installation.logins[login])
        with board.shown():
            await Story(client, log, board, system).tell()
            return await _prove(system, log.path, board)


async def _prove(system: System, log: Path, board: Board) -> dict[str, Any]:
    """Again and again while something is still on its way; what does not hold then does not hold."""
    board.note("judging: the sandbox's book, the topics, the database and the client's own log")
    facts, until = system.facts, board.seconds() + PROOF_SECONDS
    while True:
        found = await evidence.collect(facts.sandbox_url, facts.kafka_bootstrap, facts.oncall_database_url, log)
        report = await asyncio.to_thread(judge.report, found, round(board.seconds()))
        if report["ok"] or board.seconds() > until:
            return report
        await asyncio.sleep(AGAIN_SECONDS)


def _addresses(system: System, home: Home) -> None:
    """Where to look, and how to go on."""
    facts = system.facts
    operator = f'"Authorization: Bearer $(jq -r .tokens.operator {home.facts})"'
    lines = [f"API       {facts.base_url}", f"book      {facts.sandbox_url}/book/summary"]
    lines += [f"probe     {each['name']:20} {each['probe_url']}" for each in system.processes()]
    lines += [
        f"events    kcat -b {facts.kafka_bootstrap} -t corridor.transfer.events.v1 -C -e",
        f'database  psql "$(jq -r .oncall_database_url {home.facts})"',
        f"books     curl -s -H {operator} {facts.base_url}/v1/ledger/trial-balance",
        f"report    {home.path / 'report.json'}",
        "go on     make up, then docs/guides/up.md; make test; make bench; make chaos",
    ]
    print("\n".join(lines), flush=True)


async def _stay() -> None:
    """On a terminal until somebody has seen enough."""
    if not console.is_terminal:
        print("This is no terminal, so everything stops now; the data stay where they are.", flush=True)
    else:
        print("Everything stays up until Ctrl-C.", flush=True)
        with suppress(asyncio.CancelledError):
            await asyncio.Event().wait()


def _last_line(report: dict[str, Any], home: Home) -> None:
    good = sum(1 for check in report["checks"] if check["ok"])
    words = "every check holds" if report["ok"] else f"NOT PROVEN, see {home.log} and {home.path / 'report.json'}"
    print(f"{good} of {len(report['checks'])} checks after {report['seconds']} s: {words}", flush=True)


if __name__ == "__main__":
    try:
        sys.exit(main())
    except KeyboardInterrupt:  # before the story has begun: nothing runs yet
        sys.exit(130)
