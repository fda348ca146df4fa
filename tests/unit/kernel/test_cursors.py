"""Cursors: what was made is read back, and nothing else is."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta

import pytest
from hypothesis import assume, given
from hypothesis import strategies as st

from services.kernel.cursors import CURSOR_CHARS_MAX, Cursors, Place
from services.kernel.problem import Problem

EPOCH = datetime(1970, 1, 1, tzinfo=UTC)
PLACES = st.builds(
    Place, st.integers(0, 2 * 10**17).map(lambda micros: EPOCH + timedelta(microseconds=micros)), st.integers(0, 2**62)
)
CURSORS = Cursors("a-secret-of-tokens")
BOUND = b"transfers anna"


@given(place=PLACES, bound=st.binary(max_size=60))
def test_a_cursor_leads_back_to_its_place(place: Place, bound: bytes) -> None:
    cursor = CURSORS.make(place, bound)
    assert len(cursor) <= CURSOR_CHARS_MAX
    assert cursor.isascii()
    assert CURSORS.read(cursor, bound) == place


@given(place=PLACES, bound=st.binary(max_size=60), other=st.binary(max_size=60))
def test_it_is_for_nobody_and_nothing_else(place: Place, bound: bytes, other: bytes) -> None:
    assume(bound != other)
    with pytest.raises(Problem) as refused:
        CURSORS.read(CURSORS.make(place, bound), other)
    assert refused.value.status == 400


@given(place=PLACES, at=st.integers(0), char=st.characters())
def test_no_character_of_it_can_be_changed(place: Place, at: int, char: str) -> None:
    cursor = CURSORS.make(place, BOUND)
    at %= len(cursor)
    forged = cursor[:at] + char + cursor[at + 1 :]
    assume(forged != cursor)
    with pytest.raises(Problem):
        CURSORS.read(forged, BOUND)


@given(text=st.text(max_size=CURSOR_CHARS_MAX))
def test_nothing_that_was_not_made_is_read(text: str) -> None:
    with pytest.raises(Problem):
        CURSORS.read(text, BOUND)


@given(place=PLACES)
def test_a_secret_that_is_being_replaced_is_believed_and_makes_none(place: Place) -> None:
    old, both, new = Cursors("old"), Cursors("new", "old"), Cursors("new")
    assert both.read(old.make(place, BOUND), BOUND) == place
    assert new.read(both.make(place, BOUND), BOUND) == place
    with pytest.raises(Problem):
        new.read(old.make(place, BOUND), BOUND)


@given(place=PLACES)
def test_a_cursor_has_one_spelling(place: Place) -> None:
    cursor = CURSORS.make(place, BOUND)
    alphabet = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_"
    last = alphabet[alphabet.index(cursor[-1]) ^ 1]  # the last character carries two bits that say nothing
    for other in (f"{cursor}=", cursor[:-1] + last):
        with pytest.raises(Problem):
            CURSORS.read(other, BOUND)
