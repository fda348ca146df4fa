"""The reference on a deposit leads to one stream, however it is spelt, for ever."""

from __future__ import annotations

import string
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from contracts.deposit.routes import is_reference, normalised_route, remainder_97, route_id, route_reference

TRANSFER_ID = UUID("018f9c1e-0000-7000-8000-000000000001")


def test_the_published_example_of_iso_11649_is_valid() -> None:
    assert is_reference("RF18539007547034")


def test_the_reference_of_a_transfer_never_changes() -> None:
    assert route_reference(TRANSFER_ID) == "RF94DRG8XI4WYTH4GGHT4YE48"


def test_the_stream_of_a_route_never_changes() -> None:
    assert route_id("main", "RF18539007547034") == UUID("ff80d8a2-471d-5ce6-a3b4-39ded38068b0")


@given(st.uuids())
def test_every_reference_has_valid_check_digits_and_the_length_of_the_standard(transfer_id: UUID) -> None:
    reference = route_reference(transfer_id)

    assert len(reference) == 25
    assert remainder_97(reference[4:] + reference[:4]) == 1
    assert is_reference(reference)


@given(st.uuids(), st.integers(min_value=4, max_value=24), st.data())
def test_one_wrong_letter_or_digit_is_noticed(transfer_id: UUID, position: int, data: st.DataObject) -> None:
    reference = route_reference(transfer_id)
    kind = string.digits if reference[position].isdecimal() else string.ascii_uppercase
    wrong = reference[:position] + data.draw(st.sampled_from(kind)) + reference[position + 1 :]

    assert is_reference(wrong) == (wrong == reference)


def test_different_transfers_have_different_references() -> None:
    references = {route_reference(UUID(int=number)) for number in range(2_000)}

    assert len(references) == 2_000


@pytest.mark.parametrize("spelling", ["rf18 5390 0754 7034", " RF18539007547034\n", "Rf18\t5390\u00a007547034"])
def test_case_and_blanks_do_not_matter(spelling: str) -> None:
    assert normalised_route(spelling) == "RF18539007547034"
    assert route_id("main", spelling) == route_id("main", "RF18539007547034")


def test_two_tenants_share_no_route() -> None:
    assert route_id("main", "RF18539007547034") != route_id("other", "RF18539007547034")


@pytest.mark.parametrize(
    "text", ["", "RF", "RF18", "RF19539007547034", "XX18539007547034", "RF1é539007547034", "RF²8539"]
)
def test_what_is_no_reference_is_seen(text: str) -> None:
    assert not is_reference(text)
