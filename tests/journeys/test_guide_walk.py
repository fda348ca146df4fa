"""The guides, word for word: the shell blocks of each, in its order, in one shell; all on one system.

What they print is what the guide promises. A block that needs a tool which this machine lacks is left out: kcat, Java.
"""

from __future__ import annotations

import os
import re
import shlex
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.stack import broker
from scripts.system.home import ROOT, Home, read_json
from scripts.system.system import System
from services.review.domain.reasons import Reason

pytestmark = [pytest.mark.slow, pytest.mark.timeout(900)]

GUIDES = ROOT / "docs" / "guides"
BLOCK = re.compile(r"^```sh\n(.*?)^```$", re.MULTILINE | re.DOTALL)
NEEDED = ("bash", "curl", "jq", "openssl", "psql")
OPTIONAL = {"kcat": r"\bkcat -", "mvn": r"^mvn ", "java": r"^java "}  # tool -> what uses it
WALK_SECONDS = 600


def missing(*tools: str) -> list[str]:
    return [tool for tool in tools if shutil.which(tool) is None]


def blocks(guide: str) -> list[str]:
    """Those that can be run here."""
    absent = [OPTIONAL[tool] for tool in missing(*OPTIONAL)]
    found = BLOCK.findall((GUIDES / f"{guide}.md").read_text())
    return [block for block in found if not any(re.search(use, block, re.MULTILINE) for use in absent)]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    if absent := missing(*NEEDED):
        pytest.skip(f"the guides' commands need {', '.join(absent)} on this machine")
    with pytest.MonkeyPatch.context() as patched:
        for name in ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "PORT_BASE"):
            patched.delenv(name, raising=False)
        running = System(Home(tmp_path_factory.mktemp("guide") / "var"), broker.kind())
        running.start()
        yield running
        running.stop()


@pytest.fixture(scope="module")
def tools(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """`ops-cli`, `python` and `python3` as bootstrap puts them into .venv/bin: the interpreter that runs this test."""
    folder = tmp_path_factory.mktemp("bin")
    python = shlex.quote(sys.executable)
    for name, command in {"ops-cli": f"{python} -P -m services.ops_cli", "python": python, "python3": python}.items():
        (folder / name).write_text(f'#!/bin/sh\nexport PYTHONPATH={shlex.quote(str(ROOT))}\nexec {command} "$@"\n')
        (folder / name).chmod(0o755)
    return folder


def walk(system: System, tools: Path, guide: str) -> str:
    """As somebody would who types it, but stopping at the first command that fails. What was printed."""
    script = "set -euo pipefail\n" + "\n".join(blocks(guide))
    environment = os.environ | {"CORRIDOR_VAR": str(system.home.path), "PATH": f"{tools}:{os.environ['PATH']}"}
    environment.pop("NO_COLOR", None)
    done = subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=WALK_SECONDS,
        check=False,
    )  # fmt: skip
    assert done.returncode == 0, f"{guide}.md stopped:\n{done.stdout[-4000:]}\n{done.stderr[-4000:]}"
    return done.stdout


def test_up_takes_a_transfer_from_quote_to_payout(system: System, tools: Path) -> None:
    said = walk(system, tools, "up")
    assert said.count("PAYOUT_COMPLETED") >= (1 if missing("kcat") else 2)
    assert '"status": "ACSC"' in said
    assert "payout.confirmed" in said
    assert '"difference_minor":0' in said
    assert missing("kcat") or "ce_type=corridor.transfer.payout_completed.v1" in said


def test_a_partner_signs_sends_repeats_and_is_refused_as_the_guide_says(system: System, tools: Path) -> None:
    said = walk(system, tools, "partner")
    assert said.count("signature  fits") == 2  # by hand, and with the new key
    assert said.count("exit 6") == 2
    assert "the HMAC is another one" in said
    assert "in the future" in said
    assert '{"index":2,"status":422,"code":"WEBHOOK_BODY_INVALID"}' in said
    first, again = re.findall(r'^\{"reference":"FPS-\w+","status":"accepted"\} -> 200$', said, re.MULTILINE)[-2:]
    assert first == again
    assert "\n1\n" in said  # booked once
    assert '"code":"REFERENCE_MISMATCH"} -> 409' in said
    assert re.search(r"used FPS-\w+ again for something else", said)
    assert re.search(r"POST /your/path .* signature fits", said)
    assert said.count("PAYOUT_COMPLETED") >= (5 if missing("kcat") else 6)
    assert said.rstrip().endswith("401 WEBHOOK_INVALID_SIGNATURE")


def test_a_consumer_reads_stops_at_a_fork_and_replays_as_the_guide_says(system: System, tools: Path) -> None:
    said = walk(system, tools, "consumer")
    assert "200 text/html; charset=utf-8  /docs/events" in said
    assert "200 application/yaml  /asyncapi.yaml" in said
    first, nothing_new = re.findall(r"^AWAITING_FUNDING \d+ · .*PAYOUT_COMPLETED \d+.*$", said, re.MULTILINE)[:2]
    assert first == f"{nothing_new} · applied {first.rpartition(' ')[2]}"
    assert missing("mvn", "java") or said.count(first) == 2  # the same sum in Java
    assert "behind a held one 2 · held 1\nexit 1: held, and the others went on" in said
    applied = [int(number) for number in re.findall(r" · applied (\d+)$", said, re.MULTILINE)]
    assert applied[-1] == applied[0] + 3  # the replay takes what was held as well
    assert "deposit.route_closed.v1" in said


def test_the_on_call_finds_and_explains_trouble_as_the_guide_says(system: System, tools: Path) -> None:
    said = walk(system, tools, "oncall")
    assert "Money is moving" in said
    assert re.search(r"^  ok  schema +at \d{4}, the head of this checkout$", said, re.MULTILINE)
    for reason in ("deposit_mismatch", "payout_in_review"):
        assert re.search(rf"^[0-9a-f-]{{36}} +{reason} ", said, re.MULTILINE), reason
    assert "Attempt 1: refused (AC04)" in said
    assert re.search(r"^status +completed$", said, re.MULTILINE)
    assert re.search(r'^\["payout","MANUAL_REVIEW",\d+,"a person must decide: .*\(AC04\)', said, re.MULTILINE)
    assert "exit 6: the same command, and one age for everything" in said
    assert '"differs_in": [' in said
    assert "503 MAINTENANCE" in said
    assert re.search(r"^against the topic +the same", said, re.MULTILINE)
    assert re.search(r"^against the one before +the same", said, re.MULTILINE)
    assert said.count("right  transfer:") == 2  # by the store and by the topic alone
    assert "the books are proven" in said
    assert "cannot execute DELETE in a read-only transaction" in said
    assert "is back as process" in said


def test_the_on_call_is_told_of_every_reason_of_the_queue() -> None:
    page = (GUIDES / "oncall.md").read_text()
    told = re.findall(r"^\| `([a-z_]+)` \|", page.partition("## 3.")[2].partition("## 4.")[0], re.MULTILINE)
    assert told == [reason.value for reason in Reason]


def test_every_metric_of_the_on_call_s_table_is_there(system: System) -> None:
    page = (GUIDES / "oncall.md").read_text().partition("## 11.")[2].partition("## 12.")[0]
    told = {name for cell in re.findall(r"^\| (`[^|]+) \|", page, re.MULTILINE) for name in re.findall(r"`(\w+)", cell)}
    scraped = "".join(scrape(url) for url in probes(system))
    assert told - set(re.findall(r"^# TYPE (\w+)", scraped, re.MULTILINE)) == set()
    assert len(told) > 20


def probes(system: System) -> list[str]:
    facts = read_json(system.home.facts)
    assert facts is not None, "the system is up"
    return [each["probe_url"] for each in facts["processes"]]


def scrape(probe_url: str) -> str:
    url = probe_url.removesuffix("/readyz") + "/metrics"
    return subprocess.run(["curl", "-sf", url], check=True, capture_output=True, text=True).stdout
