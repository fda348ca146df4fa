"""The alert rules name only metrics, labels and sections of the guide that exist, and tell what they should."""

import re
import shutil
import subprocess
from typing import Any

import pytest
import yaml

import services.payout_orchestrator.__main__ as payouts
import services.reconciliation.__main__ as reconciliation
import services.review.__main__ as review
from scripts.migrate import ROOT
from services.kernel.metrics import REGISTRY

RULES = ROOT / "deploy" / "prometheus" / "rules.yml"
GUIDE = ROOT / "docs" / "guides" / "oncall.md"
AT_SCRAPE = {  # made when a service starts
    "payout_manual_review_queue_size": payouts,
    "corridor_recon_open_issues": reconciliation,
    "corridor_recon_last_completed_run_timestamp_seconds": reconciliation,
    "corridor_review_oldest_seconds": review,
}
OF_PROMETHEUS = {"up"}
NAME = re.compile(r"\b(?:[a-z]+_[a-z_]+|up)(?=[{\[)> ]|$)")
WORDS = {"avg_over_time"}

promtool = pytest.mark.skipif(
    shutil.which("promtool") is None, reason="needs promtool (Debian: apt-get install prometheus)"
)


def rules() -> list[dict[str, Any]]:
    groups = yaml.safe_load(RULES.read_text(encoding="utf-8"))["groups"]
    return [rule for group in groups for rule in group["rules"]]


def alerts() -> list[dict[str, Any]]:
    return [rule for rule in rules() if "alert" in rule]


@promtool
@pytest.mark.parametrize("arguments", [("check", "rules", "rules.yml"), ("test", "rules", "rules_test.yml")])
def test_promtool_agrees(arguments: tuple[str, ...]) -> None:
    said = subprocess.run(["promtool", *arguments], cwd=RULES.parent, capture_output=True, text=True, check=False)
    assert said.returncode == 0, said.stdout + said.stderr


def _known() -> set[str]:
    names = set()
    for family in REGISTRY.collect():
        names |= {family.name, f"{family.name}_total"}
    return names


@pytest.mark.parametrize("rule", rules(), ids=lambda each: each.get("alert") or each["record"])
def test_a_rule_reads_metrics_that_there_are(rule: dict[str, Any]) -> None:
    text = re.sub(r"\{[^}]*}|\[[^]]*]|by \([^)]*\)", " ", rule["expr"])
    found = set(NAME.findall(re.sub(r"corridor:\S+", " ", text))) - WORDS
    for name in found - OF_PROMETHEUS:
        if name in AT_SCRAPE:
            folder = (ROOT / AT_SCRAPE[name].__name__.replace(".", "/")).parent
            assert any(f'"{name}"' in path.read_text(encoding="utf-8") for path in folder.rglob("*.py")), name
        else:
            assert name in _known(), name
    assert found or "corridor:" in rule["expr"]


@pytest.mark.parametrize("rule", alerts(), ids=lambda each: each["alert"])
def test_an_alert_says_how_bad_it_is_and_where_to_go_on(rule: dict[str, Any]) -> None:
    assert rule["labels"]["severity"] in {"critical", "page", "ticket"}
    page, _, anchor = rule["annotations"]["runbook"].partition("#")
    assert ROOT / page == GUIDE
    headings = re.findall(r"^#+ (.+)$", GUIDE.read_text(encoding="utf-8"), re.MULTILINE)
    assert anchor in {re.sub(r"[^a-z0-9 -]", "", each.lower()).replace(" ", "-") for each in headings}


def test_every_alert_is_in_the_guide() -> None:
    text = GUIDE.read_text(encoding="utf-8")
    assert [each["alert"] for each in alerts() if f"`{each['alert']}`" not in text] == []
