"""The life of a statement's line: recorded once, and never overwritten; what contradicts it is parked. Pure."""

from __future__ import annotations

from datetime import datetime
from typing import ClassVar
from uuid import UUID

from contracts.recon.v1 import LineEvent, StatementLineParked, StatementLineRecorded
from services.kernel.decider import NOTHING_SEEN, Claim, Seen
from services.kernel.ids import derive
from services.kernel.value import value
from services.reconciliation.domain.statements.shape import Park, ParkedLine, Statement, StatementLine

CLAIM = "statement-entry"  # an entry that its servicer named, once for each account
KEPT = 32  # digests of parked contents that a state remembers


@value(kw_only=True)
class RecordLine:
    """The partner says that it booked this."""

    line_id: UUID
    statement_id: UUID
    partner: str
    account: str
    line: StatementLine
    seen: Seen = NOTHING_SEEN


@value(kw_only=True)
class ParkLine:
    """A line that cannot be read."""

    line_id: UUID
    statement_id: UUID
    line: ParkedLine


@value(kw_only=True)
class Recorded:
    """It is in the books as it was said first. `parked`: digests of other contents under its reference."""

    state: ClassVar[str] = "recorded"

    content: str
    parked: tuple[str, ...] = ()


@value(kw_only=True)
class Parked:
    """Nothing is recorded; a corrected line may still be."""

    state: ClassVar[str] = "parked"

    parked: tuple[str, ...]


Known = Recorded | Parked | None  # None: no such line
LineCommand = RecordLine | ParkLine
STAGES = (Recorded, Parked)
COMMANDS = (RecordLine, ParkLine)
TRANSITIONS = (  # (state, event, next state, deadline)
    ("-", StatementLineRecorded, "recorded", ""),
    ("-", StatementLineParked, "parked", "a person looks → `STATEMENT_LINES_PARKED`"),
    ("recorded", StatementLineParked, "recorded", "a person looks → `STATEMENT_LINES_PARKED`"),
    ("parked", StatementLineParked, "parked", "a person looks → `STATEMENT_LINES_PARKED`"),
    ("parked", StatementLineRecorded, "recorded", ""),
)


def claims(partner: str, account: str, line: StatementLine) -> tuple[Claim, ...]:
    """An entry that its servicer named is one entry, in however many statements it stands."""
    if line.reference_by != "servicer":
        return ()
    return (Claim(CLAIM, f"{partner}\x1f{account}\x1f{line.entry_reference}", line.money),)


def decide(known: Known, command: LineCommand, at: datetime) -> tuple[LineEvent, ...]:
    """Recorded once; () when that is known, here or under an earlier statement; parked when it says something else."""
    match command:
        case ParkLine(line=line):
            return _parked(known, command, line.code, line.reason, line.content, line.raw, line.entry_reference, at)
        case RecordLine(line=line):
            if isinstance(known, Recorded):
                if known.content == line.content:
                    return ()
                return _contradicts(known, command, Park.CONTENT_DIFFERS, "it is recorded with another content", at)
            owner = command.seen.owners.get(CLAIM)
            if owner is None or owner.stream_id == command.line_id:
                return (_recorded(command, at),)
            if owner.content == line.money:
                return ()
            words = f"another statement has this entry as {owner.content}, this one as {line.money}"
            return _contradicts(known, command, Park.ENTRY_DIFFERS_ELSEWHERE, words, at)


def repeated(known: Known, command: RecordLine) -> bool:
    """Whether the line is recorded under an earlier statement, with the same money."""
    owner = command.seen.owners.get(CLAIM)
    elsewhere = owner is not None and owner.stream_id != command.line_id and owner.content == command.line.money
    return elsewhere and not isinstance(known, Recorded)


def _recorded(command: RecordLine, at: datetime) -> StatementLineRecorded:
    line = command.line
    return StatementLineRecorded(
        line_id=command.line_id, statement_id=command.statement_id, partner=command.partner, account=command.account,
        entry_reference=line.entry_reference, reference_by=line.reference_by, position=line.position,
        booking_date=line.booking_date, value_date=line.value_date, amount=line.amount, side=line.side,
        reversal=line.reversal, bank_transaction_code=line.bank_transaction_code, end_to_end_id=line.end_to_end_id,
        our_reference=line.our_reference, references=line.references, charges=line.charges, details=line.details,
        details_left_out=line.details_left_out, recorded_at=at,
    )  # fmt: skip


def _contradicts(known: Known, command: RecordLine, code: Park, reason: str, at: datetime) -> tuple[LineEvent, ...]:
    line = command.line
    return _parked(known, command, code, reason, line.content, line.raw, line.entry_reference, at)


def _parked(
    known: Known, command: LineCommand, code: Park, reason: str, content: str, raw: str, reference: str | None,
    at: datetime,
) -> tuple[LineEvent, ...]:  # fmt: skip
    parked_id = derive("parked-line", command.line_id, content)
    if known is not None and str(parked_id) in known.parked:
        return ()
    return (
        StatementLineParked(
            parked_id=parked_id, line_id=command.line_id, statement_id=command.statement_id,
            position=command.line.position, entry_reference=reference, code=code.value, reason=reason, raw=raw,
            parked_at=at,
        ),
    )  # fmt: skip


def evolve(known: Known, event: LineEvent) -> Known:
    """Believes every stored event."""
    parked = known.parked if known else ()
    match event:
        case StatementLineRecorded():
            return Recorded(content=content_of(event), parked=parked)
        case StatementLineParked():
            kept = (*parked, str(event.parked_id))[-KEPT:]
            return Recorded(content=known.content, parked=kept) if isinstance(known, Recorded) else Parked(parked=kept)


def content_of(event: StatementLineRecorded) -> str:
    """The digest of a recorded line, as StatementLine.content makes it."""
    return StatementLine(
        position=event.position, entry_reference=event.entry_reference, reference_by=event.reference_by,
        booking_date=event.booking_date, value_date=event.value_date, amount=event.amount, side=event.side,
        reversal=event.reversal, bank_transaction_code=event.bank_transaction_code,
        end_to_end_id=event.end_to_end_id, our_reference=event.our_reference, references=event.references,
        charges=event.charges, details=event.details, details_left_out=event.details_left_out,
    ).content  # fmt: skip


def inside(statement: Statement) -> tuple[tuple[StatementLine, ...], tuple[ParkedLine, ...]]:
    """The lines of a file, and what of it is parked: also a second line under a reference that the file has already."""
    found: dict[str, StatementLine] = {}
    parked = list(statement.parked)
    for line in statement.lines:
        first = found.setdefault(line.entry_reference, line)
        if first is not line:
            reason = f"this file has the reference already, at {first.position}"
            parked.append(
                ParkedLine(
                    position=line.position, code=Park.REFERENCE_TWICE, reason=reason, raw=line.raw,
                    entry_reference=line.entry_reference,
                )
            )  # fmt: skip
    return tuple(found.values()), tuple(parked)
