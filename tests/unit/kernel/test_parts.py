"""The parameters of a write: a column for each, but what all rows of a batch agree in is sent once."""

import pytest

from services.kernel.parts import Part, Statement
from services.kernel.store import Write

PART = Part("lines", (("id", "int"), ("at", "text")), "INSERT INTO line SELECT id, at FROM {rows}", None, same=("at",))


def test_what_all_rows_agree_in_is_sent_once() -> None:
    statement = Statement([PART])
    assert "(SELECT unnest($1::int[]) AS id, $2::text AS at) AS r" in statement.sql
    assert statement.arguments(Write("", {"lines": [(1, "now"), (2, "now")]})) == [(1, 2), "now"]


def test_rows_that_disagree_there_are_not_written() -> None:
    with pytest.raises(AssertionError, match="disagree"):
        Statement([PART]).arguments(Write("", {"lines": [(1, "now"), (2, "later")]}))
