"""What an operator sees of a person, and which logins are one."""

from __future__ import annotations

import pytest

from services.core_api.api.profiles import mask, mask_name
from services.core_api.api.users import normal


@pytest.mark.parametrize(
    ("text", "shown"),
    [("GB33BUKB20201555555555", "******************5555"), ("12345678", "****5678"), ("1234", "**34"), ("", "")],
)
def test_an_account_shows_its_last_four_at_most_half_of_it(text: str, shown: str) -> None:
    assert mask(text, 4) == shown


def test_a_name_shows_its_initials() -> None:
    assert mask_name("Abebe Bikila") == "A*** B***"


@pytest.mark.parametrize("login", ["ALICE@example.com", " alice@example.com ", "ａlice@example.com"])
def test_logins_that_look_alike_are_one(login: str) -> None:
    assert normal(login) == "alice@example.com"
