"""A value: what a frozen dataclass is to its reader."""

from dataclasses import replace
from typing import Any

import msgspec
import pytest

from services.kernel.value import value


@value
class Point:
    """By place."""

    x: int
    y: int = 0


@value(kw_only=True)
class Named:
    """By name."""

    first: str
    at: Point = Point(1)


def test_values_are_equal_by_their_fields_and_fit_for_a_set() -> None:
    assert {Point(1, 2), Point(1, 2), Point(2, 1)} == {Point(1, 2), Point(2, 1)}
    assert Named(first="a") == Named(first="a", at=Point(1)) != Named(first="b")


def test_a_value_by_name_takes_nothing_by_place() -> None:
    by_place: Any = Named
    with pytest.raises(TypeError):
        by_place("a")


def test_another_is_made_with_one_field_changed() -> None:
    assert replace(Named(first="a"), at=Point(2)) == Named(first="a", at=Point(2))


def test_a_value_has_its_fields_and_no_others() -> None:
    anything: Any = Point(1)
    with pytest.raises(AttributeError):
        anything.z = 3


def test_a_case_names_its_fields() -> None:
    match Named(first="a", at=Point(3, 4)):
        case Named(first="a", at=Point(x, y)):
            assert (x, y) == (3, 4)
        case _:
            pytest.fail("not matched")


def test_bytes_and_back() -> None:
    one = Named(first="a", at=Point(3, 4))
    assert msgspec.json.encode(one) == b'{"first":"a","at":{"x":3,"y":4}}'
    assert msgspec.json.decode(msgspec.json.encode(one), type=Named) == one
