"""Derived ids never change: the standard library's uuid5 is the witness."""

from uuid import UUID, uuid4, uuid5

import pytest

from services.kernel.ids import NAMESPACE, derive, new_id

PARTS: tuple[tuple[object, ...], ...] = (
    (),
    ("",),
    ("a", "bc"),
    ("ab", "c"),
    ("payout", UUID(int=7), 1),
    ("entry", new_id(), "deposit.observed"),
    ("entry", uuid4(), "deposit.observed"),
    ("corridor", "Zoë", "ключ", "报价", "🪙", "\x00\x1f"),
    ("x" * 10_000, -1, None),
)


@pytest.mark.parametrize("parts", PARTS)
def test_a_derived_id_is_the_uuid5_of_its_joined_parts(parts: tuple[object, ...]) -> None:
    expected = uuid5(NAMESPACE, "\x1f".join(map(str, parts)))
    assert derive(*parts) == expected
    assert derive(*parts).bytes == expected.bytes


def test_the_root_of_all_ids_stands_still() -> None:
    assert str(derive("payout", "00000000-0000-0000-0000-000000000007", 1)) == "c87c254a-7c63-5fe1-a816-8c1482d2c48e"
