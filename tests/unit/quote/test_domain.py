"""What a quote promises, rung by rung."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from contracts.quote.v1 import QuoteCreated, QuoteExpired
from services.kernel.money import Money
from services.quote.domain import TRANSITIONS, Accepted, Expired, Offered, QuoteIdReused, decide, evolve
from services.quote.handlers import decider
from tests.support.spec import Spec
from tests.unit.quote.samples import (
    ACCEPT,
    ACCEPTED,
    AT,
    COMMANDS,
    CREATE,
    CREATED,
    EXPIRE,
    EXPIRED,
    GBP,
    LAST_INSTANT,
    OFFER,
    OTHER_ID,
    RATE,
    STREAMS,
    aged,
)

quote = Spec(decider(), AT)


def test_a_quote_is_created_with_its_price_and_its_end() -> None:
    quote.given().when(CREATE).then(CREATED)


@pytest.mark.parametrize("stream", STREAMS[1:])
def test_the_same_request_again_changes_nothing_in_any_later_state(stream: tuple[Any, ...]) -> None:
    quote.given(*stream).when(CREATE).then_nothing()


def test_the_same_request_again_keeps_its_first_price_however_the_market_moved() -> None:
    quote.given(CREATED).when(replace(CREATE, offer=replace(OFFER, rate=aged(-60)))).then_nothing()


@pytest.mark.parametrize(
    "other",
    [
        replace(CREATE, customer_id=OTHER_ID),
        replace(CREATE, offer=replace(OFFER, corridor="US-KE")),
        replace(CREATE, offer=replace(OFFER, send=Money(100_01, GBP))),
    ],
)
def test_a_quote_id_cannot_be_used_for_something_else(other: Any) -> None:
    quote.given(CREATED).when(other).then_rejected(QuoteIdReused)


def test_a_quote_is_taken() -> None:
    quote.given(CREATED).when(ACCEPT).then(ACCEPTED)
    quote.given(CREATED).when(ACCEPT).then_state(Accepted)


def test_a_quote_that_was_taken_in_time_is_accepted_after_it_was_written_off() -> None:
    quote.given(CREATED, EXPIRED).when(ACCEPT).then(ACCEPTED)


def test_taking_it_twice_changes_nothing() -> None:
    quote.given(CREATED, ACCEPTED).when(ACCEPT).then_nothing()


@pytest.mark.parametrize(
    ("stream", "bug"),
    [
        ((CREATED, ACCEPTED), replace(ACCEPT, transfer_id=OTHER_ID)),
        ((CREATED,), replace(ACCEPT, opened_at=CREATED.expires_at)),
        ((), ACCEPT),
    ],
)
def test_what_the_claim_makes_impossible_is_our_own_bug(stream: tuple[Any, ...], bug: Any) -> None:
    with pytest.raises(AssertionError):
        quote.given(*stream).when(bug).decide()


def test_a_quote_that_nobody_took_expires_at_its_first_dead_instant() -> None:
    expired = QuoteExpired(quote_id=CREATED.quote_id, expired_at=CREATED.expires_at)
    quote.given(CREATED).when(EXPIRE, CREATED.expires_at).then(expired)
    quote.given(CREATED).when(EXPIRE, CREATED.expires_at).then_state(Expired)


def test_a_wake_before_the_end_does_nothing() -> None:
    quote.given(CREATED).when(EXPIRE, LAST_INSTANT).then_nothing()


@pytest.mark.parametrize("stream", [(), (CREATED, ACCEPTED), (CREATED, EXPIRED)])
def test_a_stale_wake_does_nothing(stream: tuple[Any, ...]) -> None:
    quote.given(*stream).when(EXPIRE, CREATED.expires_at + timedelta(days=1)).then_nothing()


def test_the_table_of_states_is_what_the_code_does() -> None:
    seen = set()
    for stream in STREAMS:
        for command in COMMANDS:
            state: Any = quote.given(*stream).state
            try:
                events = decide(state, command, CREATED.expires_at)
            except AssertionError:
                continue
            for event in events:
                after = evolve(state, event)
                seen.add((getattr(state, "state", "-"), type(event), getattr(after, "state", "-")))
                state = after

    assert seen == {row[:3] for row in TRANSITIONS}


def test_every_transition_is_listed_once() -> None:
    assert len(TRANSITIONS) == len({row[:3] for row in TRANSITIONS})


def test_a_quote_without_events_is_none_and_a_created_one_is_offered() -> None:
    assert quote.given().state is None
    assert quote.given(CREATED).state == Offered(CREATED)


def test_a_created_quote_says_what_the_offer_said() -> None:
    events = quote.given().when(CREATE).decide()
    assert isinstance(events[0], QuoteCreated)
    assert (events[0].rate, events[0].receive) == (RATE, OFFER.receive)
