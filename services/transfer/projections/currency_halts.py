"""currency_halts: where the books are wrong, so that nothing new begins. Made of the ledger's events; decides nothing.

Of the ledger's streams only the halts are followed; entries pass by unread (docs/decisions/0026).
"""

from __future__ import annotations

from uuid import UUID

from contracts.ledger.v1 import EVENTS, HALT_EVENTS, CurrencyHalted, CurrencyResumed
from contracts.topics import LEDGER
from contracts.upcasts import UPCASTS
from services.kernel.halts import HaltRow
from services.kernel.projector import Projection

HaltChange = CurrencyHalted | CurrencyResumed


def key(event: HaltChange) -> UUID:
    """The stream of the currency."""
    return event.halt_id


def evolve(_row: HaltRow | None, event: HaltChange) -> HaltRow:
    """A wish to lift a halt changes nothing: it takes two people."""
    match event:
        case CurrencyHalted(found_at=at):
            return HaltRow(event.currency, halted=True, changed_at=at)
        case CurrencyResumed(resumed_at=at):
            return HaltRow(event.currency, halted=False, changed_at=at)


PROJECTION = Projection(
    name="currency_halts",
    key_column="halt_id",
    row=HaltRow,
    topic=LEDGER.name,
    events=LEDGER.events,
    wanted=(CurrencyHalted, CurrencyResumed),
    key=key,
    evolve=evolve,
    upcasts=UPCASTS,
    passes=tuple(each for each in EVENTS if each not in HALT_EVENTS),
)
