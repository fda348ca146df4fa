"""What payouts make of what they hear, what follows from their events, and the two calls to the partner."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from datetime import datetime, timedelta
from typing import cast
from uuid import UUID

from contracts.payout.v1 import (
    EVENTS,
    PayoutApproved,
    PayoutDeferred,
    PayoutEvent,
    PayoutNotKnownToPartner,
    PayoutRequested,
    PayoutSent,
    PayoutSubmitting,
    PayoutUnknown,
)
from contracts.transfer.v1 import FundingConfirmed
from contracts.upcasts import UPCASTS
from services.kernel.decider import Again, Ask, Cause, Consumes, Decider, Due, Head, Outcome, SideEffect
from services.kernel.ids import derive
from services.payout_orchestrator.domain.commands import (
    COMMANDS,
    BeginAsk,
    BeginSubmit,
    ConfirmPayout,
    DeadlineName,
    PassDeadline,
    PayoutCommand,
    RecordDeferred,
    RecordNotKnown,
    RecordPending,
    RecordRefused,
    RecordSent,
    RecordUnknown,
    RequestPayout,
)
from services.payout_orchestrator.domain.decide import believable_from, decide
from services.payout_orchestrator.domain.policy import Deadlines, Rules, backoff
from services.payout_orchestrator.domain.states import (
    STAGES,
    Approved,
    Confirmed,
    Payout,
    Sent,
    Submitting,
    Unknown,
    evolve,
)
from services.payout_orchestrator.ports import (
    Accepted,
    CannotOpen,
    Deferred,
    Instruction,
    NotKnown,
    Opener,
    Pending,
    Rail,
    Refused,
    Settled,
    StatusVerdict,
    SubmitVerdict,
)
from services.payout_orchestrator.ports import Unknown as NoAnswer

HALT_SECONDS = 10  # between two questions whether a payout may begin, and up to as much again


def payout_id(transfer_id: UUID, n: int) -> UUID:
    """The id of the nth payout of a transfer, and what the partner knows it by."""
    return derive("payout", transfer_id, n)


def on_funding_confirmed(funded: FundingConfirmed, _cause: Cause) -> tuple[Ask, ...]:
    """The money is there: the transfer's first payout."""
    stream_id = payout_id(funded.transfer_id, 1)
    request = RequestPayout(
        payout_id=stream_id, transfer_id=funded.transfer_id, customer_id=funded.customer_id, n=1, amount=funded.receive,
        rail=funded.rail, partner=funded.partner, creditor_name=funded.creditor_name,
        creditor_account=funded.creditor_account, send_currency=funded.send.currency,
    )  # fmt: skip
    return (Ask(stream_id, request),)


CONSUMES: Consumes = {FundingConfirmed: on_funding_confirmed}


def decider(rules: Rules, deadlines: Deadlines) -> Decider[Payout, PayoutCommand, PayoutEvent]:
    """Payouts under these rules and deadlines. Records are keyed by the transfer, which they also belong to."""
    return Decider(
        category="payout",
        decide=lambda payout, command, at: decide(payout, command, at, rules, deadlines),
        evolve=evolve,
        commands=COMMANDS,
        events=EVENTS,
        upcasts=UPCASTS,
        stages=STAGES,
        over=(Confirmed,),
        plan=lambda event: plan(event, deadlines),
        key_of=lambda first: cast("PayoutRequested", first).transfer_id,
        correlate=lambda event: cast("PayoutEvent", event).transfer_id,
        wake=lambda name, stream_id: PassDeadline(payout_id=stream_id, name=cast("DeadlineName", name)),
    )


def plan(event: PayoutEvent, deadlines: Deadlines) -> tuple[SideEffect, ...]:
    """The calls and wakes that an event causes. A stale one is answered with nothing by `decide`; none is cancelled."""
    match event:
        case PayoutRequested():
            return _wake("approval", event.deadline)
        case PayoutApproved() | PayoutNotKnownToPartner():
            return (SideEffect("submit", kind="call"), *_wake("submission", event.deadline))
        case PayoutSubmitting():
            return (SideEffect("lease", event.lease_until),)
        case PayoutDeferred():
            return (SideEffect("submit", event.next_retry_at, "call"),)
        case PayoutSent():
            ask = SideEffect("ask", event.sent_at + deadlines.first_poll, "call")
            return (ask, *_wake("settlement", event.deadline))
        case PayoutUnknown():
            ask = SideEffect("ask", event.unknown_at + deadlines.unknown_first_ask, "call")
            return (ask, *_wake("unknown_deadline", event.deadline))
        case _:
            return ()


def _wake(name: str, deadline: datetime | None) -> tuple[SideEffect, ...]:
    return () if deadline is None else (SideEffect(name, deadline),)


class SubmitPayout:
    """Sends what is approved, in bulk. A call is made only by the attempt whose PayoutSubmitting was just written."""

    name = "submit"

    def __init__(
        self,
        rail: Rail,
        opener: Opener,
        now: Callable[[], datetime],
        timeout: timedelta,
        attempted: Callable[[str, SubmitVerdict], None] = lambda partner, verdict: None,
        *,
        halted: Callable[[], frozenset[str] | None] = frozenset,
    ) -> None:
        """`timeout`: how long a call of the rail may take. `now`: the wall clock, which leases are held against.

        `attempted` is told the partner and the verdict of each payout that was handed to the rail. `halted`:
        currencies in which none may begin; None while that is not known.
        """
        self._halted = halted
        self._attempted = attempted
        self._rail = rail
        self._opener = opener
        self._now = now
        self._timeout = timeout

    def intent(self, due: Due) -> Ask:
        """PayoutSubmitting, or nothing when somebody else is at it or it is done."""
        return Ask(due.stream_id, BeginSubmit(payout_id=due.stream_id, halted=self._halted()))

    def proceeds(self, outcome: Outcome) -> bool:
        """Only after our own PayoutSubmitting: an empty decision means that the call is not ours to make."""
        return any(isinstance(recorded.event, PayoutSubmitting) for recorded in outcome.events)

    def waits(self, due: Due, outcome: Outcome) -> Again | None:
        """While its currency is halted. What stays Approved has nothing else that would ask for it."""
        waits = bool(outcome.heads) and isinstance(outcome.heads[0].state, Approved)
        return Again(HALT_SECONDS + due.effect_id.int % HALT_SECONDS) if waits else None

    async def call(self, items: Sequence[tuple[Due, Head]]) -> Sequence[Ask | Again]:
        """Open, send, and an outcome for each. What cannot be opened, or could outlast its lease, was not sent."""
        stages = [_submitting(head) for _, head in items]
        try:
            instructions = await self._instructions(stages)
        except CannotOpen:
            return [_asked(stage, Deferred("vault unavailable", unsent=True)) for stage in stages]
        ends = self._now() + self._timeout
        held = [_held_back(stage, one, ends) for stage, one in zip(stages, instructions, strict=True)]
        ready = [one for one, why in zip(instructions, held, strict=True) if one is not None and why is None]
        answers = iter(await self._rail.submit(ready) if ready else ())
        verdicts = [why or next(answers) for why in held]
        for stage, why, verdict in zip(stages, held, verdicts, strict=True):
            if why is None:
                self._attempted(stage.terms.partner, verdict)
        return [_asked(stage, verdict) for stage, verdict in zip(stages, verdicts, strict=True)]

    async def _instructions(self, stages: Sequence[Submitting]) -> list[Instruction | None]:
        names = [(stage.terms.creditor_name, "name") for stage in stages]
        accounts = [(stage.terms.creditor_account, "account") for stage in stages]
        opened = await self._opener.open_many(names + accounts)  # one question to the vault
        pairs = zip(opened[: len(stages)], opened[len(stages) :], strict=True)
        return [_instruction(stage, *pair) for stage, pair in zip(stages, pairs, strict=True)]


def _submitting(head: Head) -> Submitting:
    assert isinstance(head.state, Submitting), "a call without its intent"
    return head.state


def _held_back(stage: Submitting, instruction: Instruction | None, ends: datetime) -> Deferred | None:
    """Why it is not sent by a call that may last until `ends`; None when it is."""
    if instruction is None:
        return Deferred("creditor cannot be read", unsent=True)
    if stage.lease_until < ends:
        return Deferred("not sent: its lease ends too soon", unsent=True)
    return None


def _instruction(stage: Submitting, name: str | None, account: str | None) -> Instruction | None:
    if name is None or account is None:
        return None
    return Instruction(
        payout_id=stage.terms.payout_id, amount=stage.terms.amount, creditor_name=name, creditor_account=account,
        remittance_information=str(stage.terms.transfer_id),
    )  # fmt: skip


def _asked(stage: Submitting, verdict: SubmitVerdict) -> Ask:
    return Ask(stage.terms.payout_id, submitted(stage.terms.payout_id, stage.attempts, verdict))


def submitted(payout: UUID, attempt: int, verdict: SubmitVerdict) -> PayoutCommand:
    """What the answer to submit attempt `attempt` is to us."""
    match verdict:
        case Accepted(status, reference):
            return RecordSent(payout_id=payout, partner_status=status, partner_reference=reference)
        case Deferred(reason, seconds, unsent):
            return RecordDeferred(
                payout_id=payout, attempt=attempt, reason=reason, retry_after_seconds=seconds, unsent=unsent
            )
        case Refused(code):
            return RecordRefused(payout_id=payout, reason_code=code, attempt=attempt)
        case NoAnswer(reason):
            return RecordUnknown(payout_id=payout, reason=reason, attempt=attempt)


class AskPartner:
    """Asks for what is sent or unknown, in bulk, until the partner says something new or the deadline ends it."""

    name = "ask"

    def __init__(self, rail: Rail, deadlines: Deadlines) -> None:
        self._rail = rail
        self._deadlines = deadlines

    def intent(self, due: Due) -> Ask:
        """Writes nothing; the head says whether asking still makes sense."""
        return Ask(due.stream_id, BeginAsk(payout_id=due.stream_id))

    def proceeds(self, outcome: Outcome) -> bool:
        """While the partner's answer is still awaited."""
        return bool(outcome.heads) and isinstance(outcome.heads[0].state, Sent | Unknown)

    def waits(self, _due: Due, _outcome: Outcome) -> Again | None:
        """An answer that came is not asked for again."""
        return None

    async def call(self, items: Sequence[tuple[Due, Head]]) -> Sequence[Ask | Again]:
        """Ask for all of them at once."""
        verdicts = await self._rail.status([due.stream_id for due, _ in items])
        return [
            heard(due, head.state, verdict, self._deadlines)
            for (due, head), verdict in zip(items, verdicts, strict=True)
        ]


def heard(due: Due, stage: Sent | Unknown, verdict: StatusVerdict, deadlines: Deadlines) -> Ask | Again:
    """What the partner's answer is to us; Again while it is nothing new. The settlement and unknown wakes end it."""
    payout = due.stream_id
    again = Again(pause_seconds(due, stage, deadlines))
    match verdict:
        case Settled(amount, reference, settled_at):
            command: PayoutCommand = ConfirmPayout(
                payout_id=payout, amount=amount, partner_reference=reference, settled_at=settled_at
            )
        case Refused(code):
            command = RecordRefused(payout_id=payout, reason_code=code)
        case Pending(status, reference) if isinstance(stage, Unknown):
            command = RecordPending(payout_id=payout, partner_status=status, partner_reference=reference)
        case NotKnown() if isinstance(stage, Unknown) and due.due_at >= believable_from(stage, deadlines):
            command = RecordNotKnown(payout_id=payout, asked_at=due.due_at)  # the question went out at due_at or later
        case _:
            return again
    return Ask(payout, command)


def pause_seconds(due: Due, stage: Sent | Unknown, deadlines: Deadlines) -> int:
    """Backoff from the number of times asked, and up to a quarter more that follows from the effect's id.

    The spread keeps payouts that became unknown together from being asked for together for ever.
    """
    first, longest = limits(stage, deadlines)
    seconds = max(1, backoff(first, longest, due.attempts) // timedelta(seconds=1))
    return seconds + due.effect_id.int % (seconds // 4 + 1)


def limits(stage: Sent | Unknown, deadlines: Deadlines) -> tuple[timedelta, timedelta]:
    """The first and the longest pause between two questions."""
    if isinstance(stage, Sent):
        return deadlines.first_poll, deadlines.poll_max
    return deadlines.unknown_first_ask, deadlines.unknown_ask_max
