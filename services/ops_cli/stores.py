"""The database and the broker themselves, asked directly and read only: the one place that goes past the services."""

from __future__ import annotations

import asyncio
import time
from typing import Any

from services.ops_cli.checks import Check

SECONDS = 5.0
POSTGRES_OLDEST = 15
CONNECTIONS_SHARE_MAX = 0.8
HINT = "set database_url and kafka_bootstrap in the context, or OPS_DATABASE_URL and OPS_KAFKA_BOOTSTRAP_SERVERS"


def database(url: str | None) -> list[Check]:
    """Version, schema, connections, clock."""
    if url is None:
        return [Check("database", "unknown", "the context has no address of it", HINT)]
    import asyncpg  # noqa: PLC0415 - only doctor needs it

    try:
        return asyncio.run(asyncio.wait_for(_database(url), SECONDS))
    except (OSError, TimeoutError, asyncpg.PostgresError, asyncpg.InterfaceError) as error:
        return [Check("database", "bad", f"no connection ({type(error).__name__})", "is PostgreSQL up?")]


async def _database(url: str) -> list[Check]:
    import asyncpg  # noqa: PLC0415

    connection = await asyncpg.connect(url, timeout=SECONDS)
    try:
        before = time.time()
        row = await connection.fetchrow(
            "SELECT current_setting('server_version_num')::int / 10000 AS version, now() AS at, current_user AS role,"
            " current_setting('max_connections')::int AS most,"
            " (SELECT count(*) FROM pg_stat_activity WHERE datname IS NOT NULL) AS used"
        )
        assert row is not None
        heads = [each["version_num"] for each in await connection.fetch("SELECT version_num FROM alembic_version")]
    finally:
        await connection.close()
    return [_version(row), _schema(heads), _connections(row), _clock(row["at"].timestamp() - before)]


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


def _connections(row: Any) -> Check:
    words = f"{row['used']} of {row['most']}"
    tight = row["used"] > CONNECTIONS_SHARE_MAX * row["most"]
    return Check("connections", "attention" if tight else "ok", words, "lower the pools, or raise max_connections")


def _clock(skew: float) -> Check:
    from services.ops_cli.health import skewed  # noqa: PLC0415 - it reads this module

    return skewed("database clock", "of the database", skew, 1.0)


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
