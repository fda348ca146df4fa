"""What a partner does, from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
import time
import urllib.request
from collections.abc import Callable
from pathlib import Path

import pytest

from scripts.system.home import ROOT
from services.kernel.settings import Secret, SharedKey
from services.kernel.webhook import Verifier, header_of
from tests.unit.ops_cli.conftest import Door, Ran

Ops = Callable[..., Ran]
SECRET = "canary-webhook-secret-0123456789"
KEY = SharedKey("partner", "k1", Secret(SECRET))
BODY = '{"reference":"B-1"}'


@pytest.fixture(autouse=True)
def keyed(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("OPS_WEBHOOK_SECRET", SECRET)


def fits(header: str, body: bytes) -> bool:
    return Verifier([KEY]).verify(header, body, int(time.time())).valid


def test_a_signature_fits_the_exact_bytes(ops: Ops, tmp_path: Path) -> None:
    (tmp_path / "body").write_text(BODY + "\n")
    assert fits(ops("webhook", "sign", "--data", BODY).out.strip(), BODY.encode())
    assert fits(ops("webhook", "sign", str(tmp_path / "body")).out.strip(), BODY.encode() + b"\n")
    assert ops("webhook", "sign", "--data", BODY, "--json").json["header"] == "X-Webhook-Signature"


def test_a_secret_from_a_file_under_its_id(ops: Ops, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPS_WEBHOOK_SECRET")
    (tmp_path / "secret").write_text("another-secret-of-a-partner-1234\n")
    ran = ops("webhook", "sign", "--data", BODY, "--secret-file", str(tmp_path / "secret"), "--key-id", "k9")
    assert ",kid=k9," in ran.out
    assert ops("webhook", "sign", "--data", BODY).code == 2, "no key at all"


def test_a_header_that_fits_is_0(ops: Ops) -> None:
    header = header_of(KEY, BODY.encode(), int(time.time()))
    assert ops("webhook", "verify", "--data", BODY, "--header", header).code == 0
    assert ops("webhook", "verify", "--data", BODY, "--header", f"X-Webhook-Signature: {header}").code == 0


def test_a_header_that_does_not_is_6_and_says_why(ops: Ops) -> None:
    now = int(time.time())
    right = header_of(KEY, BODY.encode(), now)
    other = header_of(SharedKey("partner", "k1", Secret("x" * 32)), BODY.encode(), now)
    cases = {
        "malformed": "t=1,v1=0", "unknown_key": right.replace("kid=k1", "kid=k2"), "wrong": other,
        "out_of_tolerance": header_of(KEY, BODY.encode(), now - 400),
    }  # fmt: skip
    for fault, header in cases.items():
        ran = ops("webhook", "verify", "--data", BODY, "--header", header, "--json")
        assert (ran.code, ran.json["fault"]) == (6, fault)
        assert ran.json["why"]
        assert ran.json["hint"]
        assert SECRET not in ran.out + ran.err


def test_a_newline_at_the_end_is_found(ops: Ops, tmp_path: Path) -> None:
    (tmp_path / "body").write_text(BODY + "\n")
    header = header_of(KEY, BODY.encode(), int(time.time()))
    ran = ops("webhook", "verify", str(tmp_path / "body"), "--header", header, "--json")
    assert "without the newline" in ran.json["hint"]


def test_an_old_one_may_be_judged_by_its_time_or_without_it(ops: Ops) -> None:
    header = header_of(KEY, BODY.encode(), int(time.time()) - 3_600)
    assert ops("webhook", "verify", "--data", BODY, "--header", header).code == 6
    assert ops("webhook", "verify", "--data", BODY, "--header", header, "--at", "-1h").code == 0
    assert ops("webhook", "verify", "--data", BODY, "--header", header, "--ignore-age").code == 0


def test_a_deposit_is_reported_signed_and_without_a_token(door: Door, ops: Ops) -> None:
    door.on("POST", "/v1/webhooks/deposit", {"reference": "B-7", "status": "accepted"})
    ran = ops("webhook", "trigger", "--route", "RF18X", "--amount", "125.50 GBP", "--reference", "B-7")
    (asked,) = door.asked
    assert fits(asked.headers["x-webhook-signature"], asked.body)
    assert "authorization" not in asked.headers
    sent = json.loads(asked.body)
    assert (sent["reference"], sent["route"], sent["amount_minor"], sent["currency"]) == ("B-7", "RF18X", 12_550, "GBP")
    assert "accepted" in ran.out


def test_a_transfer_gives_route_and_amount(door: Door, ops: Ops) -> None:
    door.on("GET", "/v1/transfers/t1", {"route": "RF18X", "send_minor": 9_900, "send_currency": "GBP"})
    ran = ops("webhook", "trigger", "--transfer", "t1", "--dry-run")
    assert '"amount_minor":9900' in ran.out
    assert [each.method for each in door.asked] == ["GET"]


@pytest.mark.parametrize("line", ["", "--route RF18X", "--route RF18X --transfer t1"])
def test_what_is_missing_is_2(door: Door, ops: Ops, line: str) -> None:
    assert ops("webhook", "trigger", *line.split()).code == 2
    assert door.asked == []


def test_a_listener_shows_and_judges_what_comes(door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    argv = [sys.executable, "-m", "services.ops_cli", "webhook", "listen", "--count", "2", "-o", "jsonl"]
    with subprocess.Popen(argv, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        assert process.stderr
        assert process.stdout
        address = process.stderr.readline().split()[2].rstrip(";")
        for header in (header_of(KEY, BODY.encode(), int(time.time())), "t=1"):
            request = urllib.request.Request(address, BODY.encode(), {"X-Webhook-Signature": header})  # noqa: S310
            with urllib.request.urlopen(request, timeout=10) as answer:  # noqa: S310
                assert answer.status == 200
        seen = [json.loads(process.stdout.readline()) for _ in range(2)]
        assert process.wait(20) == 0
    assert [(each["valid"], each["body"]) for each in seen] == [(True, BODY), (False, BODY)]
    assert SECRET not in json.dumps(seen)
