"""A statement is said once for each head, a line is recorded once and never overwritten; what is wrong is judged."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, date, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

from contracts.recon.v1 import StatementBalance, StatementLineRecorded
from scripts.contracts.golden import BY_CLASS
from services.kernel.decider import Owner, Seen
from services.kernel.money import Money, iso4217
from services.reconciliation.domain.statements import checks, entries, heads
from services.reconciliation.domain.statements.checks import Head
from services.reconciliation.domain.statements.shape import Statement, StatementLine

AT = datetime(2026, 3, 3, tzinfo=UTC)
GBP = iso4217("GBP")
ID, LINE, OTHER = UUID(int=1), UUID(int=2), UUID(int=3)
DAY = date(2026, 3, 2)


def line(minor: int = 100, **more: Any) -> StatementLine:
    return StatementLine(
        position="line 2", entry_reference="A", reference_by="servicer", booking_date=DAY, value_date=None,
        amount=Money(minor, GBP), side="credit", raw="raw", **more,
    )  # fmt: skip


def command(said: StatementLine, owner: Owner | None = None) -> entries.RecordLine:
    seen = Seen({entries.CLAIM: owner} if owner else {})
    return entries.RecordLine(line_id=LINE, statement_id=ID, partner="bank", account="X", line=said, seen=seen)


def fold(*commands: Any) -> tuple[Any, list[str]]:
    """The state after all, and the short types of the events."""
    state, said = None, []
    for each in commands:
        for event in entries.decide(state, each, AT):
            state = entries.evolve(state, event)
            said.append(type(event).__name__.removeprefix("StatementLine"))
    return state, said


@pytest.mark.parametrize(
    ("commands", "events"),
    [
        ([command(line()), command(line())], ["Recorded"]),
        ([command(line()), command(replace(line(), position="line 9"))], ["Recorded"]),
        (
            [command(line()), command(line(200)), command(line(200)), command(line(300))],
            ["Recorded", "Parked", "Parked"],
        ),
        ([command(line()), command(line(), Owner(LINE, "credit 100 GBP"))], ["Recorded"]),
        ([command(line(), Owner(OTHER, "credit 100 GBP"))], []),
        ([command(line(), Owner(OTHER, "debit 100 GBP"))] * 2, ["Parked"]),
        ([command(line(), Owner(OTHER, "debit 100 GBP")), command(line())], ["Parked", "Recorded"]),
    ],
)
def test_a_line(commands: list[Any], events: list[str]) -> None:
    assert fold(*commands)[1] == events


def test_the_first_content_stays() -> None:
    state, _ = fold(command(line()), command(line(200)))
    assert state.content == line().content


@pytest.mark.parametrize(
    "change",
    [
        {"amount": Money(101, GBP)}, {"side": "debit"}, {"booking_date": None}, {"value_date": DAY}, {"reversal": True},
        {"bank_transaction_code": "PMNT"}, {"end_to_end_id": "E"}, {"our_reference": "RF18"}, {"references": ("a",)},
        {"charges": Money(0, GBP)}, {"details_left_out": 1},
    ],
)  # fmt: skip
def test_every_member_is_content(change: dict[str, Any]) -> None:
    assert replace(line(), **change).content != line().content


def test_a_recorded_line_is_compared_by_what_its_event_says() -> None:
    event = BY_CLASS[StatementLineRecorded]
    names = [name for name in StatementLine.__dataclass_fields__ if hasattr(event, name)]
    said = StatementLine(**{name: getattr(event, name) for name in names})
    assert entries.content_of(event) == said.content


@pytest.mark.parametrize("module", [heads, entries])
def test_the_table_of_transitions_is_what_the_fold_does(module: Any) -> None:
    reached: dict[str, Any] = {"-": None}
    for state, event, after, _ in module.TRANSITIONS:
        reached[after] = module.evolve(reached[state], BY_CLASS[event])
        assert reached[after].state == after
    assert {stage.state for stage in module.STAGES} == set(reached) - {"-"}


def said(**more: Any) -> Statement:
    return Statement(**{
        "kind": "statement", "source": "csv", "message": None, "partner": "bank", "account": "X", "reference": "S",
        "currency": "GBP", "sequence": 1, "period_from": DAY, "period_to": DAY, "opening": None, "closing": None,
        "lines": (),
    } | more)  # fmt: skip


def test_another_head_under_one_id_is_said_with_its_number() -> None:
    state: Any = None
    for sequence, number in ((1, 1), (1, None), (2, 2), (1, 3)):
        wish = heads.ReceiveStatement(statement_id=ID, statement=said(sequence=sequence), file_sha256="f")
        events = heads.decide(state, wish, AT)
        assert [event.head for event in events] == ([number] if number else [])  # type: ignore[union-attr]
        for event in events:
            state = heads.evolve(state, event)


def test_the_end_of_a_file_is_said_once_for_each_result() -> None:
    receive = heads.ReceiveStatement(statement_id=ID, statement=said(), file_sha256="f")
    done = heads.CompleteStatement(
        statement_id=ID, file_sha256="f", lines=1, repeated=0, parked=0, not_booked=0, credits_minor=1, debits_minor=0,
        difference_minor=None,
    )  # fmt: skip
    state = heads.evolve(None, heads.decide(None, receive, AT)[0])
    deliveries = []
    for each in (done, done, replace(done, parked=1), done):
        for event in heads.decide(state, each, AT):
            state = heads.evolve(state, event)
            deliveries.append(event.delivery)  # type: ignore[union-attr]
    assert deliveries == [1, 2, 3]


def head(number: int | None = None, *, first: int = 0, last: int | None = None, **balances: int | None) -> Head:
    def of(name: str) -> StatementBalance | None:
        minor = balances.get(name, 100)
        if minor is None:
            return None
        return StatementBalance(side="debit" if minor < 0 else "credit", amount=Money(abs(minor), GBP))

    return Head(
        statement_id=ID, partner="bank", account="X", reference=f"S{number}", currency="GBP", sequence=number,
        period_from=DAY + timedelta(days=first), period_to=DAY + timedelta(days=first if last is None else last),
        opening=of("opening"), closing=of("closing"),
    )  # fmt: skip


@pytest.mark.parametrize(  # DAY is a Monday
    ("before", "after", "calendar", "words"),
    [
        (head(1), head(2, first=30), "every", None),
        (head(1), head(3, first=1), "every", "number 3 follows 1"),
        (head(2), head(2, first=1), "every", "number 2 follows 2"),
        (head(250), head(1, first=305), "every", None),
        (head(250), head(1, first=1), "every", "number 1 follows 250"),
        (head(1, closing=101), head(2, first=1), "every", "opens with 100"),
        (head(1, closing=-100), head(2, first=1), "every", "closes with -100"),
        (head(1, closing=None), head(2, first=1), "every", None),
        (head(), head(first=1), "business", None),
        (head(), head(first=2), "business", "1 days are missing, the first is 2026-03-03"),
        (head(first=4), head(first=7), "business", None),
        (head(first=4), head(first=7), "every", "2 days are missing, the first is 2026-03-07"),
        (head(), head(first=2), "none", None),
        (head(), head(first=4_000), "every", "366 or more days"),
    ],
)
def test_a_gap(before: Head, after: Head, calendar: Any, words: str | None) -> None:
    found = list(checks.gap(before, after, calendar))
    assert [each.code for each in found] == (["STATEMENT_GAP"] if words else [])
    assert (words or "") in "".join(each.details for each in found)


@pytest.mark.parametrize(
    ("opening", "closing", "net", "found"),
    [(100, 300, 200, 0), (100, 300, 199, -1), (-100, 50, 150, 0), (0, None, 5, None)],
)
def test_opening_and_entries_are_closing(opening: int, closing: int | None, net: int, found: int | None) -> None:
    sample = head(opening=opening, closing=closing)
    assert checks.difference(sample.opening, sample.closing, net) == found


def test_what_does_not_add_up_is_said_with_both_sums() -> None:
    (issue,) = checks.judge(head(closing=300), -7, 0)
    assert (issue.code, issue.expected_minor, issue.actual_minor) == ("STATEMENT_DOES_NOT_ADD_UP", 300, 293)
    assert list(checks.judge(head(), 0, 0)) == []
    assert [each.code for each in checks.judge(head(), None, 2)] == ["STATEMENT_LINES_PARKED"]
