"""Whether customers may change anything now, and who said so. Pure: no clock, no randomness, no I/O."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from contracts.customer.v1 import MaintenanceEnded, MaintenanceStarted
from services.kernel.rejected import Rejected
from services.kernel.value import value


class ReasonRequired(Rejected):
    """Say why: a reason that is not blank, for the audit trail."""

    status = 400


@value(kw_only=True)
class SwitchMaintenance:
    """An admin's wish."""

    maintenance_id: UUID
    enabled: bool
    by: UUID
    reason: str


@value
class On:
    """What customers would change is refused."""

    state: ClassVar[str] = "ON"
    started: MaintenanceStarted


@value
class Off:
    """As on any other day."""

    state: ClassVar[str] = "OFF"
    ended: MaintenanceEnded


MaintenanceCommand = SwitchMaintenance
MaintenanceEvent = MaintenanceStarted | MaintenanceEnded
Maintenance = On | Off | None  # None: there never was any

COMMANDS = (SwitchMaintenance,)
EVENTS = (MaintenanceStarted, MaintenanceEnded)
STAGES = (On, Off)
TRANSITIONS: tuple[tuple[str, type, str, str], ...] = (  # state, event, next state, deadline of the next state
    ("-", MaintenanceStarted, "ON", "none: an admin ends it"),
    ("OFF", MaintenanceStarted, "ON", "none: an admin ends it"),
    ("ON", MaintenanceEnded, "OFF", ""),
)


def decide(maintenance: Maintenance, wish: SwitchMaintenance, at: datetime) -> tuple[MaintenanceEvent, ...]:
    """Who asks for what is already so changes nothing: the first reason and its time stay. Raises ReasonRequired."""
    if not wish.reason.strip():
        raise ReasonRequired
    if isinstance(maintenance, On) == wish.enabled:
        return ()
    if wish.enabled:
        return (
            MaintenanceStarted(
                maintenance_id=wish.maintenance_id, started_by=wish.by, reason=wish.reason, started_at=at
            ),
        )
    return (MaintenanceEnded(maintenance_id=wish.maintenance_id, ended_by=wish.by, reason=wish.reason, ended_at=at),)


def evolve(maintenance: Maintenance, event: MaintenanceEvent) -> Maintenance:
    """Believes every stored event."""
    match event:
        case MaintenanceStarted():
            return On(event)
        case MaintenanceEnded():
            return Off(event)
