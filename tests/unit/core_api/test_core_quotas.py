"""Who is counted as one, and how much is remembered of them."""

from __future__ import annotations

from typing import Any
from uuid import uuid4

import pytest

from services.core_api.adapters import quotas
from services.core_api.adapters.quotas import Quota, address, by_user
from services.kernel.problem import Headers, Problem
from services.kernel.settings import Secret
from services.kernel.tokens import Principal, SigningKey, Tokens


def scope(peer: str, *forwarded: str) -> dict[str, Any]:
    return {"client": (peer, 1), "headers": [(b"x-forwarded-for", value.encode()) for value in forwarded]}


@pytest.mark.parametrize(
    ("peer", "forwarded", "proxies", "found"),
    [
        ("10.0.0.1", (), 0, "10.0.0.1"),
        ("10.0.0.1", ("1.2.3.4",), 0, "10.0.0.1"),
        ("10.0.0.1", ("9.9.9.9, 1.2.3.4",), 1, "1.2.3.4"),
        ("10.0.0.1", ("9.9.9.9", "1.2.3.4, 10.0.0.2"), 2, "1.2.3.4"),
        ("10.0.0.1", (), 1, "10.0.0.1"),
        ("10.0.0.1", ("nonsense",), 1, "unknown"),
        ("2001:db8:1:2:3:4:5:6", (), 0, "2001:db8:1:2::/64"),
        ("::ffff:1.2.3.4", (), 0, "1.2.3.4"),
        ("", (), 0, "unknown"),
    ],
)
def test_an_address_is_that_of_the_last_hop_that_we_trust(
    peer: str, forwarded: tuple[str, ...], proxies: int, found: str
) -> None:
    assert address(scope(peer, *forwarded), proxies) == found


def test_who_names_two_tokens_is_counted_as_whom_the_routes_take_them_for() -> None:
    tokens = Tokens(SigningKey.of(Secret("0f9d1c3b5a7e88420f9d1c3b5a7e8842")))
    taken: list[str] = []

    class Told(Quota):
        def take(self, who: str) -> Headers:
            taken.append(who)
            return ()

    one, other = (Principal(uuid4(), "corridor", frozenset({"customer"})) for _ in range(2))
    named = [(b"authorization", f"Bearer {tokens.issue(each, 60)}".encode()) for each in (one, other)]
    take = by_user(Told("user", 1), tokens, 0)
    take({"client": ("10.0.0.1", 1), "headers": named})
    take({"client": ("10.0.0.1", 1), "headers": [*named[:1], (b"authorization", b"Bearer nonsense")]})
    assert taken == [str(one.subject)] * 2


def test_a_server_without_an_address_of_its_callers_counts_them_as_one() -> None:
    assert address({"client": None, "headers": []}, 0) == "unknown"


def test_the_limit_itself_is_admitted_and_one_more_is_not() -> None:
    quota = Quota("login", 2)
    assert [quota.take("a")[1][1].split(b";")[1] for _ in range(2)] == [b"r=1", b"r=0"]
    with pytest.raises(Problem) as refused:
        quota.take("a")
    assert refused.value.status == 429
    assert dict(refused.value.headers)[b"ratelimit-policy"] == b'"login";q=2;w=60'
    quota.take("b")


def test_no_more_callers_are_remembered_than_the_bound_and_those_who_are_keep_their_count(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr(quotas, "KEYS_MAX", 3)
    quota = Quota("login", 2)
    for who in ("a", "b", "c"):
        quota.take(who)
    for who in ("d", "e"):
        quota.take(who)
    with pytest.raises(Problem):
        quota.take("f")  # those beyond the bound share one count
    quota.take("a")
    assert len(quota._storage.events) == 4


class Clock:
    """Stands in for the module `time` in the library and here."""

    def __init__(self) -> None:
        self.now = 1_000_000.0

    def time(self) -> float:
        return self.now

    monotonic = time


@pytest.fixture
def clock(monkeypatch: pytest.MonkeyPatch) -> Clock:
    made = Clock()
    monkeypatch.setattr(quotas, "time", made)
    monkeypatch.setattr("limits.storage.memory.time", made)
    return made


def admitted(quota: Quota, who: str) -> bool:
    try:
        quota.take(who)
    except Problem:
        return False
    return True


def test_the_window_moves_with_each_request(clock: Clock) -> None:
    quota = Quota("login", 2)
    found = []
    for seconds in (0, 30, 20, 11, 5, 30):  # at 0, 30, 50, 61, 66, 96
        clock.now += seconds
        found.append(admitted(quota, "a"))
    assert found == [True, True, False, True, False, True]


def test_who_is_refused_may_come_again_when_it_is_said(clock: Clock) -> None:
    quota = Quota("login", 1)
    quota.take("a")
    clock.now += 20
    with pytest.raises(Problem) as refused:
        quota.take("a")
    seconds = int(dict(refused.value.headers)[b"retry-after"])
    assert seconds == 40
    clock.now += seconds + 0.001
    assert admitted(quota, "a")


def test_of_one_caller_no_more_is_remembered_than_the_limit(clock: Clock) -> None:
    quota = Quota("login", 3)
    for _ in range(300):
        clock.now += 10
        admitted(quota, "a")
    assert len(quota._storage.events[quota._item.key_for("a")]) <= 3


def test_no_thread_walks_the_counts(clock: Clock) -> None:
    quota = Quota("login", 3)
    quota._storage.timer.join()
    quota.take("a")
    assert not quota._storage.timer.is_alive()


def test_who_has_not_come_for_a_window_makes_room(clock: Clock, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "KEYS_MAX", 2)
    quota = Quota("login", 1)
    quota.take("a")
    clock.now += 40
    quota.take("b")
    clock.now += 21
    quota.take("c")
    assert {key.split("/")[1] for key in quota._storage.events} == {"b", "c"}
