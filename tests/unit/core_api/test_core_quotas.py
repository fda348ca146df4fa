"""Who is counted as one, and how much is remembered of them."""

from __future__ import annotations

from typing import Any

import pytest

from services.core_api.adapters import quotas
from services.core_api.adapters.quotas import Quota, address
from services.kernel.problem import Problem


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


def test_who_has_not_come_for_a_window_makes_room(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(quotas, "KEYS_MAX", 2)
    quota = Quota("login", 1)
    quota.take("a")
    quota.take("b")
    quota._storage.events[quota._item.key_for("a")].clear()  # as the library leaves it when the window is over
    quota.take("c")
    assert quota._item.key_for("c") in quota._storage.events
