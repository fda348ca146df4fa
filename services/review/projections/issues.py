"""issue_items: where reconciliation found two books to differ, until a later run finds them equal."""

from __future__ import annotations

from uuid import UUID

from contracts.recon.v1 import IssueCleared, IssueOpened
from contracts.topics import RECON
from services.kernel.ids import derive
from services.kernel.money import MINOR_MAX, CurrencyUnsupported, Money, iso4217
from services.review.domain.reasons import Reason
from services.review.projections.items import ItemRow, closed, opened, projection

Event = IssueOpened | IssueCleared


def key(event: Event) -> UUID:
    """An issue is one item, also when it comes again."""
    return derive("review", event.issue_id, "issue")


def evolve(row: ItemRow | None, event: Event) -> ItemRow | None:
    """The row after the event."""
    match event:
        case IssueOpened():
            return opened(
                row, event, Reason.RECONCILIATION_ISSUE, subject_id=event.issue_id, transfer_id=event.transfer_id,
                amount=_difference(event), at=event.opened_at, detail=f"{event.code} {event.subject}: {event.details}",
            )  # fmt: skip
        case IssueCleared():
            return closed(row, event, event.cleared_at)


def _difference(event: IssueOpened) -> Money | None:
    """By how much the two differ; None where it is not an amount that differs, or none that a Money can hold."""
    if event.currency is None or event.expected_minor is None or event.actual_minor is None:
        return None
    minor = abs(event.expected_minor - event.actual_minor)
    try:
        return Money(minor, iso4217(event.currency)) if minor <= MINOR_MAX else None
    except CurrencyUnsupported:
        return None  # of a partner's book, which may say anything


PROJECTION = projection("issue_items", RECON, opens=(IssueOpened,), closes=(IssueCleared,), key=key, evolve=evolve)
