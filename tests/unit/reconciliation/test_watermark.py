"""Until when topics are believed: a silent one holds the others back, but not for ever."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

from services.reconciliation.domain.watermark import watermark

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
GRACE, QUIET = timedelta(seconds=30), timedelta(seconds=120)


def ago(seconds: int) -> datetime:
    return AT - timedelta(seconds=seconds)


def told(**newest: datetime | None) -> datetime:
    return watermark(AT, newest, GRACE, QUIET)


def test_topics_that_speak_are_believed_up_to_the_read() -> None:
    assert told(transfer=ago(1), deposit=ago(2), payout=ago(1), ledger=ago(5)) == AT


def test_a_quiet_system_is_believed_up_to_the_read() -> None:
    assert told(transfer=ago(9_000), deposit=ago(9_001), payout=ago(9_000), ledger=ago(9_000)) == AT
    assert told(transfer=None, ledger=None) == AT


def test_a_topic_that_falls_silent_is_believed_as_far_as_it_spoke() -> None:
    assert told(transfer=ago(1), ledger=ago(50)) == ago(50)
    assert told(transfer=ago(1), deposit=ago(80), ledger=ago(50)) == ago(80)


def test_a_topic_that_is_silent_for_long_has_nothing_to_say() -> None:
    assert told(transfer=ago(1), ledger=ago(121)) == ago(120)
    assert told(transfer=ago(1), ledger=None) == ago(120)


def test_the_watermark_never_lies_behind_the_read() -> None:
    assert told(transfer=AT + timedelta(seconds=60), ledger=AT + timedelta(seconds=10)) == AT
