"""The bytes that a digest is made of are fixed for ever: whoever recomputes one years later finds the same."""

from __future__ import annotations

from dataclasses import replace
from datetime import UTC, datetime, timedelta, timezone
from hashlib import sha256
from typing import Any
from uuid import UUID

import pytest

from services.kernel.book import BookedEntry, BookedLine
from services.ledger.domain.blocks import GENESIS, canonical, digest

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
BANK = BookedLine(line=1, account_id="safeguarding:bank:GBP", currency="GBP", side="debit", amount_minor=500)
HELD = BookedLine(line=2, account_id="suspense:deposits:GBP", currency="GBP", side="credit", amount_minor=500)
ENTRY = BookedEntry(
    entry_id=UUID(int=1), cause_id=UUID(int=2), kind="deposit.observed", transfer_id=None, caused_at=AT,
    posted_at=AT + timedelta(microseconds=7), entry_seq=1, lines=(BANK, HELD),
)  # fmt: skip


def test_the_bytes_of_an_entry_are_one_line_of_json() -> None:
    assert canonical(ENTRY) == (
        b'[1,"00000000-0000-0000-0000-000000000001","00000000-0000-0000-0000-000000000002","deposit.observed",null,'
        b'"2026-03-01T12:00:00.000000+00:00","2026-03-01T12:00:00.000007+00:00",'
        b'[[1,"safeguarding:bank:GBP","GBP","debit",500],[2,"suspense:deposits:GBP","GBP","credit",500]]]\n'
    )


def test_an_instant_has_one_text_whatever_zone_it_was_read_in() -> None:
    elsewhere = replace(ENTRY, caused_at=AT.astimezone(timezone(timedelta(hours=3))))
    assert canonical(elsewhere) == canonical(ENTRY)


@pytest.mark.parametrize(
    "changed",
    [
        {"entry_seq": 2}, {"entry_id": UUID(int=9)}, {"cause_id": UUID(int=9)}, {"kind": "x"},
        {"transfer_id": UUID(int=9)}, {"caused_at": AT + timedelta(microseconds=1)}, {"posted_at": AT},
        {"lines": (BANK,)}, {"lines": (HELD, BANK)}, {"lines": (replace(BANK, line=3), HELD)},
        {"lines": (replace(BANK, account_id="a"), HELD)}, {"lines": (replace(BANK, currency="ETB"), HELD)},
        {"lines": (replace(BANK, side="credit"), HELD)}, {"lines": (replace(BANK, amount_minor=501), HELD)},
    ],
    ids=str,
)  # fmt: skip
def test_every_column_is_in_the_digest(changed: dict[str, Any]) -> None:
    assert digest(GENESIS, [replace(ENTRY, **changed)]) != digest(GENESIS, [ENTRY])


def test_a_digest_covers_all_before_it() -> None:
    first = digest(GENESIS, [ENTRY])
    assert first == sha256(bytes(32) + canonical(ENTRY)).digest()
    assert digest(first, [ENTRY]) == sha256(first + canonical(ENTRY)).digest() != digest(GENESIS, [ENTRY])
