"""What each state waits for, since when, and how long it may: one table for all services. Pure.

A state in which something can still happen, or whose row in TRANSITIONS names a deadline, has a line here: a test is
red until it has. At run time a state without a line is still looked at, as UNRULED.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from datetime import datetime, timedelta
from typing import Any

from services.core_api.domain import maintenance, profiles, sessions
from services.deposit_watcher.domain import states as deposit
from services.ledger.domain import adjustments, halts, holds
from services.payout_orchestrator.domain import states as payout
from services.payout_orchestrator.domain.policy import Deadlines as PayoutDeadlines
from services.quote import domain as quote
from services.reconciliation.domain import issues, runs
from services.reconciliation.domain.statements import entries, heads
from services.review.domain.reasons import Reason
from services.review.domain.sla import SLA
from services.transfer.domain import states as transfer

MARGIN = timedelta(minutes=2)  # beyond every deadline: what is due is worked on, and told by one service to the next
KYC = timedelta(days=1)
CLOSED_DOOR = timedelta(hours=4)
RUN = timedelta(seconds=900)  # a reconciliation run ends itself after that
_TRANSFER = transfer.Deadlines()
_PAYOUT = PayoutDeadlines()
_ROUTE = deposit.Deadlines()
_EXPIRY = timedelta(seconds=_TRANSFER.expiry_margin_seconds)

When = Callable[[Any], datetime | None]  # of a folded state


@dataclass(frozen=True, kw_only=True, slots=True)
class Wait:
    """Over at `due`, or where that is None `within` after `since` (None: when the stream last changed).

    `cause` says what it waits for, `overdue` what must be wrong when that is over. A state whose bytes hold
    `rests_with` waits for nothing.
    """

    cause: str | Callable[[Any], str]
    since: When = lambda state: None
    due: When = lambda state: None
    within: timedelta = timedelta(0)
    overdue: str = ""
    rests_with: bytes = b""

    def why(self, state: Any, *, is_over: bool) -> str:
        """The cause, of this very state, when its time is over or not yet."""
        words = self.cause if isinstance(self.cause, str) else self.cause(state)
        return f"{words}; {self.overdue}" if is_over and self.overdue else words


@dataclass(frozen=True, slots=True)
class Rests:
    """Nothing has to happen, however long it lasts."""

    why: str


UNRULED = Wait(cause="a state that this release has no rule for", within=timedelta(minutes=30))


def _since(state: Any) -> datetime:
    found: datetime = state.since
    return found


def _deadline(state: Any) -> datetime | None:
    found: datetime | None = state.deadline
    return found


def _lease(state: payout.Submitting) -> datetime:
    return state.lease_until


def _settlement(state: transfer.PayingOut) -> datetime:
    return state.since + timedelta(seconds=_TRANSFER.settlement_of(state.opened.rail))


def _late_since(state: transfer.Cancelled | transfer.Expired) -> datetime | None:
    return state.late.recorded_at if state.late else None


def _money_since(state: deposit.Holding) -> datetime | None:
    """Of the money that has waited longest on the route."""
    return min((pile.last_at for pile in state.piles), default=None)


def _reviewed(state: transfer.ReviewUnsent | transfer.ReviewSent) -> str:
    return f"a person must decide on its payout ({state.reason})"


def _refused(state: payout.ManualReview) -> str:
    return (
        f"a person must decide: the partner refused it ({state.refusal})" if state.refusal else "a person must decide"
    )


_NOT_WOKEN = "its time is over and nothing has ended it: the timer that does has not run"
_LATE = Wait(
    cause="money came after its end, and no refund is decided",
    since=_late_since,
    within=timedelta(seconds=_TRANSFER.late_funding_seconds),
    rests_with=b'"late":null',
)
_REVIEW = Wait(cause=_reviewed, since=_since, within=timedelta(seconds=_TRANSFER.review_seconds))
_SURPLUS = Wait(
    cause="money on the route that is not its transfer's: late, surplus, or in another currency",
    since=_money_since,
    within=SLA[Reason.DEPOSIT_MISMATCH],
    rests_with=b'"piles":[]',
)

RULES: Mapping[type, Wait | Rests] = {
    halts.Halted: Wait(
        cause="no new money moves in this currency: two people must lift it", since=lambda state: state.halted_at
    ),
    halts.LiftAsked: Wait(
        cause="waits for a second person to lift the halt", since=lambda state: state.requested_at
    ),
    halts.Resumed: Rests("money moves"),
    heads.Receiving: Wait(
        cause="a statement is not in to its last line: send the same file again", within=timedelta(minutes=15)
    ),
    heads.Complete: Rests("in the books"),
    entries.Parked: Wait(
        cause="a statement line cannot be read: a person looks", within=SLA[Reason.RECONCILIATION_ISSUE]
    ),
    entries.Recorded: Wait(
        cause="another content came under its reference", within=SLA[Reason.RECONCILIATION_ISSUE],
        rests_with=b'"parked":[]',
    ),
    profiles.KycPending: Wait(
        cause="nobody has decided on its documents", since=lambda state: state.profile.created_at, within=KYC
    ),
    profiles.KycApproved: Rests("in use"),
    sessions.Open: Rests("its tokens are refused from expires_at on, without an event"),
    maintenance.On: Wait(
        cause="the door is closed, and nobody has opened it", since=lambda state: state.started.started_at,
        within=CLOSED_DOOR,
    ),
    maintenance.Off: Rests("as on any other day"),
    quote.Offered: Wait(
        cause="nobody has taken it", overdue=_NOT_WOKEN, since=lambda state: state.terms.created_at,
        due=lambda state: state.terms.expires_at + _EXPIRY,
    ),
    quote.Expired: Rests("promises nothing any more; only a transfer that took it in time may still say so"),
    transfer.AwaitingFunding: Wait(
        cause="waits for the customer's money", overdue=_NOT_WOKEN, since=lambda state: state.opened.opened_at,
        due=lambda state: state.opened.funding_deadline + _EXPIRY,
    ),
    transfer.Funded: Wait(
        cause="paid in, and its payout has not left: see the payout",
        since=_since, within=timedelta(seconds=_TRANSFER.payout_overdue_seconds),
    ),
    transfer.PayingOut: Wait(
        cause="sent, and the partner has not said that it is settled", since=_since, due=_settlement
    ),
    transfer.ReviewUnsent: _REVIEW,
    transfer.ReviewSent: _REVIEW,
    transfer.Cancelled: _LATE,
    transfer.Expired: _LATE,
    deposit.Unexpected: Wait(
        cause="money ahead of its transfer", overdue=_NOT_WOKEN,
        since=_money_since, within=timedelta(seconds=_ROUTE.unknown_route_grace_seconds),
    ),
    deposit.Unmatched: Wait(
        cause="unmatched: no transfer has this route", since=_money_since, within=SLA[Reason.UNMATCHED_DEPOSIT]
    ),
    deposit.Expected: Wait(
        cause="waits for the customer's money", overdue="its transfer should have ended, and that it did has not come",
        due=lambda state: state.expected.deadline + _EXPIRY,
    ),
    deposit.Mismatched: Wait(
        cause="the money does not fit its transfer", since=_money_since, within=SLA[Reason.DEPOSIT_MISMATCH]
    ),
    deposit.Confirmed: _SURPLUS,
    deposit.Closed: _SURPLUS,
    payout.Requested: Wait(cause="nobody has approved it", since=_since, due=_deadline, within=_PAYOUT.approval),
    payout.Approved: Wait(
        cause="not submitted yet",
        overdue="the partner or the vault is away, or the worker that calls does not run",
        since=_since, due=_deadline, within=_PAYOUT.submission,
    ),
    payout.Submitting: Wait(
        cause="a call is out", overdue="its process did not say what became of it: the money may have left",
        since=_since, due=_lease,
    ),
    payout.Sent: Wait(
        cause="accepted, and the partner has not said that it is settled",
        since=_since, due=_deadline, within=_PAYOUT.settlement,
    ),
    payout.Unknown: Wait(
        cause="the partner has not said whether it has it: the money may have left",
        since=_since, due=_deadline, within=_PAYOUT.unknown_deadline,
    ),
    payout.ManualReview: Wait(cause=_refused, since=_since, within=SLA[Reason.PAYOUT_IN_REVIEW]),
    payout.Confirmed: Rests("the creditor has the money; what was said against it is in the queue of reviews"),
    holds.Held: Wait(
        cause="money of a customer is set aside, and neither used nor given back", due=lambda state: state.due_at
    ),
    adjustments.Proposed: Wait(
        cause="waits for a second person", overdue=_NOT_WOKEN, since=lambda state: state.proposed_at,
        due=lambda state: state.due_at,
    ),
    runs.Running: Wait(
        cause="the run is under way", overdue="it hangs, or its process has died",
        since=lambda state: state.started.started_at, within=RUN,
    ),
    issues.Open: Wait(
        cause=lambda state: f"{state.opened.code}: two books differ", since=lambda state: state.opened.opened_at,
        within=SLA[Reason.RECONCILIATION_ISSUE],
    ),
    issues.Cleared: Rests("the books agree"),
}  # fmt: skip
