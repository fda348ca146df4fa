"""One story of a transfer from four owners: every lane, one order, and the name of whoever did not answer."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.codec import encode
from services.kernel.strict_json import parse
from services.review.adapters.stories import Stories
from services.review.api.replies import TimelineEntry
from services.review.domain.timeline import LANES, Entry, in_order
from services.review.ports import OwnerRefused, OwnerUnavailable
from tests.unit.review.samples import AT, SECOND

TRANSFER, PAYOUT, ROUTE, ENTRY = (UUID(int=number) for number in range(1, 5))
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"


def said(kind: str, stream_id: UUID, version: int, seconds: int, **more: Any) -> dict[str, Any]:
    """An event, as the timelines of services tell it."""
    return {
        "stream_id": str(stream_id), "version": version, "event_id": str(UUID(int=900 + version)), "type": kind,
        "from": None, "to": None, "at": (AT + seconds * SECOND).isoformat(), "actor": "service:x", "reason": None,
        "correlation_id": str(TRANSFER), "causation_id": None, "trace_id": TRACE, "data": {"n": version}, **more,
    }  # fmt: skip


ARRIVAL = {
    "arrival_id": str(UUID(int=7)), "source": "sandbox-bank", "transport": "webhook", "verdict": "accepted",
    "reference": "R1", "content": "ab", "received_at": (AT + 2 * SECOND).isoformat(), "size_bytes": 200,
    "body": "never shown",
}  # fmt: skip
ATTEMPT = {
    "attempt": 1, "request_reference": str(PAYOUT), "submitted_at": (AT + 4 * SECOND).isoformat(),
    "lease_until": (AT + 64 * SECOND).isoformat(),
    "answers": [{"answer": "unknown", "at": (AT + 5 * SECOND).isoformat(), "error_code": "no answer"}],
}  # fmt: skip
BOOKED = {
    "entry_id": str(ENTRY), "kind": "deposit.observed", "cause_id": str(UUID(int=8)), "transfer_id": str(TRANSFER),
    "caused_at": (AT + 2 * SECOND).isoformat(), "posted_at": (AT + 3 * SECOND).isoformat(),
    "lines": [
        {"account_id": "safeguarding:b:GBP", "side": "debit", "amount_minor": 10020, "currency": "GBP"},
        {"account_id": "suspense:deposits:GBP", "side": "credit", "amount_minor": 10020, "currency": "GBP"},
    ],
}  # fmt: skip
OWNED: dict[str, Any] = {
    "transfer": {
        "events": [said("corridor.transfer.opened.v1", TRANSFER, 1, 0, to="AWAITING_FUNDING")],
        "transfer_id": str(TRANSFER),
    },
    "deposit_watcher": {"events": [said("corridor.deposit.observed.v1", ROUTE, 2, 2)], "arrivals": [ARRIVAL]},
    "payout_orchestrator": {
        "payouts": [], "events": [said("corridor.payout.submitting.v1", PAYOUT, 3, 4)], "attempts": [ATTEMPT],
    },
    "ledger": {"transfer_id": str(TRANSFER), "entries": [BOOKED]},
}  # fmt: skip


class Owned:
    """Owners with planned answers: a value, an exception, or None for a 404."""

    def __init__(self, **answers: Any) -> None:
        self.answers = OWNED | answers
        self.paths: list[str] = []

    async def get(self, service: str, path: str, bearer: str) -> Any:
        self.paths.append(path)
        answer = self.answers[service]
        if isinstance(answer, Exception):
            raise answer
        return answer


async def test_all_lanes_are_one_list_in_the_order_of_time() -> None:
    owners = Owned()
    story = await Stories(owners).of(TRANSFER, "a bearer")
    told = [(entry.lane, entry.summary) for entry in story.entries]
    assert told == [
        ("transfer", "Transfer opened: - → AWAITING_FUNDING"),
        ("arrival", "webhook of sandbox-bank R1: accepted"),
        ("deposit", "Deposit observed"),
        ("ledger", "Dr safeguarding:b:GBP 10020; Cr suspense:deposits:GBP 10020"),
        ("payout", "Payout submitting"),
        ("attempt", "Attempt 1 submitted"),
        ("attempt", "Attempt 1: unknown (no answer)"),
    ]
    assert (story.known, story.incomplete) == (True, ())
    assert {entry.lane for entry in story.entries} == set(LANES)
    assert all(str(TRANSFER) in path for path in owners.paths)


async def test_an_entry_says_who_did_it_and_in_which_trace() -> None:
    first = (await Stories(Owned()).of(TRANSFER, "a bearer")).entries[0]
    assert (first.actor, first.trace_id, first.stream_id, first.version) == ("service:x", TRACE, TRANSFER, 1)
    assert first.data["n"] == 1


async def test_the_bytes_of_an_arrival_are_never_shown() -> None:
    story = await Stories(Owned()).of(TRANSFER, "a bearer")
    assert b"never shown" not in encode(story.entries)


async def test_the_reply_is_of_the_documented_form() -> None:
    for entry in (await Stories(Owned()).of(TRANSFER, "a bearer")).entries:
        parse(encode(entry), TimelineEntry)


@pytest.mark.parametrize(
    ("service", "lane"),
    [("deposit_watcher", "deposit"), ("payout_orchestrator", "payout"), ("ledger", "ledger"), ("transfer", "transfer")],
)
@pytest.mark.parametrize("trouble", [OwnerUnavailable("planted"), {"another": "form"}])
async def test_a_lane_that_does_not_come_is_named_and_hides_no_other(service: str, lane: str, trouble: Any) -> None:
    story = await Stories(Owned(**{service: trouble})).of(TRANSFER, "a bearer")
    assert story.incomplete == (lane,)
    assert len({entry.service for entry in story.entries}) == 3


async def test_a_transfer_that_nobody_knows_is_unknown() -> None:
    nothing: dict[str, Any] = {
        "deposit_watcher": {"events": [], "arrivals": []}, "payout_orchestrator": {"events": [], "attempts": []},
        "ledger": {"entries": []}, "transfer": None,
    }  # fmt: skip
    assert not (await Stories(Owned(**nothing)).of(TRANSFER, "a bearer")).known
    away: dict[str, Any] = nothing | {"transfer": OwnerUnavailable("planted")}
    assert (await Stories(Owned(**away)).of(TRANSFER, "a bearer")).known


async def test_who_may_not_see_a_lane_does_not_see_the_story() -> None:
    with pytest.raises(OwnerRefused):
        await Stories(Owned(ledger=OwnerRefused(403))).of(TRANSFER, "a bearer")


ENTRIES = st.lists(
    st.builds(
        Entry,
        at=st.integers(0, 2).map(lambda seconds: AT + seconds * SECOND),
        lane=st.sampled_from(LANES),
        type=st.sampled_from(["a", "b"]),
        summary=st.sampled_from(["a", "b"]),
        service=st.just("x"),
        stream_id=st.sampled_from([PAYOUT, ROUTE]),
        version=st.integers(1, 4),
    ),
    max_size=20,
)


@given(ENTRIES, st.randoms())
def test_the_order_does_not_hang_on_who_answered_first(entries: list[Entry], shuffle: Any) -> None:
    shuffled = entries[:]
    shuffle.shuffle(shuffled)
    ordered = in_order(shuffled)
    assert ordered == in_order(entries)
    for lane in LANES:
        for at in {entry.at for entry in entries}:
            for stream_id in (PAYOUT, ROUTE):
                same = [e.version for e in ordered if (e.lane, e.at, e.stream_id) == (lane, at, stream_id)]
                assert same == sorted(same, key=lambda version: version or 0)
