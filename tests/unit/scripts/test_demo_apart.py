"""The demo's client and judge are strangers to the services."""

import subprocess
import sys

from scripts.system.home import ROOT

LOADED = """
import sys
import scripts.demo.client, scripts.demo.evidence, scripts.demo.judge
print([name for name in sys.modules if name.partition(".")[0] in ("services", "contracts")])
"""


def test_client_and_judge_load_nothing_of_the_services_and_their_contracts() -> None:
    done = subprocess.run([sys.executable, "-c", LOADED], cwd=ROOT, capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "[]"
