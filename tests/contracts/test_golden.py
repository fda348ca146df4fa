"""Every golden example: valid, read, written again to the same bytes, and folded by its service."""

import json
from collections.abc import Sequence
from datetime import datetime
from typing import Any

import pytest
from jsonschema import Draft202012Validator, FormatChecker

import contracts.customer.v1 as customer
import contracts.deposit.v1 as deposit
import contracts.ledger.v1 as ledger
import contracts.payout.v1 as payout
import contracts.quote.v1 as quote
import contracts.recon.v1 as recon
import contracts.transfer.v1 as transfer
import services.core_api.handlers as core_handlers
import services.deposit_watcher.handlers as deposit_handlers
import services.ledger.handlers as ledger_handlers
import services.payout_orchestrator.handlers as payout_handlers
import services.quote.handlers as quote_handlers
import services.reconciliation.handlers as recon_handlers
import services.transfer.handlers as transfer_handlers
from contracts.upcasts import UPCASTS
from scripts.contracts import golden
from scripts.contracts.files import CODEC, EVENTS, PARTNER_EXAMPLE, ROOT, SCHEMAS, example_path, older_examples
from services.deposit_watcher.api.reports import Reports, Source
from services.deposit_watcher.domain.states import Deadlines as RouteDeadlines
from services.kernel.codec import EventCodec, Upcasts, encode_event
from services.kernel.settings import Secret, SharedKey
from services.kernel.webhook import Verifier, header_of
from services.ledger.domain.entries import check
from services.payout_orchestrator.domain.policy import DEFAULT_RULES
from services.payout_orchestrator.domain.policy import Deadlines as PayoutDeadlines
from services.transfer.domain.states import Deadlines as TransferDeadlines
from tests.support.fakes import Sealing

FORMATS = FormatChecker(["uuid", "date"])


@FORMATS.checks("date-time", ValueError)
def is_rfc3339_utc(text: object) -> bool:
    """What our own events write: an instant in UTC."""
    return isinstance(text, str) and text.endswith("Z") and datetime.fromisoformat(text).tzinfo is not None


def committed(event: type) -> bytes:
    """The example's file, which ends in a newline that is not part of the event."""
    data = (ROOT / example_path(event.type)).read_bytes()  # type: ignore[attr-defined]
    assert data.endswith(b"}\n")
    return data[:-1]


def validator(name: str) -> Draft202012Validator:
    return Draft202012Validator(json.loads((ROOT / SCHEMAS / f"{name}.json").read_bytes()), format_checker=FORMATS)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_an_example_is_valid(event: Any) -> None:
    validator(event.type).validate(json.loads(committed(event)))


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_an_example_is_read_and_written_again_to_the_same_bytes(event: Any) -> None:
    assert encode_event(CODEC.decode(event.type, committed(event))) == committed(event)


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_an_example_lacks_no_member_that_is_required(event: Any) -> None:
    for name in json.loads((ROOT / SCHEMAS / f"{event.type}.json").read_bytes())["required"]:
        content = json.loads(committed(event))
        del content[name]
        assert not validator(event.type).is_valid(content), name


QUOTE = quote_handlers.decider()
TRANSFER = transfer_handlers.decider(TransferDeadlines())
ROUTE = deposit_handlers.decider(RouteDeadlines())
PAYOUT = payout_handlers.decider(DEFAULT_RULES, PayoutDeadlines())
SENT = (payout.PayoutRequested, payout.PayoutApproved, payout.PayoutSubmitting)
STREAMS: tuple[tuple[Any, Sequence[type], str], ...] = (  # decider, the stream, the stage that it folds to
    (core_handlers.USER, (customer.UserRegistered,), "Registered"),
    (core_handlers.PROFILE, (customer.ProfileCreated, customer.KycDecided), "KycApproved"),
    (core_handlers.SESSION, (customer.SessionOpened, customer.SessionRefreshed), "Open"),
    (core_handlers.SESSION, (customer.SessionOpened, customer.SessionRefreshed, customer.SessionEnded), "Ended"),
    (core_handlers.MAINTENANCE, (customer.MaintenanceStarted,), "On"),
    (core_handlers.MAINTENANCE, (customer.MaintenanceStarted, customer.MaintenanceEnded), "Off"),
    (QUOTE, (quote.QuoteCreated, quote.QuoteAccepted), "Accepted"),
    (QUOTE, (quote.QuoteCreated, quote.QuoteExpired), "Expired"),
    (
        TRANSFER,
        (
            transfer.TransferOpened, transfer.FundingConfirmed, transfer.TransferOverdue, transfer.PayoutInitiated,
            transfer.PayoutReviewRequired, transfer.PayoutCompleted,
        ),
        "Completed",
    ),
    (TRANSFER, (transfer.TransferOpened, transfer.TransferCancelled, transfer.LateFundingRecorded), "Cancelled"),
    (TRANSFER, (transfer.TransferOpened, transfer.TransferExpired), "Expired"),
    (
        ROUTE,
        (deposit.DepositExpected, deposit.DepositObserved, deposit.DepositConfirmed, deposit.DepositRouteClosed),
        "Closed",
    ),
    (ROUTE, (deposit.DepositExpected, deposit.DepositObserved, deposit.DepositMismatched), "Mismatched"),
    (ROUTE, (deposit.DepositExpected, deposit.DepositReferenceMismatched), "Expected"),
    (
        PAYOUT,
        (
            payout.PayoutRequested, payout.PayoutOverdue, payout.PayoutApproved, payout.PayoutSubmitting,
            payout.PayoutDeferred, payout.PayoutSubmitting, payout.PayoutUnknown, payout.PayoutNotKnownToPartner,
            payout.PayoutSubmitting, payout.PayoutSent, payout.PayoutConfirmed, payout.PayoutContradicted,
        ),
        "Confirmed",
    ),
    (PAYOUT, (*SENT, payout.PayoutRefused), "ManualReview"),
    (PAYOUT, (*SENT, payout.PayoutUnknown, payout.PayoutReviewRequired), "ManualReview"),
    (ledger_handlers.decider(), (ledger.EntryPosted,), "Posted"),
    (ledger_handlers.hold_decider(), (ledger.HoldPlaced, ledger.HoldOverdue, ledger.HoldPosted), "Used"),
    (ledger_handlers.hold_decider(), (ledger.HoldPlaced, ledger.HoldVoided), "Voided"),
    (ledger_handlers.hold_decider(), (ledger.HoldRefused,), "Refused"),
    (ledger_handlers.adjustment_decider(), (ledger.AdjustmentProposed, ledger.Adjusted), "Approved"),
    (ledger_handlers.adjustment_decider(), (ledger.AdjustmentProposed, ledger.AdjustmentRejected), "Closed"),
    (ledger_handlers.adjustment_decider(), (ledger.AdjustmentProposed, ledger.AdjustmentExpired), "Closed"),
    (ledger_handlers.block_decider(), (ledger.BlockClosed,), "Closed"),
    (ledger_handlers.halt_decider(), (ledger.CurrencyHalted, ledger.LiftRequested, ledger.CurrencyResumed), "Resumed"),
    (recon_handlers.run_decider(), (recon.RunStarted, recon.RunCompleted), "Completed"),
    (recon_handlers.run_decider(), (recon.RunStarted, recon.RunFailed), "Failed"),
    (recon_handlers.run_decider(), (recon.RunRefused,), "Refused"),
    (recon_handlers.issue_decider(), (recon.IssueOpened, recon.IssueCleared, recon.IssueOpened), "Open"),
    (recon_handlers.statement_decider(), (recon.StatementReceived, recon.StatementCompleted), "Complete"),
    (recon_handlers.line_decider(), (recon.StatementLineRecorded,), "Recorded"),
    (recon_handlers.line_decider(), (recon.StatementLineParked,), "Parked"),
)  # fmt: skip


@pytest.mark.parametrize(("decider", "stream", "stage"), STREAMS)
def test_a_golden_stream_folds_to_its_stage(decider: Any, stream: Sequence[Any], stage: str) -> None:
    state = decider.initial
    for event in stream:
        state = decider.evolve(state, CODEC.decode(event.type, committed(event)))
    assert type(state).__name__ == stage


def test_every_event_is_in_a_golden_stream() -> None:
    assert {event for _, stream, _ in STREAMS for event in stream} == set(EVENTS)


def test_the_example_is_priced_as_it_says() -> None:
    assert golden.SEND - golden.FEE - golden.SPREAD == golden.CONVERTED
    assert golden.RATE.convert(golden.CONVERTED) == golden.RECEIVE
    assert str(golden.RECEIVE) == "19999.53 ETB"


def test_the_example_of_an_entry_balances() -> None:
    for event in ledger.BOOKED:
        check(golden.BY_CLASS[event].lines)


def test_what_a_partner_sends_is_judged_as_the_example_says() -> None:
    body = (ROOT / PARTNER_EXAMPLE).read_bytes()[:-1]
    validator("partner.deposits.v1").validate(json.loads(body))
    key = SharedKey(golden.PARTNER, "k1", Secret("0123456789abcdef0123456789abcdef"))
    reports = Reports(Verifier([key]), golden.TENANT, lambda: 1_772_443_800, Sealing(golden.PARTNER).keys.seal)
    judged = reports.single(Source("kafka", header_of(key, body, 1_772_443_800), body, golden.ARRIVAL))
    (unit,) = judged.units
    assert judged.refused is None
    assert unit.asks[0].stream_id == golden.ROUTE_ID
    assert unit.asks[0].command.amount == golden.SEND


def test_older_forms_are_still_read() -> None:
    for event_type, path in older_examples():
        CODEC.decode(event_type, path.read_bytes().rstrip(b"\n"))


def test_an_older_version_has_its_schema_its_example_and_a_way_to_the_newest() -> None:
    for event_type in UPCASTS:
        assert (ROOT / SCHEMAS / f"{event_type}.json").exists()
        assert type(CODEC.decode(event_type, (ROOT / example_path(event_type)).read_bytes()[:-1])) in EVENTS


def test_an_upcast_of_a_golden_example_is_the_newest_event() -> None:
    def named(content: dict[str, Any]) -> dict[str, Any]:
        return {("accepted_at" if name == "taken_at" else name): value for name, value in content.items()}

    steps: Upcasts = {"corridor.quote.taken.v1": (quote.QuoteAccepted.type, named)}
    before = committed(quote.QuoteAccepted).replace(b"accepted_at", b"taken_at")
    read = EventCodec(EVENTS, steps).decode("corridor.quote.taken.v1", before)
    assert read == golden.BY_CLASS[quote.QuoteAccepted]
