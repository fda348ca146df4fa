"""What is stuck: no state without a rule, by construction; what a rule says; how a look ends."""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
from collections.abc import Callable
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any, ClassVar
from uuid import UUID

import pytest

from scripts import states
from services.kernel.codec import StateCodec
from services.kernel.group_lag import Lag, Stand
from services.kernel.value import value
from services.ops_cli.exits import Exit
from services.ops_cli.stuck import lag, streams
from services.ops_cli.stuck.findings import Finding, Findings, Report
from services.ops_cli.stuck.machines import Machine, machines
from services.ops_cli.stuck.rules import MARGIN, RULES, RUN, Wait
from services.payout_orchestrator.domain.states import Confirmed, Sent
from services.reconciliation.handlers.conductor import RUN_SECONDS_MAX
from services.review.domain.reasons import Reason
from services.review.domain.sla import SLA
from services.transfer.domain.states import AwaitingFunding, Deadlines, Funded
from tests.unit.ops_cli.conftest import Door, Ran
from tests.unit.payout_orchestrator import samples as p
from tests.unit.transfer import samples as t

Ops = Callable[..., Ran]
AT = datetime(2026, 1, 31, 12, tzinfo=UTC)
CHANGED = AT + timedelta(minutes=7)  # by what leaves the state as it is
SCRIPT = Path(states.__file__).parent / "detect_stuck_finance_jobs.py"


def of(category: str) -> Machine:
    return next(each for each in machines() if each.category == category)


@pytest.mark.parametrize("machine", machines(), ids=lambda machine: machine.category)
def test_every_state_that_is_not_the_end_says_what_it_waits_for(machine: Machine) -> None:
    missing = [stage.__name__ for stage in machine.without_rule()]
    assert not missing, f"add to RULES in services/ops_cli/stuck/rules.py what these wait for, or Rests: {missing}"


@value
class Frozen:
    """A state that somebody adds."""

    state: ClassVar[str] = "FROZEN"
    since: datetime


def planted(text: str, after: str) -> Machine:
    """The transfers, with one state more."""
    found = of("transfer")
    steps = (*found.steps, ("FUNDING_CONFIRMED", Frozen, "FROZEN", text), ("FROZEN", Frozen, after, ""))
    return replace(found, stages=(*found.stages, Frozen), steps=steps)


def test_a_new_state_without_a_rule_is_found() -> None:
    assert planted("", "PAYOUT_INITIATED").without_rule() == (Frozen,)
    assert planted("a day", "FROZEN").without_rule() == (Frozen,)  # nothing leaves it, yet it has a deadline
    assert planted("", "FROZEN").without_rule() == ()  # it is an end


def test_a_new_state_without_a_rule_is_looked_at_all_the_same() -> None:
    known = streams.Known.of((planted("", "PAYOUT_INITIATED"),))
    assert "transfer/Frozen" not in known.quiet()
    found = streams.judged(
        row("transfer", Frozen(AT)), "transfer", known, None, CHANGED + timedelta(minutes=31) + MARGIN
    )
    assert found is not None
    assert (found.state, "no rule" in found.cause) == ("FROZEN", True)


def test_every_table_of_states_is_a_machine_and_every_rule_has_its_state() -> None:
    assert {module(each) for each in machines()} == {life.module for life in states.LIVES}
    assert set(RULES) - {stage for each in machines() for stage in each.stages} == set()


def module(machine: Machine) -> str:
    return machine.stages[0].__module__


def test_no_state_with_money_on_its_way_rests() -> None:
    money = [each for each in machines() if each.category in {"transfer", "deposit", "payout"}]
    resting = {stage for each in money for stage in each.unfinished() if not isinstance(RULES.get(stage), Wait)}
    assert resting == {Confirmed}  # paid out, and what is said against it is in the queue


def test_every_reason_to_wait_for_a_person_has_its_time() -> None:
    assert set(SLA) == set(Reason)


def test_a_run_hangs_when_it_should_have_ended_itself() -> None:
    assert RUN.total_seconds() == RUN_SECONDS_MAX


def row(category: str, state: Any, changed_at: datetime = CHANGED) -> dict[str, Any]:
    stage, data = StateCodec((type(state),)).encode(state)
    return {"stream_id": UUID(int=7), "category": category, "stage": stage, "state": data, "changed_at": changed_at}


def judged(category: str, state: Any, age: timedelta, older_than: timedelta | None = None) -> Finding | None:
    known = streams.Known.of(machines())
    return streams.judged(row(category, state), "x", known, older_than, state.since + age)


FUNDED = Funded(opened=t.OPENED, received=t.OPENED.send, since=AT)
OVERDUE = timedelta(seconds=Deadlines().payout_overdue_seconds) + MARGIN


def test_a_state_is_stuck_from_its_own_deadline_on() -> None:
    assert judged("transfer", FUNDED, OVERDUE - timedelta(seconds=1)) is None
    found = judged("transfer", FUNDED, OVERDUE)
    assert found is not None
    assert (found.id, found.type, found.state, found.since, found.limit) == (
        str(UUID(int=7)), "transfer", "FUNDING_CONFIRMED", AT, OVERDUE
    )  # fmt: skip
    assert "payout has not left" in found.cause


def test_what_somebody_calls_old_is_stuck_whatever_its_deadline() -> None:
    assert judged("transfer", FUNDED, timedelta(seconds=90), timedelta(seconds=90)) is not None
    assert judged("transfer", FUNDED, timedelta(seconds=89), timedelta(seconds=90)) is None
    assert judged("transfer", FUNDED, timedelta(days=1), timedelta(days=2)) is None


def test_nothing_is_called_overdue_before_it_is() -> None:
    awaiting = AwaitingFunding(t.OPENED)
    known, time = streams.Known.of(machines()), t.OPENED.funding_deadline - t.OPENED.opened_at
    early, late = (
        streams.judged(row("transfer", awaiting), "x", known, timedelta(0), t.OPENED.opened_at + age)
        for age in (time, time + timedelta(minutes=1) + MARGIN)
    )
    assert early is not None
    assert early.cause == "waits for the customer's money"
    assert late is not None
    assert late.cause.startswith(f"{early.cause}; its time is over")


def test_a_deadline_of_the_state_itself_comes_before_the_usual_one() -> None:
    sent = Sent(terms=p.REQUESTED, since=AT, deadline=AT + timedelta(minutes=5))
    assert judged("payout", sent, timedelta(minutes=6)) is None
    assert judged("payout", sent, timedelta(minutes=7)) is not None
    assert judged("payout", replace(sent, deadline=None), timedelta(minutes=7)) is None
    assert judged("payout", replace(sent, deadline=None), timedelta(days=1) + MARGIN) is not None


@pytest.mark.parametrize(
    ("category", "stage", "data"),
    [
        ("transfer", "Frozen", b"{}"),
        ("loan", "Open", b"{}"),
        ("transfer", "Funded", b'{"opened":7}'),
        ("x", "y", b"\x80"),
    ],
)
def test_what_this_release_cannot_read_is_not_passed_over(category: str, stage: str, data: bytes) -> None:
    found = row("transfer", FUNDED) | {"category": category, "stage": stage, "state": data}
    told = streams.judged(found, "x", streams.Known.of(machines()), None, CHANGED + timedelta(hours=1))
    assert told is not None
    assert (told.type, told.state, told.since) == (category, stage, CHANGED)


@pytest.mark.parametrize(("records", "seconds", "stuck"), [(3, 61.0, True), (3, 59.0, False), (0, 61.0, False)])
def test_a_consumer_is_judged_by_seconds(records: int, seconds: float, stuck: bool) -> None:
    stand = Stand(consumer="transfer", topic="t", next_offsets={}, parked_streams=0)
    found = lag.judged(Lag(stand=stand, records=records, seconds=seconds), "transfer", None, AT)
    assert (found is not None) is stuck


def finding(number: int, kind: str = "transfer", stream: int | None = None) -> Finding:
    return Finding(
        id=str(number), type=kind, state="S", since=AT - timedelta(minutes=number), limit=timedelta(0), cause="c",
        service="transfer", stream_id=UUID(int=stream) if stream is not None else None,
    )  # fmt: skip


def test_the_oldest_are_kept_and_the_others_counted() -> None:
    kept = Findings(3)
    for number in (5, 1, 9, 3, 7, 2):
        kept.add(finding(number))
    kept.uncounted("outbox", 40)
    report = Report(findings=kept, at=AT).content()
    assert [item["id"] for item in report["items"]] == ["9", "7", "5"]
    assert [item["age_seconds"] for item in report["items"]] == [540, 420, 300]
    assert (report["stuck"], report["not_shown"], report["by_type"]) == (46, 43, {"outbox": 40, "transfer": 6})


def test_a_state_says_what_holds_its_stream_up() -> None:
    kept = Findings(9)
    for each in (finding(1, stream=1), finding(2, stream=2), finding(3, "parked", stream=1)):
        kept.add(each)
    assert [each.cause for each in kept.oldest()] == ["c", "c", "c; its stream is parked (transfer)"]


@pytest.mark.parametrize(
    ("stuck", "missed", "code"),
    [(0, 0, Exit.DONE), (1, 0, Exit.ANSWER_IS_NO), (0, 1, Exit.UNAVAILABLE), (1, 1, Exit.ANSWER_IS_NO)],
)
def test_how_a_look_ends(stuck: int, missed: int, code: Exit) -> None:
    report = Report(findings=Findings(9), at=AT)
    report.findings.uncounted("transfer", stuck)
    for _ in range(missed):
        report.missed("lag", "no broker")
    assert report.exit == code


def test_who_cannot_look_says_so(ops: Ops, door: Door, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.delenv("OPS_DATABASE_URL", raising=False)
    ran = ops("stuck", "list")
    assert (ran.code, "does not say where the database is" in ran.err) == (10, True)
    monkeypatch.setenv("OPS_DATABASE_URL", "postgresql://corridor_oncall:of-a-test@127.0.0.1:1/corridor")
    ran = ops("stuck", "list", "--json")
    assert ran.code == 10
    assert [each["check"] for each in ran.json["not_checked"]] == ["everything in PostgreSQL", "lag of consumers"]
    assert (ran.json["stuck"], ran.json["items"]) == (0, [])
    assert "not checked" in ran.err
    assert "of-a-test" not in ran.out + ran.err


@pytest.mark.parametrize("typed", ["soon", "-5m", "30min", "1.5h"])
def test_what_is_no_length_of_time_is_refused(ops: Ops, door: Door, typed: str) -> None:
    assert ops("stuck", "list", "--older-than", typed).code == 2


def test_the_script_says_what_to_do_where_there_are_no_packages(tmp_path: Path) -> None:
    (tmp_path / "scripts").mkdir()
    alone = shutil.copy(SCRIPT, tmp_path / "scripts")
    ran = subprocess.run([sys.executable, "-I", "-S", alone], capture_output=True, text=True, check=False)
    assert (ran.returncode, ran.stdout) == (10, "")
    assert f"make -C {tmp_path} bootstrap" in ran.stderr


def test_the_script_is_the_command(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("CORRIDOR_VAR", str(tmp_path))  # where no system is
    monkeypatch.chdir(tmp_path)
    for name in ("OPS_BASE_URL", "OPS_CONTEXT"):
        monkeypatch.delenv(name, raising=False)
    ran = subprocess.run([sys.executable, SCRIPT, "--json"], capture_output=True, text=True, check=False)
    assert (ran.returncode, json.loads(ran.stderr)["exit"]) == (10, 10)
    told = subprocess.run([sys.executable, SCRIPT, "--help"], capture_output=True, text=True, check=False)
    assert told.returncode == 0
    assert "python3 scripts/detect_stuck_finance_jobs.py --older-than 30m" in " ".join(told.stdout.split())
