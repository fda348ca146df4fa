"""The database and the broker themselves, asked directly and read only: the one place that goes past the services."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from services.ops_cli.checks import Check

if TYPE_CHECKING:
    from services.kernel.connections import Room

SECONDS = 5.0
POSTGRES_OLDEST = 15
CLOCK_SECONDS = 1.0  # less is of no interest
HINT = "set database_url and kafka_bootstrap in the context, or OPS_DATABASE_URL and OPS_KAFKA_BOOTSTRAP_SERVERS"


def database(url: str | None, needed: Callable[[], Mapping[str, int]]) -> list[Check]:
    """Version, schema, connections, clock. `needed` tells how many sessions each process of ours may open."""
    if url is None:
        return [Check("database", "unknown", "the context has no address of it", HINT)]
    import asyncpg  # noqa: PLC0415 - only doctor needs it

    wanted = needed()
    try:
        return asyncio.run(asyncio.wait_for(_database(url, wanted), SECONDS))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return [Check("database", "bad", f"no connection ({type(error).__name__})", "is PostgreSQL up?")]


async def _database(url: str, needed: Mapping[str, int]) -> list[Check]:
    import asyncpg  # noqa: PLC0415

    from services.kernel.connections import room  # noqa: PLC0415

    connection = await asyncpg.connect(url, timeout=SECONDS)
    try:
        before = time.time()
        row = await connection.fetchrow(
            "SELECT current_setting('server_version_num')::int / 10000 AS version, now() AS at, current_user AS role"
        )
        after = time.time()
        assert row is not None
        heads = [each["version_num"] for each in await connection.fetch("SELECT version_num FROM alembic_version")]
    finally:
        await connection.close()
    clock = _clock(row["at"].timestamp(), before, after)
    return [_version(row), _schema(heads), connections(await room(url), needed), clock]


def _version(row: Any) -> Check:
    old = row["version"] < POSTGRES_OLDEST
    words = f"PostgreSQL {row['version']}, as {row['role']}"
    return Check("database", "bad" if old else "ok", words, f"{POSTGRES_OLDEST} or later is needed" if old else "")


def _schema(heads: list[str]) -> Check:
    from services.kernel.service import SCHEMA_HEAD  # noqa: PLC0415 - reads much, and only doctor needs it

    if heads == [SCHEMA_HEAD]:
        return Check("schema", "ok", f"at {SCHEMA_HEAD}, the head of this checkout")
    words = f"at {', '.join(heads) or 'nothing'}, this checkout is at {SCHEMA_HEAD}"
    return Check("schema", "bad", words, "DATABASE_URL=... python -m scripts.migrate, or the other checkout")


def connections(found: Room, needed: Mapping[str, int]) -> Check:
    """Whether the server has room for all sessions that our processes may open, open or not."""
    if not needed:
        return Check("connections", "unknown", "no process says how many sessions it may open", "ops-cli status")
    fault = found.fault(needed)
    if fault is not None:
        return Check("connections", "bad", fault)
    return Check("connections", "ok", f"{sum(needed.values())} at most, {found.ours} free for them")


def _clock(told: float, before: float, after: float) -> Check:
    from services.ops_cli.health import beyond, skewed  # noqa: PLC0415 - it reads this module

    return skewed("database clock", "of the database", beyond(told, before, after, CLOCK_SECONDS), CLOCK_SECONDS)


def kafka(bootstrap: str | None) -> list[Check]:
    """Brokers, and our topics on them."""
    if bootstrap is None:
        return [Check("Kafka", "unknown", "the context has no address of it", HINT)]
    from aiokafka.errors import KafkaError  # noqa: PLC0415 - only doctor needs it

    try:
        return asyncio.run(asyncio.wait_for(_kafka(bootstrap), SECONDS))
    except (OSError, TimeoutError, KafkaError) as error:
        return [Check("Kafka", "bad", f"no answer from {bootstrap} ({type(error).__name__})", "is the broker up?")]


async def _kafka(bootstrap: str) -> list[Check]:
    from aiokafka.admin import AIOKafkaAdminClient  # noqa: PLC0415

    from contracts.topics import ALL  # noqa: PLC0415

    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap, request_timeout_ms=int(1_000 * SECONDS))
    await admin.start()
    try:
        brokers = (await admin.describe_cluster())["brokers"]
        found = {each["topic"]: each["partitions"] for each in await admin.describe_topics()}
    finally:
        await admin.close()
    missing = sorted(topic.name for topic in ALL if topic.name not in found)
    partitions = sorted({len(found[topic.name]) for topic in ALL if topic.name in found})
    words = (
        f"{len(ALL) - len(missing)} of {len(ALL)} topics, {'/'.join(str(each) for each in partitions)} partitions each"
    )
    hint = "python -m scripts.topics ensure" if missing else ""
    return [
        Check("Kafka", "ok", f"{len(brokers)} broker{'s' * (len(brokers) != 1)} at {bootstrap}"),
        Check("topics", "bad" if missing else "ok", f"missing: {', '.join(missing)}" if missing else words, hint),
    ]
