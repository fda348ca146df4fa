"""deposits: what arrived on each route, and what of it was confirmed. Rebuilt from the topic; decides nothing."""

from __future__ import annotations

from dataclasses import dataclass, replace
from datetime import datetime
from uuid import UUID

from contracts.deposit.v1 import DepositConfirmed, DepositObserved
from contracts.topics import DEPOSIT
from contracts.upcasts import UPCASTS
from services.kernel.codec import decoder, encode
from services.kernel.projector import Projection

Wanted = DepositObserved | DepositConfirmed
amounts_of = decoder(dict[str, int])  # JSON of amounts in minor units by path, as the columns below have it
NOTHING = b"{}"


@dataclass(frozen=True, slots=True)
class DepositRow:
    """One route. JSON: minor units by `<partner>:<currency>`."""

    transfer_id: UUID | None
    attributed: bytes  # JSON; observed when its transfer was known
    unattributed: bytes  # JSON; observed before
    unattributed_at: datetime | None  # the last of those
    confirmed_minor: int | None
    confirmed_currency: str | None
    moved_at: datetime


def key(event: Wanted) -> UUID:
    """The route."""
    return event.route_id


def evolve(row: DepositRow | None, event: Wanted) -> DepositRow:
    """The row after the event."""
    match event:
        case DepositObserved():
            return _observed(row or DepositRow(None, NOTHING, NOTHING, None, None, None, event.observed_at), event)
        case DepositConfirmed(transfer_id=transfer_id, amount=amount, confirmed_at=at):
            assert row is not None, "confirmed before it was observed"
            return replace(
                row, transfer_id=transfer_id, confirmed_minor=amount.minor, confirmed_currency=amount.currency,
                moved_at=at,
            )  # fmt: skip


def _observed(row: DepositRow, event: DepositObserved) -> DepositRow:
    path, minor, at = f"{event.partner}:{event.amount.currency}", event.amount.minor, event.observed_at
    if event.transfer_id is None:
        return replace(row, unattributed=more(row.unattributed, path, minor), unattributed_at=at, moved_at=at)
    more_of_it = more(row.attributed, path, minor)
    return replace(row, transfer_id=event.transfer_id, attributed=more_of_it, moved_at=at)


def more(amounts: bytes, path: str, minor: int) -> bytes:
    """`amounts` with `minor` more at `path`."""
    sums = amounts_of(amounts)
    return encode(sums | {path: sums.get(path, 0) + minor})


PROJECTION = Projection(
    name="deposits",
    key_column="route_id",
    row=DepositRow,
    topic=DEPOSIT.name,
    events=DEPOSIT.events,
    wanted=(DepositObserved, DepositConfirmed),
    key=key,
    evolve=evolve,
    upcasts=UPCASTS,
)
