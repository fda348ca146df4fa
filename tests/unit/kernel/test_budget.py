"""What is refused is kept within a budget for each source and hour: neither headers, rows nor key ids get around it."""

from __future__ import annotations

import json

import pytest

from services.kernel.budget import (
    REFUSED_BYTES_PER_HOUR,
    ROW_BYTES,
    SIGNATURE_CHARS_MAX,
    Budget,
    headers_kept,
)
from services.kernel.settings import Secret, SharedKey
from services.kernel.webhook import HEADER, Signed, header_of

ACME, ZED = Signed("acme", "k1", valid=True), Signed("zed", "k2", valid=True)
CLAIMS_ACME = Signed("acme", "k1", valid=False, fault="wrong")
STRANGER = Signed("unknown", "", valid=False, fault="missing")
WHOLE = b" " * (REFUSED_BYTES_PER_HOUR - ROW_BYTES)


class Wall:
    """A wall clock that a test sets, in seconds."""

    def __init__(self) -> None:
        self.now = 3600.0 * 490_000

    def __call__(self) -> float:
        return self.now


@pytest.mark.parametrize(("more", "kept"), [(0, True), (1, False)])
def test_the_budget_is_used_to_its_last_byte(more: int, kept: bool) -> None:
    assert Budget(Wall()).affords(ACME, WHOLE + b" " * more, b"") is kept


@pytest.mark.parametrize(("more", "kept"), [(0, True), (1, False)])
def test_headers_cost_as_much_as_a_body(more: int, kept: bool) -> None:
    assert Budget(Wall()).affords(ACME, b"", WHOLE + b" " * more) is kept


def test_a_row_costs_although_it_is_empty() -> None:
    budget = Budget(Wall())
    kept = [budget.affords(STRANGER, b"", b"") for _ in range(REFUSED_BYTES_PER_HOUR // ROW_BYTES + 1)]
    assert (kept.count(True), kept[-1]) == (REFUSED_BYTES_PER_HOUR // ROW_BYTES, False)


def test_what_is_not_kept_is_not_charged() -> None:
    budget = Budget(Wall())
    assert not budget.affords(ACME, WHOLE + b" ", b"")
    assert budget.affords(ACME, WHOLE, b"")


def test_each_partner_has_a_budget_of_its_own() -> None:
    budget = Budget(Wall())
    assert [budget.affords(signed, WHOLE, b"") for signed in (ACME, ZED, STRANGER)] == [True] * 3
    assert [budget.affords(signed, b"", b"") for signed in (ACME, ZED, STRANGER)] == [False] * 3


def test_who_only_knows_a_partners_key_id_uses_up_the_strangers_hour_and_not_the_partners() -> None:
    budget = Budget(Wall())
    assert budget.affords(CLAIMS_ACME, WHOLE, b"")
    assert not budget.affords(STRANGER, b"", b"")
    assert budget.affords(ACME, WHOLE, b"")


@pytest.mark.parametrize(("seconds", "kept"), [(3599, False), (3600, True), (-1, True)])
def test_with_the_hour_the_budget_begins_anew(seconds: int, kept: bool) -> None:
    wall = Wall()
    budget = Budget(wall)
    budget.affords(ACME, WHOLE, b"")
    wall.now += seconds
    assert budget.affords(ACME, b"", b"") is kept


@pytest.mark.parametrize(("sent", "kept"), [(SIGNATURE_CHARS_MAX, SIGNATURE_CHARS_MAX), (15_000, SIGNATURE_CHARS_MAX)])
def test_of_a_malformed_signature_at_most_256_characters_are_kept(sent: int, kept: int) -> None:
    assert json.loads(headers_kept("\xff" * sent)) == {HEADER: "\xff" * kept}


def test_the_longest_well_formed_signature_is_kept_whole() -> None:
    key = SharedKey("acme", "k" * 64, Secret("0123456789abcdef0123456789abcdef"))
    header = header_of(key, b"", 1_772_443_800)
    assert json.loads(headers_kept(header)) == {HEADER: header}
    assert json.loads(headers_kept(None)) == {HEADER: None}
