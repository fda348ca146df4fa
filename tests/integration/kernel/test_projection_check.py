"""What a comparison of read tables sees, and what it says of a store that nobody can read."""

from __future__ import annotations

import pytest

from services.kernel.projection_check import STORE, TOPIC, StoreUnreadable, verify
from services.kernel.projector import hash_of
from services.reconciliation.projections import payouts
from tests.support.town import Town, quiet

pytestmark = pytest.mark.timeout(240)


async def test_a_store_that_was_altered_is_no_and_says_where_to_look(place: Town) -> None:
    await place.create(20)
    await place.publish()
    async with place.process():
        await place.caught_up(1)
    await place.fetch("ALTER TABLE event DISABLE TRIGGER ALL", schema="quote")
    await place.fetch("UPDATE event SET data = 'x' WHERE version = 1", schema="quote")
    with pytest.raises(StoreUnreadable, match=r"corridor\.quote\.created\.v1 cannot be read"):
        await verify(place.target(), (TOPIC, STORE), quiet)


PAYOUT = """
    INSERT INTO a_payout VALUES (gen_random_uuid(), gen_random_uuid(), 'paid', 4294967296, 'EUR', 'x', true, true,
                                 4294967295, 'EUR', '2026-01-01')"""


async def test_amounts_that_postgresql_hashes_alike_differ_here(place: Town) -> None:
    """Of a bigint it hashes the xor of its halves: 2^32 and 1, 2^32 - 1 and -1."""
    await place.fetch(f"CREATE TABLE a_payout ({payouts.PROJECTION.form()})")
    await place.fetch(PAYOUT)
    asked = f"SELECT {hash_of(payouts.PROJECTION)} FROM a_payout"  # noqa: S608 - our own names
    one = await place.fetch(asked)
    await place.fetch("UPDATE a_payout SET amount_minor = 1, confirmed_minor = -1")
    assert await place.fetch(asked) != one
