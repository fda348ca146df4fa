"""`alembic upgrade head` as an operator types it, and what each role may do with what it made."""

from __future__ import annotations

import asyncio
import os
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any
from uuid import uuid4

import asyncpg
import pytest
from alembic import command
from alembic.config import Config
from alembic.script import ScriptDirectory

from scripts.migrate import ROOT
from services.kernel.migrations import run
from services.kernel.migrations.run import LATER, ONCALL, OWNER, SCHEMAS
from services.kernel.service import SCHEMA_HEAD
from tests.support import stack
from tests.support.fakes import until

ALL_SCHEMAS = SCHEMAS | LATER
OPERATIONS = "corridor_operations"
LOCK = 7_305_118  # migrations/env.py; it cannot be imported outside of alembic
REVISIONS = [each.revision for each in ScriptDirectory.from_config(Config(ROOT / "alembic.ini")).walk_revisions()]
APPEND_ONLY = {"event": "data", "claim": "content", "raw_arrival": "verdict"}  # table -> one of its columns
BOOK = {"account": "class", "entry": "kind", "posting": "side"}
KEPT = [
    (schema, table, column)
    for schema in ALL_SCHEMAS.values()
    for table, column in {**APPEND_ONLY, **(BOOK if schema == "ledger" else {})}.items()
]
ALEMBIC = [str(Path(sys.executable).with_name("alembic")), "upgrade", "head"]


@pytest.fixture
def empty(postgres_dsn: str) -> Iterator[str]:
    """A database with nothing in it."""
    name = f"empty_{uuid4().hex}"
    asyncio.run(_execute(postgres_dsn, f"CREATE DATABASE {name}"))
    yield stack.on_database(postgres_dsn, name)
    asyncio.run(_execute(postgres_dsn, f"DROP DATABASE {name} WITH (FORCE)"))


def test_there_is_one_head_and_readiness_waits_for_it() -> None:
    heads = ScriptDirectory.from_config(Config(ROOT / "alembic.ini")).get_heads()
    assert list(heads) == [SCHEMA_HEAD]


def test_the_command_works_as_written_and_a_second_time_it_changes_nothing(empty: str) -> None:
    subprocess.run(ALEMBIC, cwd=ROOT, env=_environment(empty), check=True)
    before = asyncio.run(_shape(empty))
    subprocess.run(ALEMBIC, cwd=ROOT, env=_environment(empty), check=True)
    assert asyncio.run(_revision(empty)) == [SCHEMA_HEAD]
    assert asyncio.run(_shape(empty)) == before


@pytest.mark.parametrize("revision", REVISIONS)
def test_each_migration_works_from_empty_and_leads_to_the_head(empty: str, revision: str) -> None:
    for target in (revision, "head"):
        config = Config(ROOT / "alembic.ini")
        config.attributes["dsn"] = empty
        command.upgrade(config, target)
        assert asyncio.run(_revision(empty)) == [SCHEMA_HEAD if target == "head" else revision]


def test_of_two_runners_the_lock_lets_one_in_and_the_other_finds_nothing_to_do(empty: str) -> None:
    async def race() -> list[int]:
        async with _connected(empty) as holder:
            await holder.execute("SELECT pg_advisory_lock($1)", LOCK)
            run = asyncio.create_subprocess_exec
            runners = [await run(*ALEMBIC, cwd=ROOT, env=_environment(empty)) for _ in range(2)]
            await until(_waiting(holder, 2))
            assert await holder.fetchval("SELECT to_regclass('public.alembic_version')") is None
            await holder.execute("SELECT pg_advisory_unlock($1)", LOCK)
            return [await asyncio.wait_for(each.wait(), 60) for each in runners]

    assert asyncio.run(race()) == [0, 0]
    assert asyncio.run(_revision(empty)) == [SCHEMA_HEAD]


def _waiting(holder: asyncpg.Connection[Any], count: int) -> Callable[[], Awaitable[object]]:
    async def waits() -> bool:
        waiting = await holder.fetchval(
            """SELECT count(*) FROM pg_locks JOIN pg_database d ON d.oid = pg_locks.database
               WHERE locktype = 'advisory' AND objid = $1 AND NOT granted AND d.datname = current_database()""",
            LOCK,
        )
        return bool(waiting == count)

    return waits


@pytest.mark.parametrize("change", ["UPDATE", "DELETE", "TRUNCATE"])
@pytest.mark.parametrize(("schema", "table", "column"), KEPT)
async def test_what_was_written_is_never_changed_by_the_service_nor_by_the_owner(
    database: str, schema: str, table: str, column: str, change: str
) -> None:
    statement = _statement(change, f"{schema}.{table}", column)
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await _as(f"corridor_{schema}", database, statement)
    with pytest.raises(asyncpg.PostgresError) as refused:
        await _as(OWNER, database, statement)
    assert refused.value.sqlstate == "CR003"


@pytest.mark.parametrize("schema", ALL_SCHEMAS.values())
async def test_a_service_sees_its_own_tables_and_those_of_no_other(database: str, schema: str) -> None:
    await _as(f"corridor_{schema}", database, _statement("SELECT", f"{schema}.event"))
    for other in set(ALL_SCHEMAS.values()) - {schema}:
        with pytest.raises(asyncpg.InsufficientPrivilegeError):
            await _as(f"corridor_{schema}", database, _statement("SELECT", f"{other}.event"))


@pytest.mark.parametrize(
    "role", [OWNER, ONCALL, "corridor_operations", *(f"corridor_{schema}" for schema in ALL_SCHEMAS.values())]
)
async def test_no_role_is_more_than_it_needs_to_be(database: str, role: str) -> None:
    async with _connected(database) as connection:
        row = await connection.fetchrow(
            """SELECT rolsuper OR rolcreaterole OR rolcreatedb OR rolreplication OR rolbypassrls AS powers,
                      rolcanlogin,
                      ARRAY(SELECT m.roleid::regrole::text FROM pg_auth_members m WHERE m.member = r.oid) AS member_of
               FROM pg_roles r WHERE rolname = $1""",
            role,
        )
    assert row is not None
    others = ["pg_read_all_stats"] if role == ONCALL else []  # who waits for whom, of all roles
    assert (row["powers"], row["rolcanlogin"], row["member_of"]) == (False, role != OWNER, others)


async def test_the_on_call_reads_every_table_of_the_services_and_writes_none(database: str) -> None:
    async with _connected(database) as connection:
        rows = await connection.fetch(
            """SELECT n.nspname AS schema, c.oid::regclass::text AS name,
                      has_schema_privilege($1, n.oid, 'USAGE') AND has_table_privilege($1, c.oid, 'SELECT') AS reads,
                      has_table_privilege($1, c.oid, 'INSERT, UPDATE, DELETE, TRUNCATE') AS writes
               FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE c.relkind IN ('r', 'p', 'v', 'm') AND n.nspname NOT IN ('pg_catalog', 'information_schema')""",
            ONCALL,
        )
        settings = await connection.fetchval("SELECT rolconfig FROM pg_roles WHERE rolname = $1", ONCALL)
    assert [row["name"] for row in rows if row["writes"]] == []
    assert {row["name"] for row in rows if not row["reads"]} == {
        "vault.data_key",
        "vault.arrival_key",
    }  # nobody's to look at
    assert "default_transaction_read_only=on" in settings


RIGHTS = {  # role -> what it may do with the keys of persons, and with those of what partners sent
    "corridor_core": ({"SELECT", "INSERT", "UPDATE"}, set()),  # makes persons' keys, and destroys those of the erased
    "corridor_payout": ({"SELECT"}, {"SELECT", "INSERT"}),  # opens the creditor's account for the rail; seals callbacks
    "corridor_deposit": (set(), {"SELECT", "INSERT"}),  # seals reports of money; nobody's name is opened there
    "corridor_transfer": (set(), set()),
    "corridor_ledger": (set(), set()),
    "corridor_quote": (set(), set()),
}


@pytest.mark.parametrize(("role", "allowed"), RIGHTS.items())
async def test_only_who_seals_or_opens_has_the_keys(
    database: str, role: str, allowed: tuple[set[str], set[str]]
) -> None:
    async with _connected(database) as connection:
        found = tuple(
            [
                {
                    right
                    for right in ("SELECT", "INSERT", "UPDATE", "DELETE", "TRUNCATE")
                    if await connection.fetchval("SELECT has_table_privilege($1, $2, $3)", role, table, right)
                }
                for table in ("vault.data_key", "vault.arrival_key")
            ]
        )
        enters = await connection.fetchval("SELECT has_schema_privilege($1, 'vault', 'USAGE')", role)
    assert (found, enters) == (allowed, any(allowed))


@pytest.mark.parametrize("schema", ALL_SCHEMAS.values())
async def test_the_on_call_cannot_put_a_side_effect_off(database: str, schema: str) -> None:
    await _as(ONCALL, database, _statement("SELECT", f"{schema}.side_effect"))
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await _as(ONCALL, database, _statement("UPDATE", f"{schema}.side_effect", "due_at"))


def _statement(verb: str, table: str, column: str = "") -> str:
    statements = {
        "SELECT": "SELECT 1 FROM <table>",
        "UPDATE": "UPDATE <table> SET <column> = <column>",
        "DELETE": "DELETE FROM <table>",
        "TRUNCATE": "TRUNCATE <table>",
    }
    return statements[verb].replace("<table>", table).replace("<column>", column)


@asynccontextmanager
async def _connected(dsn: str) -> AsyncIterator[asyncpg.Connection[Any]]:
    connection = await asyncpg.connect(dsn)
    try:
        yield connection
    finally:
        await connection.close()


async def _execute(dsn: str, statement: str) -> None:
    async with _connected(dsn) as connection:
        await connection.execute(statement)


async def _as(role: str, dsn: str, statement: str) -> None:
    """Run it as that role, without its password. `SET ROLE` would still be the superuser's session."""
    async with _connected(dsn) as connection:
        await connection.execute(f"SET SESSION AUTHORIZATION {role}")
        await connection.execute(statement)


async def _revision(dsn: str) -> list[str]:
    async with _connected(dsn) as connection:
        return [row[0] for row in await connection.fetch("SELECT version_num FROM public.alembic_version")]


async def _shape(dsn: str) -> list[tuple[Any, ...]]:
    """Every column of every table, and who may do what with it."""
    async with _connected(dsn) as connection:
        rows = await connection.fetch(
            """SELECT c.oid, c.oid::regclass::text, a.attname, c.relacl::text
               FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid JOIN pg_namespace n ON n.oid = c.relnamespace
               WHERE a.attnum > 0 AND n.nspname NOT LIKE 'pg\\_%' AND n.nspname <> 'information_schema'
               ORDER BY c.oid, a.attnum"""
        )
    return [tuple(row) for row in rows]


def _environment(dsn: str) -> dict[str, str]:
    return {**os.environ, "DATABASE_URL": dsn}


async def test_a_setting_of_a_role_survives_another_database_that_is_migrated_at_once(
    postgres_dsn: str, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Roles belong to the cluster: the one that comes second is told that the role was updated meanwhile."""
    name, scripts = f"scratch_{uuid4().hex}", list[str]()
    monkeypatch.setattr(run, "script", scripts.append)
    run.role_setting(name, "statement_timeout", "60s")
    first, second = await asyncpg.connect(postgres_dsn), await asyncpg.connect(postgres_dsn)
    try:
        await first.execute(f"CREATE ROLE {name}; ALTER ROLE {name} SET work_mem = '5MB'")
        await first.execute(f"BEGIN; ALTER ROLE {name} SET statement_timeout = '5s'")
        waiting = asyncio.create_task(second.execute(scripts[0]))
        await until(lambda: _waits(postgres_dsn, second.get_server_pid()))
        await first.execute("COMMIT")
        await waiting
        said = "SELECT setconfig FROM pg_db_role_setting JOIN pg_roles ON oid = setrole WHERE rolname = $1"
        assert await first.fetchval(said, name) == ["work_mem=5MB", "statement_timeout=60s"]
    finally:
        await first.execute(f"DROP ROLE {name}")
        await first.close()
        await second.close()


async def _waits(dsn: str, pid: int) -> bool:
    connection = await asyncpg.connect(dsn)
    try:
        found = await connection.fetchval("SELECT wait_event_type = 'Lock' FROM pg_stat_activity WHERE pid = $1", pid)
    finally:
        await connection.close()
    return bool(found)
