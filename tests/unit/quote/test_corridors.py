"""A configuration of corridors is wholly right, or the service does not start."""

from __future__ import annotations

import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pytest

from services.kernel.money import Money, Rate, RateText, iso4217
from services.quote.adapters.corridors import CorridorsInvalid, load, parse
from services.quote.domain import price

FILE = Path(__file__).parents[3] / "deploy" / "corridors.json"


def changed(field: str, value: Any) -> bytes:
    document = json.loads(FILE.read_bytes())
    document["corridors"]["GB-ET"][field] = value
    return json.dumps(document).encode()


def test_our_own_file_has_three_corridors_and_a_version() -> None:
    corridors = load(FILE)

    pairs = {name: (each.source, each.target) for name, each in corridors.by_name.items()}
    assert pairs == {"GB-ET": ("GBP", "ETB"), "US-KE": ("USD", "KES"), "AE-NP": ("AED", "NPR")}
    assert {each.version for each in corridors.by_name.values()} == {corridors.version}


@pytest.mark.parametrize("name", ["GB-ET", "US-KE", "AE-NP"])
def test_the_smallest_amount_of_each_corridor_can_be_priced(name: str) -> None:
    corridor, at = load(FILE).named(name), datetime(2026, 11, 23, tzinfo=UTC)

    offer = price(corridor, corridor.send_min, Rate(corridor.source, corridor.target, RateText("36"), "t", at), at)

    assert offer.receive


def test_amounts_are_in_minor_units_of_the_source() -> None:
    assert load(FILE).named("GB-ET").send_min == Money(500, iso4217("GBP"))


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("source", 1),
        ("source", "gbp"),
        ("send_minor_min", 0),
        ("send_minor_min", 5.0),
        ("send_minor_min", True),
        ("send_minor_max", 499),
        ("fee_flat_minor", -1),
        ("fee_basis_points", 2_001),
        ("spread_basis_points", -1),
        ("tolerance_minor", 500),
        ("quote_seconds", 0),
        ("funding_seconds", 0),
        ("rate_max_age_seconds", 0),
        ("partner", ""),
        ("partner", "a:b"),
        ("rail", 7),
        ("surprise", 1),
    ],
)
def test_a_field_that_is_wrong_is_refused(field: str, value: Any) -> None:
    with pytest.raises(CorridorsInvalid):
        parse(changed(field, value))


@pytest.mark.parametrize("field", ["tolerance_minor", "rail", "quote_seconds"])
def test_a_field_that_is_missing_is_refused(field: str) -> None:
    document = json.loads(FILE.read_bytes())
    del document["corridors"]["GB-ET"][field]

    with pytest.raises(CorridorsInvalid):
        parse(json.dumps(document).encode())


@pytest.mark.parametrize(
    "body", [b"", b"[]", b"{}", b'{"version": 1, "corridors": {}}', b'{"version": 0, "corridors": {}}']
)
def test_what_is_no_configuration_is_refused(body: bytes) -> None:
    with pytest.raises(CorridorsInvalid):
        parse(body)
