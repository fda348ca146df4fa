"""Do the books hold? Their invariants over the rows alone, set by set, whatever constraints and triggers say.

All in one snapshot, read only. What takes long goes range by range and tells how far it is.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from itertools import pairwise
from typing import Any, NamedTuple

import asyncpg

from services.kernel.progress import Clock, Reports

SHOWN_MAX = 10  # of a check, in words; all are counted
RANGE = 50_000  # entries that one statement looks at
EDGES = (-(2**63), 2**63 - 1)


class Finding(NamedTuple):
    """Something that is wrong: `what`, of an `entry`, `account`, `event`, `stream`, `currency` or `table`."""

    of: str
    id: str
    what: str


@dataclass
class Verdict:
    """What came of one check."""

    looked: int = 0  # at so many rows
    wrong: int = 0
    waiting: int = 0  # not wrong yet: on its way
    seconds: float = 0.0
    examples: list[Finding] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def add(self, finding: Finding, count: int = 1) -> None:
        """One more, or one that stands for several."""
        self.wrong += count
        if len(self.examples) < SHOWN_MAX:
            self.examples.append(finding)


class Verdicts:
    """By the name of the check; only of those that somebody wants."""

    def __init__(self, names: Sequence[str]) -> None:
        self.of: dict[str, Verdict] = {name: Verdict() for name in names}
        self.counts: Counter[str] = Counter()

    def __contains__(self, name: str) -> bool:
        return name in self.of

    def add(self, name: str, finding: Finding, count: int = 1) -> None:
        """Nothing when nobody has asked for that check."""
        if name in self.of:
            self.of[name].add(finding, count)

    @contextmanager
    def timed(self, name: str) -> Iterator[Verdict]:
        """The seconds inside are this check's."""
        began = time.monotonic()
        try:
            yield self.of[name]
        finally:
            self.of[name].seconds += time.monotonic() - began

    @property
    def is_clean(self) -> bool:
        """No check has found anything."""
        return not any(verdict.wrong for verdict in self.of.values())


@dataclass(frozen=True, kw_only=True)
class Chart:
    """What an account may be, by the domain: kind -> (class, protected)."""

    kinds: Mapping[str, tuple[str, bool]]

    @property
    def columns(self) -> tuple[list[str], list[str], list[bool]]:
        """For unnest."""
        return (
            list(self.kinds), [each[0] for each in self.kinds.values()], [each[1] for each in self.kinds.values()],
        )  # fmt: skip

    @property
    def protected(self) -> tuple[list[str]]:
        """How the accounts begin that are never overdrawn."""
        return ([f"{kind}:" for kind, (_, protected) in self.kinds.items() if protected],)


class Question(NamedTuple):
    """A statement that answers with what is wrong: id, words. `ranged`: over entry_seq >= $1 AND entry_seq < $2."""

    check: str
    of: str
    sql: str
    ranged: bool = False
    values: Callable[[Chart], tuple[Any, ...]] = lambda chart: ()


_SIGNED = "CASE side WHEN 'debit' THEN amount_minor ELSE -amount_minor END"
_PATH = "'[^:]+$'"  # the currency, at the end of an account's path
QUESTIONS: tuple[Question, ...] = (
    Question("numbers", "entry", """
        SELECT entry_seq, format('comes after entry %s', before)
        FROM (SELECT entry_seq, lag(entry_seq, 1, 0::bigint) OVER (ORDER BY entry_seq) AS before FROM entry) n
        WHERE entry_seq <> before + 1"""),
    Question("numbers", "table", """
        SELECT 'book_head', format('says %s, the last entry is %s', coalesce(h.said, '{{}}'), last)
        FROM (SELECT array_agg(entry_seq) AS said FROM book_head) h,
             (SELECT coalesce(max(entry_seq), 0) AS last FROM entry) e
        WHERE h.said IS DISTINCT FROM ARRAY[last]"""),
    Question("L1", "entry", """
        SELECT entry_seq, format('debits are %s and credits %s %s', sum(amount_minor) FILTER (WHERE side = 'debit'),
                                 sum(amount_minor) FILTER (WHERE side <> 'debit'), currency)
        FROM posting WHERE entry_seq >= $1 AND entry_seq < $2 GROUP BY entry_seq, currency
        HAVING sum({signed}) <> 0""", ranged=True),
    Question("L2", "currency", """
        SELECT currency, format('all debits are %s and all credits %s', sum(amount_minor) FILTER (WHERE side = 'debit'),
                                sum(amount_minor) FILTER (WHERE side <> 'debit'))
        FROM posting GROUP BY currency HAVING sum({signed}) <> 0"""),
    Question("L3", "entry", """
        SELECT entry_seq, format('has %s lines', count(p.line))
        FROM entry LEFT JOIN posting p USING (entry_seq) WHERE entry_seq >= $1 AND entry_seq < $2
        GROUP BY entry_seq HAVING count(p.line) < 2""", ranged=True),
    Question("L3", "entry", """
        SELECT entry_seq, format('line %s: %s %s %s to %s', line, side, amount_minor, p.currency,
                                 CASE WHEN a.account_id IS NULL THEN 'what is no account: ' || p.account_id
                                      ELSE p.account_id || ', an account of ' || a.currency END)
        FROM posting p LEFT JOIN account a USING (account_id) WHERE entry_seq >= $1 AND entry_seq < $2
            AND (a.currency IS DISTINCT FROM p.currency OR amount_minor <= 0
                 OR side NOT IN ('debit', 'credit'))""", ranged=True),
    Question("L3", "entry", """
        SELECT entry_seq, format('line %s belongs to no entry', line)
        FROM posting p WHERE entry_seq >= $1 AND entry_seq < $2
            AND NOT EXISTS (SELECT FROM entry e WHERE e.entry_seq = p.entry_seq)""", ranged=True),
    Question("L4", "account", """
        SELECT account_id, format('is overdrawn by %s from entry %s on', max(below), min(entry_seq))
        FROM (SELECT account_id, entry_seq,
                     sum({signed}) OVER (PARTITION BY account_id ORDER BY entry_seq) AS below
              FROM posting WHERE account_id ^@ ANY($1)) prefixes
        WHERE below > 0 GROUP BY account_id""", values=lambda chart: chart.protected),
    Question("L6", "account", """
        SELECT account_id, format('balance_at entry %s says %s and %s, its postings up to there %s and %s', entry_seq,
                                  debit_minor, credit_minor, debit, credit)
        FROM balance_at FULL JOIN (
            SELECT account_id, seq_to AS entry_seq, sum(d) OVER w AS debit, sum(c) OVER w AS credit
            FROM block CROSS JOIN LATERAL (
                SELECT account_id, coalesce(sum(amount_minor) FILTER (WHERE side = 'debit'), 0) AS d,
                       coalesce(sum(amount_minor) FILTER (WHERE side <> 'debit'), 0) AS c
                FROM posting WHERE entry_seq >= seq_from AND entry_seq <= seq_to GROUP BY account_id) moved
            WINDOW w AS (PARTITION BY account_id ORDER BY seq_to)) sums USING (account_id, entry_seq)
        WHERE (debit_minor, credit_minor) IS DISTINCT FROM (debit, credit)"""),
    Question("L7", "event", """
        SELECT cause_id, format('has caused entries %s, all %s', array_agg(entry_seq ORDER BY entry_seq), kind)
        FROM entry GROUP BY cause_id, kind HAVING count(*) > 1"""),
    Question("L7", "entry", """
        SELECT min(entry_seq), format('entries %s have one id', array_agg(entry_seq ORDER BY entry_seq))
        FROM entry GROUP BY entry_id HAVING count(*) > 1"""),
    Question("L9", "account", """
        SELECT account_id, format('balance says debits %s, credits %s; its postings %s and %s', debit_minor,
                                  credit_minor, coalesce(debit, 0), coalesce(credit, 0))
        FROM balance b FULL JOIN (
            SELECT account_id, sum(amount_minor) FILTER (WHERE side = 'debit') AS debit,
                   sum(amount_minor) FILTER (WHERE side <> 'debit') AS credit
            FROM posting GROUP BY account_id) p USING (account_id)
        WHERE (debit_minor, credit_minor) IS DISTINCT FROM (coalesce(debit, 0), coalesce(credit, 0))"""),
    Question("chart", "account", """
        SELECT account_id, format('is %s, %s, %s, %s', a.kind, a.class, a.currency,
                                  CASE WHEN a.protected THEN 'protected' ELSE 'not protected' END)
        FROM account a LEFT JOIN unnest($1::text[], $2::text[], $3::boolean[]) c(kind, class, protected) USING (kind)
        WHERE c.kind IS NULL OR (a.class, a.protected) <> (c.class, c.protected)
            OR NOT starts_with(account_id, a.kind || ':') OR a.currency <> substring(account_id FROM {path})""",
        values=lambda chart: chart.columns),
    Question("chart", "account", """
        SELECT account_id, format('its balance is of %s and %s', b.currency,
                                  CASE WHEN b.protected THEN 'protected' ELSE 'not protected' END)
        FROM balance b LEFT JOIN account a USING (account_id)
        WHERE (b.currency, b.protected) IS DISTINCT FROM (a.currency, a.protected)"""),
    Question("L10a", "event", """
        SELECT e.event_id, format('is version %s, and does not follow the event before it', e.version)
        FROM event e LEFT JOIN event p ON p.stream_id = e.stream_id AND p.version = e.version - 1
        WHERE e.version > 1 AND p.hash IS DISTINCT FROM e.prev_hash"""),
    Question("L10a", "event", """
        SELECT e.event_id, format('is version %s, beyond the head of its stream', e.version)
        FROM event e LEFT JOIN stream_state s USING (stream_id) WHERE e.version > coalesce(s.version, 0)"""),
    Question("L10a", "stream", """
        SELECT s.stream_id, format('its head is version %s, which is no event, or another', s.version)
        FROM stream_state s LEFT JOIN event e USING (stream_id, version) WHERE e.hash IS DISTINCT FROM s.hash"""),
    Question("L10a", "account", """
        SELECT account_id, format('was opened at %s, first posted to at %s', a.opened_at, e.posted_at)
        FROM account a
        LEFT JOIN LATERAL (
            SELECT min(entry_seq) AS entry_seq FROM posting p WHERE p.account_id = a.account_id) f ON true
        LEFT JOIN entry e USING (entry_seq)
        WHERE a.opened_at IS DISTINCT FROM e.posted_at"""),
)  # fmt: skip
COUNTED = "SELECT count(*) OVER (), q.* FROM ({sql}) AS q(id, what) LIMIT {limit}"


async def ask(
    connection: asyncpg.Connection[Any], verdicts: Verdicts, chart: Chart, head: int, reports: Reports
) -> None:
    """All questions of the checks that are wanted, one after the other."""
    wanted = [each for each in QUESTIONS if each.check in verdicts]
    ranges = list(_ranges(head))
    clock = Clock(reports, "rows", head * len(wanted))
    done = 0
    for each in wanted:
        sql = COUNTED.format(sql=each.sql.format(signed=_SIGNED, path=_PATH), limit=SHOWN_MAX)
        with verdicts.timed(each.check) as verdict:
            for bounds in ranges if each.ranged else [()]:
                for count, found, what in await _shown(connection, sql, *bounds, *each.values(chart)):
                    verdict.add(Finding(each.of, str(found), what), count)
                done += max(0, min(bounds[1], head + 1) - max(bounds[0], 1)) if bounds else head
                clock.tell(done)
    clock.tell(done, last=True)


async def _shown(connection: asyncpg.Connection[Any], sql: str, *values: Any) -> list[tuple[int, Any, str]]:
    """(how many this one stands for, id, words): the first stands for those that are not shown too."""
    rows = await connection.fetch(sql, *values)
    return [(row[0] - len(rows) + 1 if index == 0 else 1, row[1], row[2]) for index, row in enumerate(rows)]


def _ranges(head: int) -> Iterator[tuple[int, int]]:
    """Of entry_seq: all that there can be, those that there should be in even parts."""
    cuts = [EDGES[0], *range(1, head + 1, RANGE), head + 1, EDGES[1]]
    yield from ((low, high) for low, high in pairwise(cuts) if low < high)
