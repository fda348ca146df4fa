"""deposit_items: money that fits nothing. One item for each pile of a route: it is known by its first report."""

from __future__ import annotations

from uuid import UUID

from contracts.deposit.v1 import DepositConfirmed, DepositMismatched, DepositReferenceMismatched
from contracts.topics import DEPOSIT
from services.kernel.ids import derive
from services.review.domain.reasons import Reason
from services.review.projections.items import ItemRow, closed, opened, projection

Event = DepositMismatched | DepositReferenceMismatched | DepositConfirmed


def key(event: Event) -> UUID:
    """A pile only grows at its end until it is resolved; a conflict is its report's alone."""
    if isinstance(event, DepositReferenceMismatched):
        return derive("review", event.route_id, "reference", event.arrival_id)
    return derive("review", event.route_id, "money", event.arrivals[0])


def evolve(row: ItemRow | None, event: Event) -> ItemRow | None:
    """The row after the event."""
    match event:
        case DepositMismatched():
            reason = Reason.DEPOSIT_MISMATCH if event.transfer_id else Reason.UNMATCHED_DEPOSIT
            expected = f", expected {event.expected}" if event.expected else ""
            return opened(
                row, event, reason, subject_id=event.route_id, transfer_id=event.transfer_id, amount=event.amount,
                at=event.mismatched_at, detail=f"{event.reason}: {event.amount} came{expected}",
            )  # fmt: skip
        case DepositReferenceMismatched():
            return opened(
                row, event, Reason.REFERENCE_MISMATCH, subject_id=event.route_id, transfer_id=None, amount=None,
                at=event.mismatched_at, detail=f"{event.partner} used {event.reference} again for something else",
            )  # fmt: skip
        case DepositConfirmed():
            return closed(row, event, event.confirmed_at)


PROJECTION = projection(
    "deposit_items", DEPOSIT, opens=(DepositMismatched, DepositReferenceMismatched), closes=(DepositConfirmed,),
    key=key, evolve=evolve,
)  # fmt: skip
