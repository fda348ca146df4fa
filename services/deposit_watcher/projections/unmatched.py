"""unmatched: routes that ever had money which fits nothing, by the events that only they have."""

from __future__ import annotations

from contracts.deposit.v1 import DepositMismatched, DepositObserved

UNMATCHED = (  # of an event `e`, as the index event_unmatched has it (sql/surface.sql)
    f"e.event_type = '{DepositMismatched.type}' OR (e.version = 1 AND e.event_type = '{DepositObserved.type}')"
)
