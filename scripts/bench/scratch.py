"""A database and topics for one measurement, deleted afterwards."""

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from urllib.parse import urlsplit, urlunsplit

import asyncpg
from aiokafka.admin import AIOKafkaAdminClient, NewTopic


@asynccontextmanager
async def database(administrator: str, name: str) -> AsyncIterator[str]:
    """The DSN of an empty one called `name`."""
    await _execute(administrator, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)", f"CREATE DATABASE {name}")
    try:
        yield urlunsplit(urlsplit(administrator)._replace(path=f"/{name}"))
    finally:
        await _execute(administrator, f"DROP DATABASE IF EXISTS {name} WITH (FORCE)")


@asynccontextmanager
async def topics(bootstrap: str, names: Sequence[str], partitions: int) -> AsyncIterator[None]:
    """Empty topics of those names."""
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    try:
        if old := sorted(set(names) & set(await admin.list_topics())):
            await admin.delete_topics(old)
        await admin.create_topics([NewTopic(name, partitions, 1) for name in names])
        yield
        await admin.delete_topics(list(names))
    finally:
        await admin.close()


async def _execute(dsn: str, *statements: str) -> None:
    connection = await asyncpg.connect(dsn)
    try:
        for statement in statements:
            await connection.execute(statement)
    finally:
        await connection.close()
