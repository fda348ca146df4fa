"""Balances of accounts: now, from the row beside each account, and as of a moment, from its postings."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any, Literal

from services.kernel.book import Reader
from services.kernel.book_moments import Moment

LINE_MAX = 32_767  # behind every line of an entry


def checkpoint(account: str, entry_seq: str) -> str:
    """SQL for what is known of an account at the newest checkpoint up to an entry: at most one row."""
    return f"""SELECT entry_seq, debit_minor, credit_minor FROM balance_at
               WHERE account_id = {account} AND entry_seq <= {entry_seq} ORDER BY entry_seq DESC LIMIT 1"""  # noqa: S608 - columns and $n


def sums(account: str, entry_seq: str, line: str = str(LINE_MAX)) -> str:
    """SQL for both sides of an account up to a line, from the newest checkpoint on; `OFFSET 0` keeps it one look-up."""
    return f"""SELECT (coalesce(max(k.debit_minor), 0)
                       + coalesce(sum(amount_minor) FILTER (WHERE side = 'debit'), 0))::bigint AS debit_minor,
                      (coalesce(max(k.credit_minor), 0)
                       + coalesce(sum(amount_minor) FILTER (WHERE side = 'credit'), 0))::bigint AS credit_minor
               FROM (VALUES (1)) one
               LEFT JOIN LATERAL ({checkpoint(account, f"{entry_seq} - ({line} < {LINE_MAX})::int")}) k ON true
               LEFT JOIN LATERAL (
                   SELECT side, amount_minor FROM posting
                   WHERE account_id = {account} AND (posting.entry_seq, posting.line) <= ({entry_seq}, {line})
                     AND posting.entry_seq > coalesce(k.entry_seq, 0) OFFSET 0) p ON true"""  # noqa: S608 - columns and $n


_ACCOUNT = (
    """a.account_id, a.kind, a.class AS account_class, c.normal_side, c.owner, a.currency, a.protected, a.opened_at"""
)
NOW = f"""SELECT {_ACCOUNT}, b.debit_minor, b.credit_minor, h.entry_seq
          FROM account a JOIN chart c USING (kind) JOIN balance b USING (account_id) CROSS JOIN book_head h
          WHERE a.account_id = ANY($1::text[])"""  # noqa: S608 - our own words
AS_OF = f"""SELECT {_ACCOUNT}, s.debit_minor, s.credit_minor, $2::bigint AS entry_seq
            FROM account a JOIN chart c USING (kind) CROSS JOIN LATERAL ({sums("a.account_id", "$2::bigint")}) s
            WHERE a.account_id = ANY($1::text[])"""  # noqa: S608 - our own words
POSITION = sums("$1::text", "$2::bigint", "$3::int")
# A page of the accounts of each kind, and of those the first ones: no kind is read further than a page goes.
LIST = f"""SELECT {_ACCOUNT}, b.debit_minor, b.credit_minor, h.entry_seq
           FROM (SELECT kind, normal_side, owner FROM chart
                 WHERE ($1::text IS NULL OR kind = $1) AND ($2::text IS NULL OR owner = $2)) c
           CROSS JOIN LATERAL (
               SELECT * FROM account WHERE kind = c.kind AND account_id COLLATE "C" > $4
                 AND ($3::text IS NULL OR currency = $3)
               ORDER BY account_id COLLATE "C" LIMIT $5) a
           JOIN balance b USING (account_id) CROSS JOIN book_head h
           ORDER BY a.account_id COLLATE "C" LIMIT $5"""  # noqa: S608 - our own words


@dataclass(frozen=True, kw_only=True, slots=True)
class AccountBalance:
    """An account with the sums of its two sides behind entry `entry_seq`, in minor units."""

    account_id: str
    kind: str
    account_class: str
    normal_side: Literal["debit", "credit"]
    owner: str
    currency: str
    protected: bool
    opened_at: datetime
    debit_minor: int
    credit_minor: int
    entry_seq: int

    @property
    def balance_minor(self) -> int:
        """On its normal side: what an asset is worth, what a liability owes. Below zero it stands on the other side."""
        return on_side(self.normal_side, self.debit_minor, self.credit_minor)


def on_side(normal_side: str, debit_minor: int, credit_minor: int) -> int:
    """Debits less credits where debits are normal, else credits less debits."""
    return debit_minor - credit_minor if normal_side == "debit" else credit_minor - debit_minor


async def balances(db: Reader, accounts: Sequence[str], at: Moment | None = None) -> dict[str, AccountBalance]:
    """Those of the accounts that there are, of one moment; the last one when `at` is None."""
    rows = await (db.fetch(NOW, list(accounts)) if at is None else db.fetch(AS_OF, list(accounts), at.entry_seq))
    return {row["account_id"]: _account(row) for row in rows}


async def position(db: Reader, account_id: str, entry_seq: int, line: int = LINE_MAX) -> tuple[int, int]:
    """(debits, credits) of an account up to a line of an entry, in minor units."""
    (row,) = await db.fetch(POSITION, account_id, entry_seq, line)
    return row[0], row[1]


async def accounts(
    db: Reader, limit: int, after: str = "", *, kind: str | None = None, owner: str | None = None,
    currency: str | None = None,
) -> list[AccountBalance]:  # fmt: skip
    """A page behind an account, in the order of the bytes of their ids."""
    return [_account(row) for row in await db.fetch(LIST, kind, owner, currency, after, limit)]


def _account(row: Any) -> AccountBalance:
    return AccountBalance(**dict(row))
