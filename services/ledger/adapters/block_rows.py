"""The rows of a block, written with the event that closes it: the block itself, and the accounts that moved in it.

What the accounts were is summed up in the database, from the postings themselves: nothing of it goes over the wire.
"""

from __future__ import annotations

import json
from typing import Any

from contracts.ledger.v1 import BlockClosed
from services.kernel.engine import Beside
from services.kernel.parts import Part, typed
from services.kernel.store import Write

PARTS: tuple[Part, ...] = (
    Part(
        "block",
        typed(
            "number bigint, seq_from bigint, seq_to bigint, entries bigint, postings bigint, sums text, digest bytea,"
            "prev_digest bytea, closed_at timestamptz"
        ),
        """INSERT INTO block (number, seq_from, seq_to, entries, postings, sums, digest, prev_digest, closed_at)
           SELECT number, seq_from, seq_to, entries, postings, sums::jsonb, digest, prev_digest, closed_at
           FROM {rows}""",
        None,
    ),
    Part(
        "balance_at",
        typed("seq_from bigint, seq_to bigint"),
        """INSERT INTO balance_at (account_id, entry_seq, debit_minor, credit_minor)
           SELECT m.account_id, r.seq_to, coalesce(b.debit_minor, 0) + m.debit, coalesce(b.credit_minor, 0) + m.credit
           FROM {rows}
           CROSS JOIN LATERAL (
               SELECT account_id, coalesce(sum(amount_minor) FILTER (WHERE side = 'debit'), 0)::bigint AS debit,
                      coalesce(sum(amount_minor) FILTER (WHERE side = 'credit'), 0)::bigint AS credit
               FROM posting WHERE entry_seq BETWEEN r.seq_from AND r.seq_to GROUP BY account_id) m
           LEFT JOIN LATERAL (
               SELECT debit_minor, credit_minor FROM balance_at
               WHERE account_id = m.account_id AND entry_seq < r.seq_from ORDER BY entry_seq DESC LIMIT 1) b ON true
           ORDER BY m.account_id""",
        None,
    ),
)


def beside(closed: BlockClosed, write: Write, _before: Any = None) -> None:
    """The rows that follow from the event."""
    sums = json.dumps({each.currency: [each.debit_minor, each.credit_minor] for each in closed.sums})
    write.add(
        "block",
        (
            closed.number, closed.seq_from, closed.seq_to, closed.entries, closed.postings, sums,
            bytes.fromhex(closed.digest), bytes.fromhex(closed.prev_digest), closed.closed_at,
        ),
    )  # fmt: skip
    write.add("balance_at", (closed.seq_from, closed.seq_to))


ALSO_OF: dict[type, Beside] = {BlockClosed: beside}
