"""What the role that makes read tables anew may do, and what the tables that it makes are like."""

from __future__ import annotations

import asyncpg
import pytest

from services.kernel.operations import NoProjection, operating
from services.kernel.rebuild import rebuild
from tests.support.town import Town, quiet

pytestmark = pytest.mark.timeout(240)


FORM = """
    SELECT c.reloptions, (SELECT array_agg((attname, atttypid::regtype, attstattarget)::text ORDER BY attnum)
                          FROM pg_attribute WHERE attrelid = c.oid AND attnum > 0),
           (SELECT array_agg(replace(pg_get_indexdef(indexrelid), $1, '') ORDER BY 1)
            FROM pg_index WHERE indrelid = c.oid AND indisprimary),
           (SELECT array_agg(acl::text ORDER BY acl::text) FROM unnest(c.relacl) acl
            WHERE acl::text NOT LIKE 'corridor_operations%')
    FROM pg_class c WHERE oid = $1::regclass"""


async def test_the_next_version_is_kept_and_granted_as_the_one_before(place: Town) -> None:
    await place.create(1)
    await place.publish()
    await rebuild(place.target(), quiet)
    one, two = [(await place.fetch(FORM, f"quote_terms_v{number}"))[0] for number in (1, 2)]
    assert tuple(one) == tuple(two)


FORBIDDEN = [
    "INSERT INTO event OVERRIDING SYSTEM VALUE SELECT * FROM event",
    "UPDATE stream_state SET version = 9",
    "DELETE FROM event",
    "UPDATE quote_terms_v1 SET terms = ''",
    "INSERT INTO quote_terms_v1 (quote_id) VALUES (gen_random_uuid())",
    "DROP TABLE quote_terms_v1",
    "CREATE TABLE mine (id int)",
    "UPDATE consumer_offset SET next_offset = 0",
    "UPDATE projection_registry SET status = 'live'",
    "DROP VIEW quote_terms",
    "SET ROLE corridor_owner",
    "SELECT projection_clear('transfer', 'quote_terms')",
    "SELECT * FROM request_key",
    "SELECT projection_mark('quote_terms', 1, 'retired', '{}')",  # live
    "SELECT projection_begin('transfer', 'stream_state')",
    "SELECT projection_swap('transfer', 'quote_terms', 7)",
    # what a service would believe: that it has taken an event, or stands behind it
    "INSERT INTO stream_cursor SELECT gen_random_uuid(), 'transfer', 'corridor.deposit.events.v1', 9, '', false",
    "INSERT INTO consumer_offset (consumer, topic, epoch, partition, next_offset) SELECT 'transfer', 'x', 2, 0, 9",
    "INSERT INTO parked_event OVERRIDING SYSTEM VALUE SELECT * FROM parked_event",
    "SELECT projection_cursors('transfer', 'quote_terms', 1, 'x', ARRAY[gen_random_uuid()], '{9}', '{x}', '{f}')",
    "SELECT projection_positions('transfer', 'quote_terms', 1, 'x', 2, '{0}', '{9}')",
    "SELECT projection_parked('transfer', 'quote_terms', 1, '[]')",
    "SELECT projection_consumer('transfer', 'quote_terms', 1)",
]


@pytest.mark.parametrize("sql", FORBIDDEN)
async def test_the_role_reaches_nothing_but_versions_that_nobody_reads(place: Town, sql: str) -> None:
    await place.create(1)
    async with operating(place.operations, "transfer") as operations:
        with pytest.raises((asyncpg.InsufficientPrivilegeError, asyncpg.PostgresError)) as refused:
            await operations.connection.execute(sql)
        assert refused.value.sqlstate in {"42501", "CR006"}, refused.value


async def test_a_role_cannot_lend_its_own_tables_to_the_functions(place: Town) -> None:
    """A table of the session under the registry's name changes nothing: the functions see their own schema first."""
    async with operating(place.operations, "transfer") as operations:
        await operations.connection.execute(
            "CREATE TEMP TABLE projection_registry AS SELECT text 'event' AS name, 1 AS version, text 'live' AS status"
        )
        with pytest.raises(NoProjection):
            await operations.begin("transfer", "event")


@pytest.mark.parametrize("left", ["rows", "cursors"])
async def test_a_version_that_was_given_up_half_way_cannot_be_shown_by_hand(place: Town, left: str) -> None:
    await place.create(1)
    async with operating(place.operations, "transfer") as operations:
        number = await operations.begin("transfer", "quote_terms")
        row = f"INSERT INTO quote_terms_v{number} (quote_id) VALUES (gen_random_uuid())"  # noqa: S608 - ours
        cursor = "'x', ARRAY[gen_random_uuid()], '{9}', ARRAY['x'::bytea], '{f}'"
        if left == "cursors":
            row = f"SELECT projection_cursors('transfer', 'quote_terms', {number}, {cursor})"
        await operations.connection.execute(row)
        await operations.mark("quote_terms", number, "retired", {"given_up": True})
        with pytest.raises(NoProjection, match="half way"):
            await operations.mark("quote_terms", number, "catching_up", {})
