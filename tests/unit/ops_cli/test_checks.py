"""What single checks make of what they are told."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import pytest

from services.kernel.connections import Room
from services.ops_cli.checks import Check
from services.ops_cli.commands.triage import parts
from services.ops_cli.health import beyond
from services.ops_cli.moving import consuming, publishing
from services.ops_cli.scrape import Process, Samples
from services.ops_cli.stores import connections


@pytest.mark.parametrize(
    ("needed", "verdict", "words"),
    [
        ({"quote": 6, "ledger": 5}, "ok", "11 at most, 11 free for them"),
        ({"quote": 6, "ledger": 6}, "bad", "may open 12: ledger 6, quote 6"),
        ({}, "unknown", "no process says"),
    ],
)
def test_sessions_that_may_be_opened_need_room_also_while_they_are_not(
    needed: dict[str, int], verdict: str, words: str
) -> None:
    found = connections(Room(most=20, reserved=3, others=6), needed)
    assert found.verdict == verdict
    assert words in found.words


def test_an_event_that_no_broker_takes_is_bad_however_short_the_outbox_is() -> None:
    samples: Samples = {("corridor_outbox_backlog", ()): 0.0, ("corridor_outbox_stuck", ()): 0.0}
    stuck: Samples = {("corridor_outbox_stuck", ()): 2.0}
    quote = Process("quote", ready=True, report={}, samples=samples)
    ledger = Process("ledger", ready=True, report={}, samples=samples | stuck)
    assert publishing([quote]).verdict == "ok"
    found = publishing([quote, ledger])
    assert (found.verdict, found.hint) == ("bad", "ops-cli review list --reason parked_stream")
    assert found.words.startswith("2 events can never be published")


@pytest.mark.parametrize(
    ("told", "skew"),
    [(98.0, 0.0), (100.0, 0.0), (101.5, 0.0), (102.0, 0.5), (110.0, 8.5), (97.0, -1.0), (90.0, -8.0)],
)
def test_a_clock_is_blamed_for_what_neither_waiting_nor_whole_seconds_explain(told: float, skew: float) -> None:
    assert beyond(told, before=100.0, after=101.5, resolution=2.0) == skew


def told(name: str, samples: Samples, **dependencies: str) -> Process:
    return Process(name, ready=True, report={"dependencies": dependencies}, samples=samples)


QUIET: Samples = {("corridor_outbox_backlog", ()): 0.0, ("corridor_parked_streams", ()): 0.0}


@pytest.mark.parametrize("ask", [publishing, consuming])
def test_nobody_waits_is_not_said_of_a_process_that_does_not_tell(ask: Callable[[Sequence[Process]], Check]) -> None:
    quote, sandbox = told("quote", QUIET), told("sandbox", {("sandbox_deliveries_pending", ()): 0.0})
    assert ask([quote, sandbox]).verdict == "ok"
    for transfer in (Process("transfer", ready=False, report={}), told("transfer", {("worker_runs_total", ()): 0.0})):
        found = ask([quote, sandbox, transfer])
        assert found.verdict == "unknown"
        assert "nothing is known of transfer" in found.words


def test_who_has_no_kafka_consumes_nothing() -> None:
    found = consuming([told("quote", QUIET, kafka="ok"), told("transfer", QUIET, kafka="down")])
    assert (found.verdict, found.words) == ("bad", "without Kafka: transfer")
    (ready,) = parts([told("quote", QUIET, kafka="ok"), told("transfer", QUIET, kafka="down")])
    assert (ready.verdict, ready.words, ready.hint) == ("bad", "without Kafka: transfer", "ops-cli doctor")


def test_a_parked_stream_names_the_command_that_shows_it() -> None:
    found = consuming([told("quote", QUIET | {("corridor_parked_streams", ()): 1.0})])
    assert (found.verdict, found.hint) == ("attention", "ops-cli review list --reason parked_stream")
