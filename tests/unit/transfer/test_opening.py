"""Who may open a transfer, with which quote: each rung, and the order of the rungs."""

from __future__ import annotations

from dataclasses import replace
from datetime import timedelta
from typing import Any

import pytest

from services.kernel.decider import Owner, Seen
from services.kernel.rejected import Rejected
from services.kernel.sealed import Sealed
from services.transfer.domain.commands import (
    OpenTransfer,
    QuoteAlreadyUsed,
    QuoteExpired,
    QuoteNotFound,
    ReceiverKycRequired,
    ReceiverNotFound,
    RouteTaken,
    SenderKycRequired,
    SenderNotFound,
    TransferIdReused,
)
from services.transfer.domain.states import AwaitingFunding, Deadlines
from services.transfer.handlers import decider
from tests.support.spec import Spec
from tests.unit.transfer.samples import (
    AT,
    OPEN,
    OPENED,
    OTHER_ID,
    RECEIVER,
    SENDER,
    STREAMS,
    TERMS,
    TRANSFER_ID,
)

transfer = Spec(decider(Deadlines()), AT)


def owned(**owners: Any) -> Seen:
    return Seen(owners={namespace: Owner(stream_id, "") for namespace, stream_id in owners.items()})


def test_a_transfer_is_opened_with_the_terms_of_its_quote() -> None:
    transfer.given().when(OPEN).then(OPENED)
    transfer.given().when(OPEN).then_state(AwaitingFunding)


@pytest.mark.parametrize("stream", STREAMS[1:])
def test_the_same_request_again_changes_nothing_in_any_later_state(stream: tuple[Any, ...]) -> None:
    transfer.given(*stream).when(OPEN).then_nothing()


def test_the_same_request_again_is_answered_before_claims_time_and_kyc_are_looked_at() -> None:
    again = replace(
        OPEN,
        seen=owned(quote=OTHER_ID, route=OTHER_ID),
        sender=replace(SENDER, kyc="rejected"),
        creditor_name=Sealed(OTHER_ID, 2, "b3RoZXI="),
    )
    transfer.given(OPENED).when(again, TERMS.expires_at + timedelta(days=1)).then_nothing()


@pytest.mark.parametrize(
    "other",
    [
        replace(OPEN, customer_id=OTHER_ID),
        replace(OPEN, terms=replace(TERMS, quote_id=OTHER_ID)),
        replace(OPEN, sender=replace(SENDER, profile_id=OTHER_ID)),
        replace(OPEN, receiver=replace(RECEIVER, profile_id=OTHER_ID)),
    ],
)
def test_a_transfer_id_cannot_be_used_for_something_else(other: OpenTransfer) -> None:
    transfer.given(OPENED).when(other).then_rejected(TransferIdReused)


def test_the_quote_of_another_customer_does_not_exist_for_us() -> None:
    refusal = (
        transfer.given().when(replace(OPEN, terms=replace(TERMS, customer_id=OTHER_ID))).then_rejected(QuoteNotFound)
    )
    assert (refusal.code, refusal.status) == ("QUOTE_NOT_FOUND", 404)


def test_the_sender_of_another_customer_does_not_exist_for_us() -> None:
    stranger = replace(SENDER, customer_id=OTHER_ID)
    transfer.given().when(replace(OPEN, sender=stranger)).then_rejected(SenderNotFound)


def test_the_receiver_of_another_customer_does_not_exist_for_us() -> None:
    stranger = replace(RECEIVER, customer_id=OTHER_ID)
    transfer.given().when(replace(OPEN, receiver=stranger)).then_rejected(ReceiverNotFound)


def test_a_quote_is_used_by_one_transfer() -> None:
    refusal = transfer.given().when(replace(OPEN, seen=owned(quote=OTHER_ID))).then_rejected(QuoteAlreadyUsed)
    assert (refusal.code, refusal.status) == ("QUOTE_USED", 409)


def test_a_claim_of_our_own_does_not_stand_in_our_way() -> None:
    transfer.given().when(replace(OPEN, seen=owned(quote=TRANSFER_ID, route=TRANSFER_ID))).then_state(AwaitingFunding)


def test_a_quote_is_dead_at_its_end() -> None:
    refusal = transfer.given().when(OPEN, TERMS.expires_at).then_rejected(QuoteExpired)
    assert (refusal.code, refusal.status) == ("QUOTE_EXPIRED", 409)


def test_a_quote_lives_until_its_end() -> None:
    transfer.given().when(OPEN, TERMS.expires_at - timedelta(microseconds=1)).then_state(AwaitingFunding)


@pytest.mark.parametrize("kyc", ["pending", "rejected"])
def test_the_sender_has_passed_kyc(kyc: Any) -> None:
    refusal = transfer.given().when(replace(OPEN, sender=replace(SENDER, kyc=kyc))).then_rejected(SenderKycRequired)
    assert refusal.code == "SENDER_KYC_REQUIRED"


@pytest.mark.parametrize("kyc", ["pending", "rejected"])
def test_the_receiver_has_passed_kyc(kyc: Any) -> None:
    refusal = (
        transfer.given().when(replace(OPEN, receiver=replace(RECEIVER, kyc=kyc))).then_rejected(ReceiverKycRequired)
    )
    assert refusal.code == "RECEIVER_KYC_REQUIRED"


def test_a_route_belongs_to_one_transfer() -> None:
    refusal = transfer.given().when(replace(OPEN, seen=owned(route=OTHER_ID))).then_rejected(RouteTaken)
    assert refusal.code == "ROUTE_TAKEN"


def test_the_rungs_stand_in_their_order() -> None:
    wish = replace(
        OPEN,
        terms=replace(TERMS, customer_id=OTHER_ID),
        sender=replace(SENDER, customer_id=OTHER_ID, kyc="pending"),
        receiver=replace(RECEIVER, customer_id=OTHER_ID, kyc="pending"),
        seen=owned(quote=OTHER_ID, route=OTHER_ID),
    )
    repairs: tuple[tuple[type[Rejected], dict[str, Any]], ...] = (
        (QuoteNotFound, {"terms": TERMS}),
        (SenderNotFound, {"sender": replace(SENDER, kyc="pending")}),
        (ReceiverNotFound, {"receiver": replace(RECEIVER, kyc="pending")}),
        (QuoteAlreadyUsed, {"seen": owned(route=OTHER_ID)}),
        (QuoteExpired, {"terms": replace(TERMS, expires_at=AT + timedelta(days=1))}),
        (SenderKycRequired, {"sender": SENDER}),
        (ReceiverKycRequired, {"receiver": RECEIVER}),
        (RouteTaken, {"seen": owned()}),
    )
    for refusal, repair in repairs:
        transfer.given().when(wish, TERMS.expires_at).then_rejected(refusal)
        wish = replace(wish, **repair)
    transfer.given().when(wish, TERMS.expires_at).then_state(AwaitingFunding)
