"""How rows are kept: what moves all the time moves inside its page, and an analysis reads little."""

from __future__ import annotations

import asyncpg
import pytest

from services.kernel.migrations.run import SCHEMAS

STREAM = """
    INSERT INTO stream_state (stream_id, tenant, category, record_key, version, hash, stage, state, fold)
    SELECT gen_random_uuid(), 'acme', 'thing', gen_random_uuid(), 1, '', 'First', '', 1"""
MOVE = "UPDATE stream_state SET version = 2, stage = 'Second', changed_at = clock_timestamp()"
MOVED = """
    SELECT n_tup_upd, n_tup_hot_upd FROM pg_stat_user_tables
    WHERE schemaname = current_schema() AND relname = 'stream_state'"""
DEAR = """
    SELECT attrelid::regclass::text, attname
    FROM pg_attribute
    JOIN pg_class ON pg_class.oid = attrelid
    LEFT JOIN pg_index ON indexrelid = attrelid
    WHERE relnamespace = current_schema()::regnamespace AND attnum > 0 AND NOT attisdropped
      AND (relkind = 'r' OR relkind = 'i' AND indkey[attnum - 1] = 0)  -- an index's expression has a sample of its own
      AND coalesce(attstattarget, -1) NOT BETWEEN 0 AND 10"""


@pytest.mark.parametrize("schema", SCHEMAS.values())
async def test_a_stream_that_moves_touches_no_index(database: str, schema: str) -> None:
    connection = await asyncpg.connect(database, server_settings={"search_path": schema})
    await connection.execute(STREAM)
    await connection.execute(MOVE)
    await connection.execute("SELECT pg_stat_force_next_flush()")
    assert tuple(await connection.fetchrow(MOVED) or ()) == (1, 1)
    await connection.close()


@pytest.mark.parametrize("schema", SCHEMAS.values())
async def test_every_column_of_a_service_is_analysed_from_a_small_sample(database: str, schema: str) -> None:
    connection = await asyncpg.connect(database, server_settings={"search_path": schema})
    assert await connection.fetch(DEAR) == []
    await connection.close()
