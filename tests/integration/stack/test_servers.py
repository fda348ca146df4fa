"""The local servers keep what they acknowledged, and end when told."""

from collections.abc import Iterator
from pathlib import Path

import asyncpg
import pytest
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition
from aiokafka.admin import AIOKafkaAdminClient, NewTopic

from scripts.stack import broker as brokers
from scripts.stack import postgres, process
from scripts.stack.ports import free_port
from scripts.stack.server import DidNotStart, Given, NotOurs, Server

DURABLE = {
    "fsync": "on",
    "full_page_writes": "on",
    "synchronous_commit": "on",
    "data_checksums": "on",
    "max_connections": "200",
}


async def test_postgres_runs_with_the_durability_of_production(postgres_dsn: str) -> None:
    connection = await asyncpg.connect(postgres_dsn)
    rows = await connection.fetch("SELECT name, setting FROM pg_settings WHERE name = ANY($1)", list(DURABLE))
    await connection.close()
    assert {row["name"]: row["setting"] for row in rows} == DURABLE


async def test_postgres_refuses_a_wrong_password(postgres_dsn: str) -> None:
    with pytest.raises(asyncpg.InvalidPasswordError):
        await asyncpg.connect(postgres_dsn, password="guess")


async def test_a_killed_postgres_returns_with_every_committed_row(postgres_server: Server) -> None:
    dsn = postgres_server.start().address
    connection = await asyncpg.connect(dsn)
    await connection.execute("CREATE TABLE kept (id int); INSERT INTO kept SELECT generate_series(1, 1000)")
    postgres_server.kill()
    assert postgres_server.running() is None
    assert postgres_server.restart().address == dsn
    connection = await asyncpg.connect(dsn)
    assert await connection.fetchval("SELECT count(*) FROM kept") == 1000
    await connection.close()


async def test_a_stopped_broker_returns_with_every_record(broker_server: Server, broker: str) -> None:
    await _make_topic(broker, "kept")
    await _produce(broker, "kept", records=50)
    broker_server.stop()
    assert broker_server.restart().address == broker
    assert await _end_offset(broker, "kept") == 50


@pytest.mark.apache
async def test_a_killed_broker_returns_with_every_record(broker_server: Server, broker: str) -> None:
    await _make_topic(broker, "killed")
    await _produce(broker, "killed", records=50)
    broker_server.kill()
    assert broker_server.restart().address == broker
    assert await _end_offset(broker, "killed") == 50


def test_a_port_of_somebody_else_is_refused_and_not_taken_for_ours(broker: str, tmp_path: Path) -> None:
    taken = int(broker.rpartition(":")[2])
    with pytest.raises(DidNotStart):
        _embedded(tmp_path, taken).start()


def test_a_server_is_found_again_from_its_directory_alone(tmp_path: Path) -> None:
    started = _embedded(tmp_path, free_port()).start()
    assert brokers.EmbeddedBroker(home=tmp_path).running() == started
    process.wipe(tmp_path)
    assert brokers.EmbeddedBroker(home=tmp_path).running() is None


def test_the_environment_overrides_our_own_servers(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("DATABASE_URL", "postgresql://given/x")
    monkeypatch.setenv("KAFKA_BOOTSTRAP_SERVERS", "given:9092")
    assert postgres.server(tmp_path) == Given("postgresql://given/x")
    assert brokers.server("embedded", tmp_path) == Given("given:9092")
    with pytest.raises(NotOurs):
        postgres.server(tmp_path).kill()


def _embedded(home: Path, port: int) -> Server:
    return brokers.EmbeddedBroker(home=home, port=port)


@pytest.fixture
def postgres_server(tmp_path: Path) -> Server:
    """A PostgreSQL of this test alone: others are in use by others."""
    return postgres.EmbeddedPostgres(home=tmp_path)


@pytest.fixture(autouse=True)
def end_everything(tmp_path: Path) -> Iterator[None]:
    yield
    process.wipe(tmp_path)


async def _make_topic(bootstrap: str, name: str) -> None:
    admin = AIOKafkaAdminClient(bootstrap_servers=bootstrap)
    await admin.start()
    await admin.create_topics([NewTopic(name, num_partitions=1, replication_factor=1)])
    await admin.close()


async def _produce(bootstrap: str, topic: str, *, records: int) -> None:
    async with AIOKafkaProducer(bootstrap_servers=bootstrap, acks="all") as producer:
        for number in range(records):
            await producer.send_and_wait(topic, str(number).encode(), partition=0)


async def _end_offset(bootstrap: str, topic: str) -> int:
    partition = TopicPartition(topic, 0)
    async with AIOKafkaConsumer(bootstrap_servers=bootstrap) as consumer:
        return int((await consumer.end_offsets([partition]))[partition])
