"""Which events a projection with rare rows is asked of: none may be lost, whatever else is asked in vain."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

import pytest

from services.kernel import projector
from services.kernel.decider import Cause
from services.kernel.projector import Projection, Standing
from tests.support.builders import TOPIC, Added, CallBegun, CallEnded

ROW, OTHER = UUID(int=1), UUID(int=2)
BEGUN = CallBegun(jar_id=ROW, attempt=1)
ENDED = CallEnded(jar_id=ROW, told="done")
CAUSE = Cause(
    event_id=UUID(int=9), event_type=BEGUN.type, stream_id=ROW, version=1, tenant="acme", correlation_id=ROW,
    occurred_at=datetime(2026, 11, 23, tzinfo=UTC),
)  # fmt: skip


@dataclass(frozen=True, slots=True)
class Call:
    """A call that is out."""

    attempt: int


PROJECTION = Projection(
    name="calls", key_column="jar_id", row=Call, topic=TOPIC, events=(Added, CallBegun, CallEnded),
    wanted=(CallBegun, CallEnded), key=lambda event: event.jar_id, evolve=lambda row, event: row, opens=(CallBegun,),
)  # fmt: skip


def asked(standing: Standing | None, *events: Any) -> list[Any]:
    """Those of the events that are asked of their row, in order."""
    consumes = PROJECTION.inbox("jar", 1, standing).consumes
    return [ask.command for event in events for ask in consumes[type(event)](event, CAUSE)]


def loaded(*keys: UUID) -> Standing:
    standing = Standing()
    standing.load(keys)
    return standing


def test_where_no_row_stands_only_what_opens_one_is_asked() -> None:
    assert asked(loaded(OTHER), ENDED, BEGUN, ENDED) == [BEGUN, ENDED]


def test_a_row_that_was_made_before_the_start_is_asked() -> None:
    assert asked(loaded(ROW), ENDED) == [ENDED]


def test_before_anything_is_known_and_without_a_filter_everything_is_asked() -> None:
    assert asked(Standing(), ENDED) == asked(None, ENDED) == [ENDED]


def test_too_many_rows_to_remember_are_all_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(projector, "KEYS_MAX", 1)
    assert asked(loaded(OTHER, UUID(int=3)), ENDED) == [ENDED]
    grown = loaded(OTHER)
    assert asked(grown, BEGUN, replace(ENDED, jar_id=UUID(int=4))) == [BEGUN, replace(ENDED, jar_id=UUID(int=4))]
