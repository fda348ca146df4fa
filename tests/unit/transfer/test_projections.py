"""What the transfer service keeps of quotes and people."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import pytest

from services.kernel.codec import decoder, encode
from services.kernel.projector import Projection
from services.kernel.sealed import Sealed
from services.transfer.projections import profiles, quote_terms
from tests.unit.core_api.samples import APPROVED, CREATED, REJECTED
from tests.unit.quote import samples as quote

LINES = Path("services/transfer/sql/projections.sql").read_text(encoding="utf-8").splitlines()
SQL = " ".join(" ".join(line.partition("--")[0] for line in LINES).split()).replace("( ", "(").replace(" )", ")")


def test_terms_are_the_very_bytes_of_the_quote() -> None:
    row = quote_terms.evolve(None, quote.CREATED)
    assert (row.customer_id, row.terms) == (quote.CUSTOMER_ID, encode(quote.CREATED))


def test_a_profile_begins_with_kyc_pending_and_keeps_its_boxes_closed() -> None:
    row = profiles.evolve(None, CREATED)
    assert (row.customer_id, row.kind, row.country, row.kyc) == (CREATED.customer_id, "receiver", "ET", "pending")
    assert row.name is not None
    assert row.account is not None
    read = decoder(Sealed)
    assert (read(row.name), read(row.account)) == (CREATED.name, CREATED.account)


def test_a_sender_has_no_account() -> None:
    assert profiles.evolve(None, replace(CREATED, kind="sender", account=None)).account is None


@pytest.mark.parametrize(("verdicts", "kyc"), [((APPROVED,), "approved"), ((APPROVED, REJECTED), "rejected")])
def test_the_newest_verdict_counts(verdicts: tuple[profiles.ProfileEvent, ...], kyc: str) -> None:
    row = profiles.evolve(None, CREATED)
    for verdict in verdicts:
        row = profiles.evolve(row, verdict)
    assert row == replace(profiles.evolve(None, CREATED), kyc=kyc)


@pytest.mark.parametrize("projection", [quote_terms.PROJECTION, profiles.PROJECTION], ids=lambda each: each.name)
def test_the_migration_makes_the_columns_that_the_code_writes(projection: Projection) -> None:
    assert projection.ddl(1) in SQL
