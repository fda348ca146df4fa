"""How long an item of the queue may wait for a person. Pure data; docs/guides/oncall.md says what to do about each."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import timedelta

from services.review.domain.reasons import Reason

SLA: Mapping[Reason, timedelta] = {
    Reason.UNMATCHED_DEPOSIT: timedelta(days=1),
    Reason.DEPOSIT_MISMATCH: timedelta(days=1),
    Reason.REFERENCE_MISMATCH: timedelta(days=1),
    Reason.PAYOUT_UNKNOWN: timedelta(hours=1),  # the payout's own deadline: then it is in review, by itself
    Reason.PAYOUT_IN_REVIEW: timedelta(hours=4),  # as the transfer's review time
    Reason.PAYOUT_CONTRADICTED: timedelta(minutes=30),
    Reason.OVERDUE_STATE: timedelta(hours=4),
    Reason.LATE_FUNDING: timedelta(days=1),
    Reason.PARKED_STREAM: timedelta(0),  # nothing of it goes on meanwhile
    Reason.RECONCILIATION_ISSUE: timedelta(hours=4),
}
