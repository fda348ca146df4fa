"""What payouts do on hearing and being heard: asks, plans, and the two calls to the partner."""

from collections.abc import Sequence
from dataclasses import replace
from datetime import datetime, timedelta
from typing import Any
from uuid import UUID

import pytest

import services.payout_orchestrator.domain.commands as c
from contracts.transfer.v1 import FundingConfirmed
from services.kernel.decider import Again, Ask, Cause, Due, Head, Outcome, Recorded, SideEffect
from services.kernel.ids import derive
from services.kernel.sealed import Sealed
from services.payout_orchestrator import handlers as h
from services.payout_orchestrator import ports as p
from services.payout_orchestrator.domain import states as s
from tests.unit.payout_orchestrator.samples import (
    ACCEPTED,
    AMOUNT,
    APPROVED,
    AT,
    BY_HAND,
    CONFIRMED,
    CUSTOMER,
    DEFERRED,
    LIMITS,
    LOST,
    NOT_KNOWN,
    OUT,
    PAYOUT,
    READY,
    REFUSED,
    REQUESTED,
    SENT,
    SPEC,
    SUBMITTING,
    TRANSFER,
    UNKNOWN,
    given,
)

DECIDER = SPEC.decider
NAME, ACCOUNT = Sealed(CUSTOMER, 1, "name"), Sealed(CUSTOMER, 1, "account")
FUNDED = FundingConfirmed(
    transfer_id=TRANSFER, customer_id=CUSTOMER, route_id=UUID(int=9), received=AMOUNT, send=AMOUNT, receive=AMOUNT,
    rail="bank", partner="dashen", creditor_name=NAME, creditor_account=ACCOUNT, confirmed_at=AT,
)  # fmt: skip
CAUSE = Cause(UUID(int=7), FundingConfirmed.type, TRANSFER, 2, "tenant", TRANSFER, AT)


def due(number: int = 1, *, attempts: int = 1, later: timedelta = timedelta(0)) -> Due:
    payout = UUID(int=number)
    return Due(UUID(int=1000), "ask", payout, attempts, 1, "tenant", TRANSFER, None, AT + later, "payout")


def head(*events: Any) -> Head:
    return Head(given(*events).state, len(events))


# hearing


def test_a_funded_transfer_requests_its_first_payout_whose_id_follows_from_the_transfer() -> None:
    (ask,) = h.on_funding_confirmed(FUNDED, CAUSE)
    assert ask.stream_id == derive("payout", TRANSFER, 1)
    assert (ask.command.n, ask.command.amount, ask.command.partner) == (1, FUNDED.receive, "dashen")


def test_hearing_it_again_asks_the_same_payout() -> None:
    assert h.on_funding_confirmed(FUNDED, CAUSE) == h.on_funding_confirmed(FUNDED, replace(CAUSE, event_id=UUID(int=8)))


def test_a_payouts_records_are_keyed_by_its_transfer_and_belong_to_it() -> None:
    assert DECIDER.key_of is not None
    assert DECIDER.correlate is not None
    assert (DECIDER.key_of(REQUESTED), DECIDER.correlate(CONFIRMED)) == (TRANSFER, TRANSFER)


def test_a_wake_becomes_the_passing_of_its_deadline() -> None:
    assert DECIDER.wake is not None
    assert DECIDER.wake("lease", PAYOUT) == c.PassDeadline(payout_id=PAYOUT, name="lease")


# plans


def test_what_the_rule_approves_plans_no_approval_deadline() -> None:
    assert DECIDER.plan(REQUESTED) == ()


def test_what_waits_for_somebody_has_an_approval_deadline() -> None:
    assert DECIDER.plan(BY_HAND) == (SideEffect("approval", AT + LIMITS.approval),)


@pytest.mark.parametrize("event", [APPROVED, NOT_KNOWN])
def test_an_approved_payout_is_submitted_at_once_and_has_a_deadline(event: Any) -> None:
    assert DECIDER.plan(event) == (SideEffect("submit", None, "call"), SideEffect("submission", AT + LIMITS.submission))


def test_a_submission_has_a_lease() -> None:
    assert DECIDER.plan(SUBMITTING) == (SideEffect("lease", SUBMITTING.lease_until),)


def test_a_deferred_payout_is_submitted_at_its_next_retry() -> None:
    assert DECIDER.plan(DEFERRED) == (SideEffect("submit", DEFERRED.next_retry_at, "call"),)


@pytest.mark.parametrize("event", [BY_HAND, APPROVED, NOT_KNOWN, SENT, UNKNOWN])
def test_the_wake_is_set_for_the_deadline_that_the_event_says(event: Any) -> None:
    later = AT + timedelta(days=3)
    assert [each.due_at for each in DECIDER.plan(replace(event, deadline=later)) if each.kind == "wake"] == [later]


@pytest.mark.parametrize("event", [BY_HAND, APPROVED, NOT_KNOWN, SENT, UNKNOWN])
def test_an_event_of_an_older_release_that_says_no_deadline_sets_no_wake_for_now(event: Any) -> None:
    assert [each for each in DECIDER.plan(replace(event, deadline=None)) if each.kind == "wake"] == []


def test_a_sent_payout_is_polled_and_has_a_settlement_time() -> None:
    poll, settlement = DECIDER.plan(SENT)
    assert poll == SideEffect("ask", AT + LIMITS.first_poll, "call")
    assert settlement == SideEffect("settlement", AT + LIMITS.settlement)


def test_an_unknown_outcome_is_asked_for_and_has_a_deadline() -> None:
    ask, deadline = DECIDER.plan(UNKNOWN)
    assert ask == SideEffect("ask", AT + LIMITS.unknown_first_ask, "call")
    assert deadline == SideEffect("unknown_deadline", AT + LIMITS.unknown_deadline)


@pytest.mark.parametrize("event", [REFUSED, CONFIRMED])
def test_what_has_ended_plans_nothing(event: Any) -> None:
    assert DECIDER.plan(event) == ()


# submitting


class Partner:
    """A rail that answers as told and remembers what it was given."""

    def __init__(self, *answers: Any) -> None:
        self.answers = answers
        self.given: list[Any] = []

    async def submit(self, instructions: list[p.Instruction]) -> Sequence[Any]:
        self.given += instructions
        return self.answers

    async def status(self, payout_ids: list[UUID]) -> Sequence[Any]:
        self.given += payout_ids
        return self.answers


class Vault:
    """Opens by showing the box; None for the boxes of who was forgotten."""

    def __init__(self, *forgotten: str, away: bool = False) -> None:
        self.forgotten = forgotten
        self.away = away

    async def open_many(self, sealed: list[tuple[Sealed, str]]) -> Sequence[str | None]:
        if self.away:
            raise p.CannotOpen
        return [None if one.box in self.forgotten else f"open {one.box} as {field}" for one, field in sealed]


def outcome(*events: Any, state: Any = None) -> Outcome:
    return Outcome(tuple(Recorded(PAYOUT, 1, PAYOUT, event, b"") for event in events), (Head(state, 1),))


TIMEOUT = timedelta(seconds=20)


def submitter(partner: Partner, vault: Vault, at: datetime = AT) -> h.SubmitPayout:
    return h.SubmitPayout(partner, vault, lambda: at, TIMEOUT)


def test_a_submission_is_announced_before_the_call() -> None:
    assert submitter(Partner(), Vault()).intent(due()) == Ask(PAYOUT, c.BeginSubmit(payout_id=PAYOUT))


def test_only_the_attempt_that_wrote_submitting_may_call() -> None:
    call = submitter(Partner(), Vault())
    assert call.proceeds(outcome(SUBMITTING))
    assert not call.proceeds(outcome(state=given(*OUT).state))
    assert not call.proceeds(outcome(UNKNOWN))


async def test_names_are_opened_and_the_transfer_is_the_remittance_information() -> None:
    partner = Partner(p.Accepted("ACSP", "B-1"))
    await submitter(partner, Vault()).call([(due(), head(*OUT))])
    assert partner.given == [
        p.Instruction(
            payout_id=PAYOUT, amount=AMOUNT,
            creditor_name="open name as name", creditor_account="open account as account",
            remittance_information=str(TRANSFER),
        )
    ]  # fmt: skip


def test_an_instruction_does_not_show_whom_it_pays() -> None:
    one = p.Instruction(
        payout_id=PAYOUT, amount=AMOUNT, creditor_name="Abebe", creditor_account="ET01", remittance_information=""
    )
    assert "Abebe" not in repr(one)
    assert "ET01" not in repr(one)


@pytest.mark.parametrize(
    ("verdict", "command"),
    [
        (p.Accepted("ACSP", "B"), c.RecordSent(payout_id=PAYOUT, partner_status="ACSP", partner_reference="B")),
        (
            p.Deferred("busy", 9),
            c.RecordDeferred(payout_id=PAYOUT, attempt=1, reason="busy", retry_after_seconds=9),
        ),
        (
            p.Deferred("not connected", unsent=True),
            c.RecordDeferred(payout_id=PAYOUT, attempt=1, reason="not connected", unsent=True),
        ),
        (p.Refused("AC04"), c.RecordRefused(payout_id=PAYOUT, reason_code="AC04", attempt=1)),
        (p.Unknown("lost"), c.RecordUnknown(payout_id=PAYOUT, reason="lost", attempt=1)),
    ],
)
async def test_each_verdict_becomes_the_outcome_of_this_attempt(verdict: Any, command: Any) -> None:
    asks = await submitter(Partner(verdict), Vault()).call([(due(), head(*OUT))])
    assert asks == [Ask(PAYOUT, command)]


async def test_nothing_is_sent_while_the_vault_is_away() -> None:
    partner = Partner()
    (ask,) = await submitter(partner, Vault(away=True)).call([(due(), head(*OUT))])
    assert isinstance(ask, Ask)
    assert ask.command == c.RecordDeferred(payout_id=PAYOUT, attempt=1, reason="vault unavailable", unsent=True)
    assert partner.given == []


async def test_whoever_was_forgotten_is_not_paid_and_holds_up_nobody_else() -> None:
    other = replace(REQUESTED, payout_id=UUID(int=2), creditor_account=Sealed(CUSTOMER, 1, "gone"))
    begun = (replace(event, payout_id=UUID(int=2)) for event in (APPROVED, SUBMITTING))
    partner = Partner(p.Accepted("ACSP", "B-1"))
    items = [(due(2), head(other, *begun)), (due(1), head(*OUT))]
    first, second = await submitter(partner, Vault("gone")).call(items)
    assert isinstance(first, Ask)
    assert isinstance(second, Ask)
    assert isinstance(first.command, c.RecordDeferred)
    assert first.command.unsent
    assert isinstance(second.command, c.RecordSent)
    assert [one.payout_id for one in partner.given] == [PAYOUT]


async def test_what_could_outlast_its_lease_is_not_sent_and_holds_up_nobody_else() -> None:
    longer = SUBMITTING.lease_until + timedelta(microseconds=1)
    other = (replace(each, payout_id=UUID(int=2)) for each in (REQUESTED, APPROVED))
    begun = replace(SUBMITTING, payout_id=UUID(int=2), lease_until=longer)
    partner = Partner(p.Accepted("ACSP", "B-1"))
    late = longer - TIMEOUT
    first, second = await submitter(partner, Vault(), late).call([(due(1), head(*OUT)), (due(2), head(*other, begun))])
    assert isinstance(first, Ask)
    assert isinstance(second, Ask)
    reason = "not sent: its lease ends too soon"
    assert first.command == c.RecordDeferred(payout_id=PAYOUT, attempt=1, reason=reason, unsent=True)
    assert isinstance(second.command, c.RecordSent)
    assert [one.payout_id for one in partner.given] == [UUID(int=2)]


async def test_a_lease_that_holds_exactly_as_long_as_a_call_may_take_is_long_enough() -> None:
    partner = Partner(p.Accepted("ACSP", "B-1"))
    await submitter(partner, Vault(), SUBMITTING.lease_until - TIMEOUT).call([(due(), head(*OUT))])
    assert len(partner.given) == 1


async def test_the_time_is_looked_at_after_the_vault_has_answered() -> None:
    clock = [AT]

    class Slow(Vault):
        async def open_many(self, sealed: list[tuple[Sealed, str]]) -> Sequence[str | None]:
            clock[0] = SUBMITTING.lease_until
            return await super().open_many(sealed)

    partner = Partner()
    await h.SubmitPayout(partner, Slow(), lambda: clock[0], TIMEOUT).call([(due(), head(*OUT))])
    assert partner.given == []


# asking


def test_asking_writes_nothing_and_goes_on_while_the_answer_is_awaited() -> None:
    call = h.AskPartner(Partner(), LIMITS)
    assert call.intent(due()) == Ask(PAYOUT, c.BeginAsk(payout_id=PAYOUT))
    assert call.proceeds(outcome(state=given(*ACCEPTED).state))
    assert call.proceeds(outcome(state=given(*LOST).state))
    assert not call.proceeds(outcome(state=given(*READY).state))
    assert not call.proceeds(outcome(state=None))


async def ask(verdict: Any, past: tuple[Any, ...], when: Due) -> Any:
    (answer,) = await h.AskPartner(Partner(verdict), LIMITS).call([(when, head(*past))])
    return answer.command if isinstance(answer, Ask) else answer


async def test_settled_confirms() -> None:
    command = await ask(p.Settled(AMOUNT, "B", None), ACCEPTED, due())
    assert command == c.ConfirmPayout(payout_id=PAYOUT, amount=AMOUNT, partner_reference="B", settled_at=None)


async def test_refused_is_recorded_without_an_attempt() -> None:
    assert await ask(p.Refused("AC04"), LOST, due()) == c.RecordRefused(payout_id=PAYOUT, reason_code="AC04")


async def test_pending_tells_something_only_about_an_unknown_outcome() -> None:
    pending = c.RecordPending(payout_id=PAYOUT, partner_status="ACSP", partner_reference="B")
    assert await ask(p.Pending("ACSP", "B"), LOST, due()) == pending
    assert isinstance(await ask(p.Pending("ACSP", "B"), ACCEPTED, due()), Again)


async def test_not_known_is_asked_again_until_the_settling_delay_is_over() -> None:
    early, late = LIMITS.settling_delay - timedelta(microseconds=1), LIMITS.settling_delay
    assert isinstance(await ask(p.NotKnown(), LOST, due(later=early)), Again)
    assert await ask(p.NotKnown(), LOST, due(later=late)) == c.RecordNotKnown(payout_id=PAYOUT, asked_at=AT + late)


async def test_not_known_about_a_sent_payout_is_asked_again() -> None:
    assert isinstance(await ask(p.NotKnown(), ACCEPTED, due(later=timedelta(days=1))), Again)


@pytest.mark.parametrize("verdict", [p.Deferred("busy"), p.Unknown("lost")])
@pytest.mark.parametrize("past", [ACCEPTED, LOST])
async def test_no_answer_is_asked_again(verdict: Any, past: tuple[Any, ...]) -> None:
    assert isinstance(await ask(verdict, past, due()), Again)


@pytest.mark.parametrize(
    ("past", "attempts", "least", "most"),
    [(LOST, 1, 5, 6), (LOST, 2, 10, 12), (LOST, 99, 60, 75), (ACCEPTED, 1, 60, 75), (ACCEPTED, 99, 900, 1125)],
)
def test_the_pause_grows_to_its_longest_and_at_most_a_quarter_more(
    past: tuple[Any, ...], attempts: int, least: int, most: int
) -> None:
    stage = given(*past).state
    assert isinstance(stage, s.Sent | s.Unknown)
    pauses = [
        h.pause_seconds(replace(due(attempts=attempts), effect_id=UUID(int=n)), stage, LIMITS) for n in range(400)
    ]
    assert (min(pauses), max(pauses)) == (least, most)


def test_the_same_effect_pauses_the_same() -> None:
    stage = given(*LOST).state
    assert isinstance(stage, s.Unknown)
    assert h.pause_seconds(due(), stage, LIMITS) == h.pause_seconds(due(), stage, LIMITS)
