"""Who owns which events and which read tables: read from the services' own definitions, when a command needs them."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from importlib import import_module
from importlib.util import find_spec
from pkgutil import iter_modules
from typing import Any

from contracts.topics import INTERNAL
from services.kernel.decider import Decider
from services.kernel.folding import Target as Table
from services.kernel.migrations.run import LATER, SCHEMAS
from services.kernel.projector import Projection
from services.ops_cli.exits import Exit, OpsError, usage
from services.ops_cli.target import Target

SCHEMA_OF = {**SCHEMAS, **LATER}
TOPIC_OF = {topic.writer: topic.name for topic in INTERNAL}
WRITER_OF = {topic.name: topic.writer for topic in INTERNAL}
Deciders = tuple[Decider[Any, Any, Any], ...]


@dataclass(frozen=True, kw_only=True)
class Owner:
    """A service, as what it keeps."""

    service: str
    schema: str
    topic: str


def owners(names: tuple[str, ...] = ()) -> tuple[Owner, ...]:
    """The services that write events, or those of `names`. Raises OpsError for another name."""
    for name in names:
        if name not in TOPIC_OF:
            raise usage(f"no service {name!r} writes events", f"there are: {', '.join(TOPIC_OF)}")
    return tuple(
        Owner(service=service, schema=SCHEMA_OF[service], topic=topic)
        for service, topic in TOPIC_OF.items()
        if not names or service in names
    )


def projections() -> Mapping[str, tuple[str, Projection]]:
    """By `<service>.<name>`: its service, and what it is."""
    found = {}
    for service in SCHEMA_OF:
        if find_spec(f"services.{service}.projections") is None:
            continue
        package = import_module(f"services.{service}.projections")
        for module in iter_modules(package.__path__):
            each = getattr(import_module(f"{package.__name__}.{module.name}"), "PROJECTION", None)
            if isinstance(each, Projection):
                found[f"{service}.{each.name}"] = (service, each)
    return found


def projection(name: str) -> tuple[str, Projection]:
    """By its name, or by `<service>.<name>` where several services have one. Raises OpsError."""
    known = projections()
    fitting = [full for full in known if name in {full, full.partition(".")[2]}]
    if len(fitting) == 1:
        return known[fitting[0]]
    if fitting:
        raise usage(f"several services have {name!r}", f"say which: {', '.join(fitting)}")
    raise OpsError(Exit.NOT_FOUND, f"no projection {name!r}", hint=f"there are: {', '.join(sorted(known))}")


def table(target: Target, name: str) -> Table:
    """A read table with where everything is. Raises OpsError."""
    service, found = projection(name)
    dsn, bootstrap = operations(target)
    return Table(
        dsn=dsn, bootstrap=bootstrap, service=service, schema=SCHEMA_OF[service], projection=found,
        writer_schema=SCHEMA_OF[WRITER_OF[found.topic]], epoch=target.epoch,
    )  # fmt: skip


def operations(target: Target) -> tuple[str, str]:
    """(database as corridor_operations, broker). Raises OpsError."""
    if target.operations_database_url is None or target.kafka_bootstrap is None:
        raise OpsError(
            Exit.PRECONDITION,
            f"the context {target.name} does not say where the database and the broker are",
            hint="add operations_database_url (the role corridor_operations) and kafka_bootstrap to it, or set "
            "OPS_OPERATIONS_DATABASE_URL and OPS_KAFKA_BOOTSTRAP_SERVERS",
        )
    return target.operations_database_url, target.kafka_bootstrap


def broker(target: Target) -> str:
    """Where it is. Raises OpsError."""
    if target.kafka_bootstrap is None:
        raise OpsError(
            Exit.PRECONDITION,
            f"the context {target.name} does not say where the broker is",
            hint="add kafka_bootstrap to it, or set OPS_KAFKA_BOOTSTRAP_SERVERS",
        )
    return target.kafka_bootstrap


def deciders(service: str) -> Deciders:
    """How its streams fold. Deadlines are the defaults: they matter to who decides, and nothing here decides."""
    return DECIDERS[service](import_module(f"services.{service}.handlers"))


def _transfer(handlers: Any) -> Deciders:
    return (handlers.decider(import_module("services.transfer.domain.states").Deadlines()),)


def _deposit_watcher(handlers: Any) -> Deciders:
    return (handlers.decider(import_module("services.deposit_watcher.domain.states").Deadlines()),)


def _payout_orchestrator(handlers: Any) -> Deciders:
    policy = import_module("services.payout_orchestrator.domain.policy")
    return (handlers.decider(policy.DEFAULT_RULES, policy.Deadlines()),)


DECIDERS: Mapping[str, Callable[[Any], Deciders]] = {
    "core_api": lambda handlers: tuple(handlers.DECIDERS),
    "quote": lambda handlers: (handlers.decider(),),
    "transfer": _transfer,
    "deposit_watcher": _deposit_watcher,
    "payout_orchestrator": _payout_orchestrator,
    "ledger": lambda handlers: tuple(handlers.deciders()),
    "reconciliation": lambda handlers: tuple(handlers.DECIDERS),
}
