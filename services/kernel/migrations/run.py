"""SQL scripts inside a migration: several statements at once, in the schema and as the owner that they are for."""

from __future__ import annotations

from pathlib import Path

from alembic import op

SERVICES = Path(__file__).parents[2]
OWNER = "corridor_owner"
ONCALL = "corridor_oncall"
OPERATIONS = "corridor_operations"  # what ops-cli may do past HTTP: kernel/sql/operations.sql
SCHEMAS = {
    "core_api": "core",
    "quote": "quote",
    "transfer": "transfer",
    "deposit_watcher": "deposit",
    "payout_orchestrator": "payout",
    "ledger": "ledger",
}  # service -> schema; the role of a service is corridor_<schema>
LATER = {"reconciliation": "recon", "review": "review"}  # made by 0008, with all that 0001 to 0007 gave to the others
# What a service's role may do: append where the truth is, change where a queue or a position is. No event is deleted.
GRANTS = """
GRANT USAGE ON SCHEMA {schema} TO {role}, {oncall};
GRANT SELECT ON ALL TABLES IN SCHEMA {schema} TO {oncall};
GRANT SELECT, INSERT ON event, claim, request_key, raw_arrival TO {role};
GRANT SELECT, INSERT, UPDATE
   ON stream_state, consumer_offset, stream_cursor, parked_event, projection_registry TO {role};
GRANT SELECT, INSERT, UPDATE, DELETE ON outbox, outbox_stuck, side_effect TO {role};
GRANT EXECUTE ON ALL FUNCTIONS IN SCHEMA {schema} TO {role};
"""


def script(sql: str) -> None:
    """Run a script as it would run in psql."""
    connection = op.get_bind().connection.dbapi_connection
    assert connection is not None
    connection.run_async(lambda driver: driver.execute(sql))


def in_schema(schema: str, *sql: str) -> None:
    """Run scripts as the owner, with unqualified names meaning this schema."""
    script(f"""SET LOCAL ROLE {OWNER};
        SET LOCAL search_path = {schema};
        {" ".join(sql)}
        RESET ROLE;
        SET LOCAL search_path = public;""")


def file(path: str) -> str:
    """A script beside the code that uses it, by its path under services/."""
    return (SERVICES / path).read_text(encoding="utf-8")


def role_setting(name: str, setting: str, value: str) -> None:
    """A default of a role in all databases, unless it stands. Two databases of a cluster may be migrated at once, and
    whoever comes second is told that the role was concurrently updated: it looks again."""
    listed = ", ".join(f"'{part}'" for part in value.split(", "))
    script(f"""DO $$ BEGIN
        FOR attempt IN 1..20 LOOP
            BEGIN
                IF NOT EXISTS (SELECT 1 FROM pg_db_role_setting s JOIN pg_roles r ON r.oid = s.setrole
                               WHERE r.rolname = '{name}' AND s.setdatabase = 0
                                 AND '{setting}={value}' = ANY(s.setconfig)) THEN
                    ALTER ROLE {name} SET {setting} = {listed};
                END IF;
                RETURN;
            EXCEPTION WHEN internal_error OR unique_violation THEN
                PERFORM pg_sleep(0.05);
            END;
        END LOOP;
        RAISE EXCEPTION 'the setting {setting} of {name} is being changed all the time';
    END $$;""")  # noqa: S608 - our own names


def role(name: str, options: str) -> None:
    """Make a role unless the cluster has it: roles are shared by all databases of a cluster."""
    made = f"""DO $$ BEGIN
        IF NOT EXISTS (SELECT 1 FROM pg_roles WHERE rolname = '{name}') THEN CREATE ROLE {name} {options}; END IF;
    EXCEPTION WHEN duplicate_object OR unique_violation THEN NULL; END $$;"""  # noqa: S608 - our own names
    script(made)


def role_member(name: str, group: str) -> None:
    """Let a role have what another one has, unless it does. Whoever may not grant that is told, and goes on without;
    databases of one cluster may be migrated at once, as for `role_setting`."""
    script(f"""DO $$ BEGIN
        FOR attempt IN 1..20 LOOP
            BEGIN
                IF NOT pg_has_role('{name}', '{group}', 'USAGE') THEN GRANT {group} TO {name}; END IF;
                RETURN;
            EXCEPTION
                WHEN insufficient_privilege THEN
                    RAISE WARNING 'an administrator should GRANT {group} TO {name}';
                    RETURN;
                WHEN internal_error OR unique_violation THEN
                    PERFORM pg_sleep(0.05);
            END;
        END LOOP;
        RAISE EXCEPTION 'what {name} may do is being changed all the time';
    END $$;""")


def service_schema(schema: str, *more: str) -> None:
    """The role and the schema of a service, with the kernel's tables; `more` are scripts that came to them later."""
    role(f"corridor_{schema}", "LOGIN")
    script(f"CREATE SCHEMA {schema} AUTHORIZATION {OWNER};")
    grants = GRANTS.format(schema=schema, role=f"corridor_{schema}", oncall=ONCALL)
    in_schema(schema, file("kernel/sql/kernel.sql"), *more, grants)
