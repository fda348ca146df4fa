"""What the banks really accepted and paid. All SQL of payment, deposit and setting."""

from collections.abc import Sequence
from datetime import UTC, datetime
from sqlite3 import Connection
from typing import Any, NamedTuple

BULK_MAX = 500  # payments or deposits in one call, either way

ACCEPTED, IN_PROGRESS, SETTLED, REJECTED = "ACCP", "ACSP", "ACSC", "RJCT"  # ISO 20022 TxSts
OTHER_CONTENT = "DUPL"  # the id is known with another content

NEXT_SEQ = "SELECT max(coalesce((SELECT max(seq) FROM payment), 0), coalesce((SELECT max(seq) FROM deposit), 0)) + 1"
FIND = """SELECT end_to_end_id, amount_minor, currency, creditor_name, creditor_account, remittance_information,
                 seq, answer, answer_reason FROM payment WHERE end_to_end_id IN ({marks})"""
BOOK = "INSERT INTO payment VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, NULL)"
STATUS = """SELECT end_to_end_id, status, seq, amount_minor, currency, reason_code FROM payment
            WHERE end_to_end_id IN ({marks})"""
DUE = """SELECT seq, end_to_end_id, amount_minor, currency, creditor_name, creditor_account, remittance_information
         FROM payment WHERE status = 'ACSP' AND settle_ms <= ? ORDER BY settle_ms LIMIT ?"""
NEXT_DUE = "SELECT min(settle_ms) FROM payment WHERE status = 'ACSP'"
SETTLE = "UPDATE payment SET status = ?, reason_code = ?, settled_ms = ? WHERE seq = ? AND status = 'ACSP'"
FIND_DEPOSIT = """SELECT partner, reference, route, amount_minor, currency, transport, seq, booked_ms FROM deposit
                  WHERE partner = ? AND reference = ?"""
BOOK_DEPOSIT = "INSERT INTO deposit VALUES (?, ?, ?, ?, ?, ?, ?, ?, 'PENDING')"


class Payment(NamedTuple):
    """One instruction as Corridor gave it. Two of them are the same when all fields are."""

    end_to_end_id: str
    amount_minor: int
    currency: str
    creditor_name: str
    creditor_account: str
    remittance_information: str


class Ask(NamedTuple):
    """A payment and what the bank says to it: accepted, or refused with a reason; `paid_anyway` contradicts itself."""

    payment: Payment
    reason_code: str | None = None
    paid_anyway: bool = False


class Held(NamedTuple):
    """A payment in the book, with the answer that was given when it was booked."""

    payment: Payment
    seq: int
    answer: str
    answer_reason: str | None


class Due(NamedTuple):
    seq: int
    payment: Payment


class Settlement(NamedTuple):
    """How a payment ends: settled, or rejected with a reason."""

    status: str
    reason_code: str | None
    settled_ms: int
    seq: int


class Deposit(NamedTuple):
    """Money that a collecting bank received."""

    partner: str
    reference: str
    route: str
    amount_minor: int
    currency: str
    transport: str


class BookedDeposit(NamedTuple):
    deposit: Deposit
    seq: int
    booked_ms: int
    fresh: bool  # False: booked before, only reported again


class OtherContent(ValueError):
    """A reference that the bank has given to other money already."""


def accept(db: Connection, asks: Sequence[Ask], at_ms: int, settle_ms: int) -> list[dict[str, Any]]:
    """Books what is new and answers everything. A repeat gets its first answer, another content never a booking."""
    held = _find(db, [ask.payment.end_to_end_id for ask in asks])
    seq, fresh, answers = next_seq(db), [], []
    for ask in asks:
        known = held.get(ask.payment.end_to_end_id)
        if known is None:
            known = held[ask.payment.end_to_end_id] = _decide(ask, seq)
            fresh.append(_row(ask, known, at_ms, settle_ms))
            seq += 1
        answers.append(_answer(known, ask.payment))
    db.executemany(BOOK, fresh)
    return answers


def next_seq(db: Connection) -> int:
    """Payments and deposits share one sequence, so that the book can be read in order."""
    (seq,) = db.execute(NEXT_SEQ).fetchone()
    return int(seq)


def bank_reference(seq: int) -> str:
    """The bank's own reference of a payment."""
    return f"BK{seq:012d}"


def statuses(db: Connection, ids: Sequence[str]) -> dict[str, dict[str, Any]]:
    rows = db.execute(STATUS.format(marks=_marks(ids)), ids)
    return {row[0]: _status(row) for row in rows}


def due(db: Connection, now_ms: int) -> list[Due]:
    rows = db.execute(DUE, (now_ms, BULK_MAX))
    return [Due(row[0], Payment._make(row[1:])) for row in rows]


def next_due_ms(db: Connection) -> int | None:
    (at_ms,) = db.execute(NEXT_DUE).fetchone()
    return None if at_ms is None else int(at_ms)


def settle(db: Connection, settlements: Sequence[Settlement]) -> None:
    db.executemany(SETTLE, settlements)


def receive(db: Connection, deposits: Sequence[Deposit], at_ms: int) -> list[BookedDeposit]:
    """Books money received. The same deposit again is not booked twice. Raises OtherContent."""
    seq, booked = next_seq(db), []
    for deposit in deposits:
        known = db.execute(FIND_DEPOSIT, deposit[:2]).fetchone()
        if known is None:
            db.execute(BOOK_DEPOSIT, (seq, *deposit, at_ms))
            booked.append(BookedDeposit(deposit, seq, at_ms, fresh=True))
            seq += 1
        elif known[2:5] != deposit[2:5]:
            raise OtherContent(f"{deposit.partner} has booked {deposit.reference} with another content")
        else:
            booked.append(BookedDeposit(deposit, known[6], known[7], fresh=False))
    return booked


def put_setting(db: Connection, name: str, value: str) -> None:
    db.execute("INSERT OR REPLACE INTO setting VALUES (?, ?)", (name, value))


def setting(db: Connection, name: str) -> str | None:
    row = db.execute("SELECT value FROM setting WHERE name = ?", (name,)).fetchone()
    return None if row is None else str(row[0])


def rfc3339(at_ms: int) -> str:
    """Milliseconds since 1970 as a UTC time with milliseconds."""
    return datetime.fromtimestamp(at_ms / 1000, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def _find(db: Connection, ids: Sequence[str]) -> dict[str, Held]:
    rows = db.execute(FIND.format(marks=_marks(ids)), ids)
    return {row[0]: Held(Payment._make(row[:6]), row[6], row[7], row[8]) for row in rows}


def _decide(ask: Ask, seq: int) -> Held:
    return Held(ask.payment, seq, ACCEPTED if ask.reason_code is None else REJECTED, ask.reason_code)


def _row(ask: Ask, held: Held, at_ms: int, settle_ms: int) -> tuple[Any, ...]:
    """The same order as the columns. A refused payment is in the book too, and never due."""
    pays = held.answer == ACCEPTED or ask.paid_anyway
    status, reason = (IN_PROGRESS, None) if pays else (REJECTED, ask.reason_code)
    return (held.seq, *ask.payment, held.answer, held.answer_reason, status, reason, at_ms, settle_ms)


def _answer(held: Held, asked: Payment) -> dict[str, Any]:
    same = held.payment == asked
    return {
        "end_to_end_id": asked.end_to_end_id,
        "status": held.answer if same else REJECTED,
        "reason_code": held.answer_reason if same else OTHER_CONTENT,
        "reference": bank_reference(held.seq),
    }


def _status(row: tuple[str, str, int, int, str, str | None]) -> dict[str, Any]:
    end_to_end_id, status, seq, amount_minor, currency, reason = row
    return {
        "end_to_end_id": end_to_end_id,
        "status": status,
        "reference": bank_reference(seq),
        "amount_minor": amount_minor,
        "currency": currency,
        "reason_code": reason,
    }


def _marks(values: Sequence[str]) -> str:
    return ",".join("?" * len(values))
