"""What a fingerprint keeps of a request: which one it is, and in which members another one differs. Never a value."""

from __future__ import annotations

import json

from hypothesis import given
from hypothesis import strategies as st

from services.kernel.fingerprint import HASH_CHARS, described, differing, fingerprint, same_request
from services.kernel.strict_json import canonical

VALUES = st.one_of(
    st.integers(0, 10**12),
    st.text(st.characters(exclude_characters="\x00", exclude_categories=["Cs"]), max_size=20),
    st.booleans(),
    st.none(),
    st.lists(st.integers(0, 9)),
)
BODIES = st.dictionaries(st.from_regex(r"[a-z][a-z0-9_]{0,10}", fullmatch=True), VALUES, max_size=6)


def made(body: object, method: str = "POST", path: str = "/v1/transfers", key: str = "k") -> str:
    return fingerprint(method, path, key, canonical(json.dumps(body).encode()))


def test_it_names_the_members_that_differ() -> None:
    first = made({"send_minor": 100, "corridor": "GB-ET", "send_currency": "GBP"})
    assert differing(first, made({"send_minor": 101, "corridor": "GB-ET", "send_currency": "GBP"})) == ("send_minor",)
    assert differing(first, made({"send_minor": 100, "corridor": "GB-ET"})) == ("send_currency",)


def test_it_names_method_and_route() -> None:
    assert differing(made({}), made({}, path="/v1/quotes", method="PUT")) == ("method", "route")


@given(first=BODIES, second=BODIES)
def test_what_is_named_differs_and_what_is_equal_is_not_named(
    first: dict[str, object], second: dict[str, object]
) -> None:
    one, other = made(first), made(second)
    assert same_request(one, other) is (text(first) == text(second))
    assert all(text(first.get(name, "absent")) != text(second.get(name, "none")) for name in differing(one, other))


def text(value: object) -> str:
    return json.dumps(value, sort_keys=True)


@given(body=BODIES)
def test_no_value_can_be_read_from_it(body: dict[str, object]) -> None:
    fields = described(made(body)).fields
    assert fields.keys() == body.keys()
    assert all(len(digest) == 4 for digest in fields.values())


def test_the_same_value_under_another_key_has_another_digest() -> None:
    account = {"account": "GB29NWBK60161331926819"}
    assert described(made(account, key="a")).fields != described(made(account, key="b")).fields


def test_a_fingerprint_of_before_is_compared_by_its_hash() -> None:
    now = made({"a": 1})
    assert same_request(now[:HASH_CHARS], now)
    assert not same_request(now[:HASH_CHARS], made({"a": 2}))
    assert differing(now[:HASH_CHARS], now) == ()
    assert described(now[:HASH_CHARS]) == (None, None, {})


def test_what_a_caller_chooses_stays_one_word() -> None:
    text = made({"A b=c": 1}, path="/v1/x y\n=")
    assert described(text) == ("POST", "/v1/x?y?=", {"~": described(text).fields["~"]})
    assert described(made([1, 2])).fields == {}
    assert described(fingerprint("POST", "/v1/x", "k", b"")).route == "/v1/x"
