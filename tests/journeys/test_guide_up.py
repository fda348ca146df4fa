"""docs/guides/up.md, word for word: its shell blocks take a transfer from quote to payout, by HTTP and by Kafka."""

import os
import re
import shutil
import subprocess
from collections.abc import Iterator

import pytest

from scripts.stack import broker
from scripts.system.home import ROOT, Home
from scripts.system.system import System

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400), pytest.mark.xdist_group("up")]

GUIDE = ROOT / "docs" / "guides" / "up.md"
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", GUIDE.read_text(), re.MULTILINE | re.DOTALL)
HTTP_TOOLS = ("bash", "curl", "jq", "openssl")
BY_HTTP = 5  # the blocks before the first that needs kcat


def missing(*tools: str) -> list[str]:
    return [tool for tool in tools if shutil.which(tool) is None]


@pytest.fixture(scope="module")
def system(tmp_path_factory: pytest.TempPathFactory) -> Iterator[System]:
    if absent := missing(*HTTP_TOOLS):
        pytest.skip(f"the guide's commands need {', '.join(absent)} on this machine")
    with pytest.MonkeyPatch.context() as patched:
        for name in ("DATABASE_URL", "KAFKA_BOOTSTRAP_SERVERS", "PORT_BASE"):
            patched.delenv(name, raising=False)
        running = System(Home(tmp_path_factory.mktemp("guide") / "var"), broker.kind())
        running.start()
        yield running
        running.stop()


def follow(system: System, blocks: list[str]) -> subprocess.CompletedProcess[str]:
    """As somebody would who types them, but stopping at the first that fails."""
    script = "set -euo pipefail\n" + "\n".join(blocks)
    environment = os.environ | {"CORRIDOR_VAR": str(system.home.path)}
    return subprocess.run(
        ["bash", "-c", script], cwd=ROOT, env=environment, capture_output=True, text=True, timeout=120, check=False
    )


def test_the_guide_s_words_take_a_transfer_to_its_payout_over_http(system: System) -> None:
    done = follow(system, BLOCKS[:BY_HTTP])
    assert done.returncode == 0, done.stdout + done.stderr
    assert "PAYOUT_COMPLETED" in done.stdout
    assert '"status": "ACSC"' in done.stdout
    assert "payout.confirmed" in done.stdout or "transfer.payout_initiated" in done.stdout
    assert '"difference_minor":0' in done.stdout


@pytest.mark.skipif(bool(missing("kcat")), reason="needs kcat")
def test_the_guide_s_words_take_a_transfer_to_its_payout_over_kafka(system: System) -> None:
    done = follow(system, BLOCKS)
    assert done.returncode == 0, done.stdout + done.stderr
    assert done.stdout.count("PAYOUT_COMPLETED") >= 2
    assert "ce_type=corridor.transfer.payout_completed.v1" in done.stdout
