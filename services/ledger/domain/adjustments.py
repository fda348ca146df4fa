"""Adjustments: lines that a person wants in the books, posted only when another person approves. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from contracts.ledger.v1 import (
    Adjusted,
    AdjustmentEvent,
    AdjustmentExpired,
    AdjustmentProposed,
    AdjustmentRejected,
    Posting,
)
from services.kernel.account import Standing
from services.kernel.decider import NOTHING_SEEN, Seen
from services.kernel.ids import derive
from services.kernel.rejected import Forbidden, Invalid, NotFound, Rejected
from services.kernel.value import value
from services.ledger.domain.chart import account_kind, currency_of
from services.ledger.domain.entries import imbalance


class AdjustmentNotFound(NotFound):
    """There is no such adjustment."""


class AdjustmentInvalid(Invalid):
    """These lines are no journal entry."""


class AdjustmentDecided(Rejected):
    """It was approved, rejected or expired before."""


class SamePerson(Forbidden):
    """Who proposes an adjustment does not approve it: that takes another person."""

    code = "SECOND_PERSON_REQUIRED"


class AccountOverdrawn(Rejected):
    """A protected account would have less than nothing."""


@value(kw_only=True)
class ProposeAdjustment:
    """One person's wish. `lines` are as they came: the decision judges them."""

    adjustment_id: UUID
    lines: tuple[Posting, ...]
    transfer_id: UUID | None
    reason: str
    evidence: str
    proposed_by: str
    due_at: datetime


@value(kw_only=True)
class ApproveAdjustment:
    """Another person's yes. The ask reads the accounts of the lines."""

    adjustment_id: UUID
    approved_by: str
    reason: str
    seen: Seen = NOTHING_SEEN


@value(kw_only=True)
class RejectAdjustment:
    """Anybody's no."""

    adjustment_id: UUID
    rejected_by: str
    reason: str


@value(kw_only=True)
class ExpireAdjustment:
    """A wake: nobody has decided."""

    adjustment_id: UUID


@value(kw_only=True)
class Proposed:
    """Waits for another person."""

    state: ClassVar[str] = "PROPOSED"

    lines: tuple[Posting, ...]
    transfer_id: UUID | None
    reason: str
    evidence: str
    proposed_by: str
    proposed_at: datetime
    due_at: datetime


@value(kw_only=True)
class Approved:
    """In the books."""

    state: ClassVar[str] = "ADJUSTED"

    entry_id: UUID
    proposed_by: str
    approved_by: str


@value(kw_only=True)
class Closed:
    """Rejected or expired; nothing was posted."""

    state: ClassVar[str] = "CLOSED"

    why: str


Adjustment = Proposed | Approved | Closed | None
STAGES = (Proposed, Approved, Closed)
COMMANDS = (ProposeAdjustment, ApproveAdjustment, RejectAdjustment, ExpireAdjustment)
TRANSITIONS = (  # (state, event, next state, deadline)
    ("-", AdjustmentProposed, "PROPOSED", "7 days → `ledger.adjustment_expired`"),
    ("PROPOSED", Adjusted, "ADJUSTED", ""),
    ("PROPOSED", AdjustmentRejected, "CLOSED", ""),
    ("PROPOSED", AdjustmentExpired, "CLOSED", ""),
)


def decide(
    adjustment: Adjustment,
    command: ProposeAdjustment | ApproveAdjustment | RejectAdjustment | ExpireAdjustment,
    at: datetime,
) -> tuple[AdjustmentEvent, ...]:
    """What becomes of it."""
    match command:
        case ProposeAdjustment():
            return _propose(adjustment, command, at)
        case ApproveAdjustment():
            return _approve(_proposed(adjustment, command.adjustment_id), command, at)
        case RejectAdjustment():
            _proposed(adjustment, command.adjustment_id)
            return (
                AdjustmentRejected(
                    adjustment_id=command.adjustment_id, rejected_by=command.rejected_by, reason=command.reason,
                    rejected_at=at,
                ),
            )  # fmt: skip
        case ExpireAdjustment():
            over = isinstance(adjustment, Proposed) and adjustment.due_at <= at
            return (AdjustmentExpired(adjustment_id=command.adjustment_id, expired_at=at),) if over else ()


def _propose(adjustment: Adjustment, wish: ProposeAdjustment, at: datetime) -> tuple[AdjustmentEvent, ...]:
    if adjustment is not None:
        raise AdjustmentDecided(wish.adjustment_id)
    judge(wish.lines)
    return (
        AdjustmentProposed(
            adjustment_id=wish.adjustment_id, lines=wish.lines, transfer_id=wish.transfer_id, reason=wish.reason,
            evidence=wish.evidence, proposed_by=wish.proposed_by, proposed_at=at, due_at=wish.due_at,
        ),
    )  # fmt: skip


def judge(lines: tuple[Posting, ...]) -> None:
    """Raises AdjustmentInvalid with why these lines, which a person wrote, are no entry."""
    if len(lines) < 2:
        raise AdjustmentInvalid("an entry has two lines or more")
    for line in lines:
        try:
            account_kind(line.account)
        except KeyError:
            raise AdjustmentInvalid(f"{line.account} is in no line of the chart of accounts") from None
        if currency_of(line.account) != line.amount.currency:
            raise AdjustmentInvalid(f"{line.amount} in {line.account}")
        if not line.amount:
            raise AdjustmentInvalid(f"nothing in {line.account}")
    if off := {currency: minor for currency, minor in imbalance(lines).items() if minor}:
        raise AdjustmentInvalid(f"debits less credits are not zero: {off}")


def _approve(proposed: Proposed, wish: ApproveAdjustment, at: datetime) -> tuple[AdjustmentEvent, ...]:
    if wish.approved_by == proposed.proposed_by:
        raise SamePerson
    _covered(proposed.lines, wish.seen)
    entry_id = derive("entry", wish.adjustment_id, "ledger.adjusted")
    return (
        Adjusted(
            adjustment_id=wish.adjustment_id, approved_by=wish.approved_by, reason=wish.reason, entry_id=entry_id,
            kind="ledger.adjusted", cause_id=wish.adjustment_id, transfer_id=proposed.transfer_id,
            lines=proposed.lines, caused_at=proposed.proposed_at, posted_at=at,
        ),
    )  # fmt: skip


def _covered(lines: tuple[Posting, ...], seen: Seen) -> None:
    standings: dict[str, Standing] = dict(seen.rows)
    for line in lines:
        standings[line.account] = standings[line.account].after(line)
    for account, standing in standings.items():
        if account_kind(account).protected and standing.credit_minor < standing.debit_minor:
            raise AccountOverdrawn(account)


def _proposed(adjustment: Adjustment, adjustment_id: UUID) -> Proposed:
    """Raises AdjustmentNotFound, AdjustmentDecided."""
    if adjustment is None:
        raise AdjustmentNotFound(adjustment_id)
    if not isinstance(adjustment, Proposed):
        raise AdjustmentDecided(adjustment_id)
    return adjustment


def evolve(adjustment: Adjustment, event: AdjustmentEvent) -> Adjustment:
    """Believes every stored event."""
    match event:
        case AdjustmentProposed():
            return Proposed(
                lines=event.lines, transfer_id=event.transfer_id, reason=event.reason, evidence=event.evidence,
                proposed_by=event.proposed_by, proposed_at=event.proposed_at, due_at=event.due_at,
            )  # fmt: skip
        case Adjusted():
            assert isinstance(adjustment, Proposed), "only what was proposed is approved"
            return Approved(entry_id=event.entry_id, proposed_by=adjustment.proposed_by, approved_by=event.approved_by)
        case AdjustmentRejected() | AdjustmentExpired():
            return Closed(why=event.type)
