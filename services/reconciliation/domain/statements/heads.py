"""The life of a statement: its head, then that all its lines are in. Pure: no clock, no randomness, no I/O."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from contracts.recon.v1 import StatementCompleted, StatementEvent, StatementReceived
from services.kernel.value import value
from services.reconciliation.domain.statements.shape import Statement

KEPT = 32  # digests of earlier heads and deliveries that a state remembers


@value(kw_only=True)
class ReceiveStatement:
    """A file says so."""

    statement_id: UUID
    statement: Statement
    file_sha256: str


@value(kw_only=True)
class CompleteStatement:
    """All lines of a file are in, or parked."""

    statement_id: UUID
    file_sha256: str
    lines: int
    repeated: int
    parked: int
    not_booked: int
    credits_minor: int
    debits_minor: int
    difference_minor: int | None

    @property
    def result(self) -> str:
        """The same file with the same result says nothing new."""
        return f"{self.file_sha256} {self.lines} {self.repeated} {self.parked} {self.difference_minor}"


@value(kw_only=True)
class Receiving:
    """The head is known; lines may be missing."""

    state: ClassVar[str] = "receiving"

    heads: tuple[str, ...]
    head: int
    results: tuple[str, ...] = ()
    delivery: int = 0


@value(kw_only=True)
class Complete:
    """Every line of the last file is recorded, known, or parked."""

    state: ClassVar[str] = "complete"

    heads: tuple[str, ...]
    head: int
    results: tuple[str, ...]
    delivery: int


Known = Receiving | Complete | None  # None: no such statement
StatementCommand = ReceiveStatement | CompleteStatement
STAGES = (Receiving, Complete)
COMMANDS = (ReceiveStatement, CompleteStatement)
TRANSITIONS = (  # (state, event, next state, deadline)
    ("-", StatementReceived, "receiving", "the same file again brings what is missing"),
    ("receiving", StatementReceived, "receiving", "the same file again brings what is missing"),
    ("receiving", StatementCompleted, "complete", ""),
    ("complete", StatementCompleted, "complete", ""),
    ("complete", StatementReceived, "receiving", "the same file again brings what is missing"),
)


def decide(known: Known, command: StatementCommand, at: datetime) -> tuple[StatementEvent, ...]:
    """The events that `command` causes at `at`, () when it was already said."""
    match command:
        case ReceiveStatement():
            return _received(known, command, at)
        case CompleteStatement():
            assert known is not None, "completed before it was received"
            return _completed(known, command, at)


def _received(known: Known, command: ReceiveStatement, at: datetime) -> tuple[StatementEvent, ...]:
    said = command.statement
    if known is not None and said.content == known.heads[-1]:
        return ()
    return (
        StatementReceived(
            statement_id=command.statement_id, head=known.head + 1 if known else 1, partner=said.partner,
            account=said.account, ledger_account=said.ledger_account, reference=said.reference, kind=said.kind,
            source=said.source, message=said.message, file_sha256=command.file_sha256, currency=said.currency,
            sequence=said.sequence, period_from=said.period_from, period_to=said.period_to, opening=said.opening,
            closing=said.closing, lines=len(said.lines), bad_lines=len(said.parked), not_booked=said.not_booked,
            received_at=at,
        ),
    )  # fmt: skip


def _completed(known: Receiving | Complete, fact: CompleteStatement, at: datetime) -> tuple[StatementEvent, ...]:
    if isinstance(known, Complete) and known.results[-1] == fact.result:
        return ()
    return (
        StatementCompleted(
            statement_id=fact.statement_id, delivery=known.delivery + 1, file_sha256=fact.file_sha256,
            lines=fact.lines, repeated=fact.repeated, parked=fact.parked, not_booked=fact.not_booked,
            credits_minor=fact.credits_minor, debits_minor=fact.debits_minor, difference_minor=fact.difference_minor,
            completed_at=at,
        ),
    )  # fmt: skip


def head_content(event: StatementReceived) -> str:
    """The digest of the head that an event says, as Statement.content makes it."""
    return Statement(
        kind=event.kind, source=event.source, message=event.message, partner=event.partner, account=event.account,
        reference=event.reference, currency=event.currency, sequence=event.sequence, period_from=event.period_from,
        period_to=event.period_to, opening=event.opening, closing=event.closing, lines=(),
        ledger_account=event.ledger_account,
    ).content  # fmt: skip


def evolve(known: Known, event: StatementEvent) -> Known:
    """Believes every stored event."""
    match event:
        case StatementReceived():
            heads = (*(known.heads if known else ()), head_content(event))[-KEPT:]
            results, delivery = (known.results, known.delivery) if known else ((), 0)
            return Receiving(heads=heads, head=event.head, results=results, delivery=delivery)
        case StatementCompleted():
            assert known is not None, "completed before it was received"
            result = f"{event.file_sha256} {event.lines} {event.repeated} {event.parked} {event.difference_minor}"
            results = (*known.results, result)[-KEPT:]
            return Complete(heads=known.heads, head=known.head, results=results, delivery=event.delivery)
