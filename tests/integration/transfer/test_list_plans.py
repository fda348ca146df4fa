"""What the list of transfers costs PostgreSQL: never a whole table, whatever is asked."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from dataclasses import replace
from typing import Any

import asyncpg
import pytest

from services.kernel import pages
from services.kernel.cursors import Place
from services.kernel.event_store import connector
from services.kernel.pages import page_statement
from services.transfer.api.lists import TransferQuery, wish_of
from tests.integration.transfer.shop import ANNA, LATER, STAFF, owner
from tests.support.plans import indexes_of, planned

EVERYTHING = [
    {}, {"customer_id": str(ANNA)}, {"state": "AWAITING_FUNDING"}, {"state": "PAYOUT_REVIEW_REQUIRED"},
    {"corridor": "GB-ET", "currency": "GBP"}, {"created_from": "2026-01-01T00:00:00Z"}, {"route": "RF18"},
    {"customer_id": str(ANNA), "created_to": "2030-01-01T00:00:00Z", "state": "CANCELLED"},
]  # fmt: skip


ROWS = """
WITH made AS (
    SELECT gen_random_uuid() AS id, n, convert_to(replace($1, '%', (ARRAY['7', '8', '9'])[1 + n % 3]), 'UTF8') AS data
    FROM generate_series(1, 20000) n
), stated AS (
    INSERT INTO stream_state (stream_id, tenant, category, record_key, version, hash, stage, state, fold)
    SELECT id, 'main', 'transfer', id, 1, '', CASE WHEN n % 500 = 0 THEN 'ReviewSent' ELSE 'Completed' END, data, 1
    FROM made
)
INSERT INTO event (stream_id, version, event_id, event_type, schema_version, record_key, data, meta, occurred_at,
                   prev_hash, hash)
SELECT id, v, gen_random_uuid(),
       CASE WHEN v = 4 AND n % 500 = 0 THEN 'corridor.transfer.payout_review_required.v1' ELSE 'x' END,
       1, id, data, '', now() + n * interval '1 ms', '', ''
FROM made, generate_series(1, 4) v"""


@pytest.fixture(scope="module")
def many(database: str) -> str:
    """A database with 20,000 transfers and their analysis."""
    data = f"""'{{"transfer_id":"x","customer_id":"{str(ANNA)[:-1]}%"}}'"""
    rows = (
        "SET session_replication_role = replica",
        ROWS.replace("$1", data),
        "VACUUM ANALYZE event, stream_state, claim",
    )
    asyncio.run(owner(database, *rows))
    return database


@pytest.fixture
async def session(many: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    """One as the service has them."""
    connection = await connector(many, "transfer", "test")()
    yield connection
    await connection.close()


def wished(query: dict[str, str]) -> pages.Wish:
    told = query | ({"state": (query["state"],)} if "state" in query else {})
    return wish_of(TransferQuery.model_validate(told), STAFF["olga"])


@pytest.mark.parametrize("query", EVERYTHING)
async def test_no_list_reads_a_table_from_end_to_end(session: asyncpg.Connection[Any], query: dict[str, str]) -> None:
    wish = wished(query)
    if wish.found is None:
        sql, values = pages.end_statement(wish)
        ending = await planned(session, sql, values)
        opened = "event_opened_by" if "customer_id" in query else "event_opened"
        assert indexes_of(ending) == [opened]
        assert not [node for node in ending if "Sort" in node["Node Type"]]
        place = Place(*(await session.fetch(sql, *values))[0])
        wish = replace(wish, down_to=place, after=Place(LATER, 5))
    found = await planned(session, *page_statement(wish))
    assert not [node for node in found if node["Node Type"] == "Seq Scan"], found
    if "PAYOUT_REVIEW_REQUIRED" in query.values():
        assert "event_reviewed" in indexes_of(found)
    read = sum(node["Actual Rows"] * node["Actual Loops"] for node in found if "Relation Name" in node)
    assert read <= 2 * (pages.SCANNED_MAX if wish.kept else 51), found
