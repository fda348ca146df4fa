"""What still has to be told to Corridor, and what became of it. All SQL of delivery."""

from collections.abc import Collection, Sequence
from sqlite3 import Connection
from typing import NamedTuple

ADD = """INSERT INTO delivery (lane, about, target, partner, body, items, first_seq, last_seq, flaw, copy,
                               created_ms, due_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)"""
DUE = """SELECT id, attempts, lane, about, target, partner, body, items, first_seq, last_seq, flaw, copy, created_ms,
         due_ms FROM delivery WHERE state = 'PENDING' AND lane = ? AND due_ms <= ? AND id NOT IN ({marks})
         ORDER BY due_ms LIMIT ?"""
NEXT_DUE = "SELECT min(due_ms) FROM delivery WHERE state = 'PENDING' AND lane = ? AND id NOT IN ({marks})"
PENDING = "SELECT count(*) FROM delivery WHERE state = 'PENDING'"
RETRY = "UPDATE delivery SET attempts = attempts + 1, due_ms = ?, last_answer = ? WHERE id = ?"
END = "UPDATE delivery SET attempts = attempts + 1, state = ?, last_answer = ?, body = NULL WHERE id = ?"
REPORTED = "UPDATE deposit SET state = ? WHERE seq BETWEEN ? AND ? AND state <> 'ACKNOWLEDGED'"


class Delivery(NamedTuple):
    """One call, or one batch of records, to send until it is acknowledged. Times are milliseconds since 1970."""

    lane: str  # http | kafka
    about: str  # deposit | callback
    target: str  # the path at Corridor, or the topic
    partner: str
    body: bytes  # http: the body; kafka: a line `route TAB value` for each record
    items: int
    first_seq: int | None  # the deposits that this delivery reports, a closed range; None: it settles nobody's state
    last_seq: int | None
    flaw: str  # '' | malformed | bad_signature: sent once, only to be refused
    copy: int  # 0: the original; a duplicate has an id of its own
    created_ms: int
    due_ms: int


class Pending(NamedTuple):
    id: int
    attempts: int
    delivery: Delivery


class Look(NamedTuple):
    """What is due, and when something else is."""

    due: list[Pending]
    next_due_ms: int | None


class Verdict(NamedTuple):
    """What came of one attempt. `state` ends it; None: again at `due_ms`."""

    pending: Pending
    state: str | None
    due_ms: int
    answer: str


def add(db: Connection, deliveries: Sequence[Delivery]) -> None:
    db.executemany(ADD, deliveries)


def look(db: Connection, *, lane: str, now_ms: int, in_flight: Sequence[int], limit: int) -> Look:
    """At most `limit` deliveries to send now. Both answers in one visit, as a visit to the reader's thread costs."""
    rows = db.execute(DUE.format(marks=_marks(in_flight)), (lane, now_ms, *in_flight, limit))
    due = [Pending(row[0], row[1], Delivery._make(row[2:])) for row in rows]
    known = [*in_flight, *(pending.id for pending in due)]
    (at_ms,) = db.execute(NEXT_DUE.format(marks=_marks(known)), (lane, *known)).fetchone()
    return Look(due, None if at_ms is None else int(at_ms))


def pending(db: Connection) -> int:
    (count,) = db.execute(PENDING).fetchone()
    return int(count)


def record(db: Connection, verdict: Verdict) -> None:
    """Keeps the outcome of an attempt. A lost outcome means one more attempt, as it would at a real bank."""
    if verdict.state is None:
        db.execute(RETRY, (verdict.due_ms, verdict.answer, verdict.pending.id))
        return
    db.execute(END, (verdict.state, verdict.answer, verdict.pending.id))
    delivery = verdict.pending.delivery
    if delivery.first_seq is not None:
        db.execute(REPORTED, (verdict.state, delivery.first_seq, delivery.last_seq))


def _marks(values: Collection[int]) -> str:
    return ",".join("?" * len(values))
