"""The trial balance: both sides of everything, of one moment, by kind of account and currency."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from services.kernel.book import Reader, Total
from services.kernel.book_balances import checkpoint
from services.kernel.book_moments import Moment

# Accounts of customers can be without number, so a kind of theirs is one row; every other account is a row. They are
# summed before they are joined: a kind of customers is one word, as a test holds the chart to.
_SUMMED = """SELECT c.kind, c.class AS account_class, c.normal_side, c.owner, s.currency,
                    CASE WHEN a.account_id IS NOT NULL THEN s.name END AS account_id,
                    s.accounts, s.debit_minor, s.credit_minor, s.entry_seq
             FROM (SELECT currency,
                          CASE WHEN account_id ^@ ANY (ARRAY(SELECT kind || ':' FROM chart WHERE owner = 'customer'))
                               THEN split_part(account_id, ':', 1) ELSE account_id END AS name,
                          count(*) AS accounts, sum(debit_minor)::bigint AS debit_minor,
                          sum(credit_minor)::bigint AS credit_minor, max(entry_seq) AS entry_seq
                   FROM {source} every_account GROUP BY 1, 2) s
             LEFT JOIN account a ON a.account_id = s.name
             JOIN chart c ON c.kind = coalesce(a.kind, s.name)
             ORDER BY c.kind, s.currency, s.name"""
NOW = _SUMMED.format(
    source="(SELECT account_id, currency, debit_minor, credit_minor, h.entry_seq FROM balance CROSS JOIN book_head h)"
)
# Each account's newest checkpoint, and what was posted since the last of them: checkpoints are closed for all accounts
# that have moved, at the same number.
AS_OF = f"""WITH base AS MATERIALIZED (
                SELECT a.account_id, a.currency, k.entry_seq, k.debit_minor, k.credit_minor
                FROM account a CROSS JOIN LATERAL ({checkpoint("a.account_id", "$1::bigint")}) k
            ), since AS MATERIALIZED (
                SELECT account_id, currency,
                       coalesce(sum(amount_minor) FILTER (WHERE side = 'debit'), 0)::bigint AS debit_minor,
                       coalesce(sum(amount_minor) FILTER (WHERE side = 'credit'), 0)::bigint AS credit_minor
                FROM posting WHERE entry_seq > (SELECT coalesce(max(entry_seq), 0) FROM base) AND entry_seq <= $1
                GROUP BY 1, 2
            ), moved AS (
                SELECT account_id, currency, coalesce(b.debit_minor, 0) + coalesce(n.debit_minor, 0) AS debit_minor,
                       coalesce(b.credit_minor, 0) + coalesce(n.credit_minor, 0) AS credit_minor,
                       $1::bigint AS entry_seq
                FROM base b FULL JOIN since n USING (account_id, currency)
            )
            {_SUMMED.format(source="moved")}"""  # noqa: S608 - our own words


@dataclass(frozen=True, kw_only=True, slots=True)
class Summed:
    """Both sides of an account, or of all accounts of a customers' kind in a currency (`account_id` None)."""

    kind: str
    account_class: str
    normal_side: str
    owner: str
    currency: str
    account_id: str | None
    accounts: int
    debit_minor: int
    credit_minor: int
    entry_seq: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Kind:
    """Both sides of all accounts of a kind in a currency."""

    kind: str
    account_class: str
    normal_side: str
    currency: str
    accounts: int
    debit_minor: int
    credit_minor: int


@dataclass(frozen=True, kw_only=True, slots=True)
class Trial:
    """One moment: all that there is (`entry_seq` 0: the books are empty)."""

    entry_seq: int
    rows: tuple[Summed, ...]

    @property
    def totals(self) -> tuple[Total, ...]:
        """By currency; equal sides, or the books are broken."""
        return tuple(
            Total(currency=currency, debit_minor=debit, credit_minor=credit)
            for (currency,), debit, credit, _ in _grouped(self.rows, lambda row: (row.currency,))
        )

    @property
    def kinds(self) -> tuple[Kind, ...]:
        """By kind and currency."""
        return tuple(
            Kind(
                kind=kind, account_class=klass, normal_side=normal, currency=currency, accounts=accounts,
                debit_minor=debit, credit_minor=credit,
            )
            for (kind, klass, normal, currency), debit, credit, accounts in _grouped(
                self.rows, lambda row: (row.kind, row.account_class, row.normal_side, row.currency)
            )
        )  # fmt: skip


async def trial(db: Reader, at: Moment | None = None) -> Trial:
    """In one statement, so that all of it belongs together; the last moment when `at` is None."""
    found = await (db.fetch(NOW) if at is None else db.fetch(AS_OF, at.entry_seq))
    rows = tuple(Summed(**dict(row)) for row in found)
    return Trial(entry_seq=max((row.entry_seq for row in rows), default=at.entry_seq if at else 0), rows=rows)


def _grouped(
    rows: Sequence[Summed], key: Callable[[Summed], tuple[str, ...]]
) -> list[tuple[tuple[Any, ...], int, int, int]]:
    """(key, debits, credits, accounts), in the keys' order."""
    sums: dict[tuple[str, ...], tuple[int, int, int]] = {}
    for row in rows:
        debit, credit, accounts = sums.get(key(row), (0, 0, 0))
        sums[key(row)] = (debit + row.debit_minor, credit + row.credit_minor, accounts + row.accounts)
    return [(named, *sums[named]) for named in sorted(sums)]
