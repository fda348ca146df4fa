"""What each process of ours is started with: the one table of commands and environments."""

import os
import sys
from collections.abc import Mapping
from dataclasses import dataclass, field
from urllib.parse import urlsplit, urlunsplit

from scripts.system.home import ROOT, Home, write_json
from scripts.system.installation import INTERNAL, ROLES, SANDBOX, SERVICES, Installation

MARK = "CORRIDOR_SYSTEM"  # in the environment of every process of an installation: its home
STOP_SECONDS = 5
NOT_INHERITED = (
    "DATABASE_URL",
    "JWT_SECRET_PREVIOUS",
    "PORT",
    "HOST",
    "INTERNAL_PORT",
    "INTERNAL_HOST",
)  # the administrator's own, or another process's

BEHIND = {
    "QUOTE_URL": "quote",
    "TRANSFER_URL": "transfer",
    "DEPOSIT_URL": "deposit_watcher",
    "PAYOUT_URL": "payout_orchestrator",
    "LEDGER_URL": "ledger",
    "RECON_URL": "reconciliation",
}  # what the door and the review queue ask: variable -> service

Environment = Mapping[str, str]


@dataclass(frozen=True, kw_only=True)
class Program:
    """One process: `url` is where it answers, `probe_url` says 200 when it may be used, and has /metrics beside it."""

    name: str
    argv: tuple[str, ...]
    environment: Environment = field(repr=False)
    url: str
    internal_url: str | None = None  # of a public service: where it answers our own

    @property
    def probe_url(self) -> str:
        return f"{self.internal_url or self.url}/readyz"


@dataclass(frozen=True, kw_only=True)
class Servers:
    """The addresses of the two servers; `postgres` is an administrator's."""

    postgres: str = field(repr=False)
    kafka: str


def programs(
    home: Home, installation: Installation, servers: Servers, overrides: Mapping[str, Environment], parent: int | None
) -> list[Program]:
    """The sandbox, then the six services. `overrides` are added to a program's environment, those under "*" to all.

    With `parent` the services end when that process does.
    """
    inherited = {name: value for name, value in os.environ.items() if name not in NOT_INHERITED}
    everybody = inherited | {MARK: str(home.path), "PYTHONUNBUFFERED": "1"} | dict(overrides.get("*", {}))
    watched = {"CORRIDOR_PARENT_PID": str(parent)} if parent else {}
    found = [_sandbox(home, installation, servers, everybody | dict(overrides.get(SANDBOX, {})))]
    for name in SERVICES:
        own = common(name, installation, servers) | OWN[name](installation) | watched
        environment = everybody | own | dict(overrides.get(name, {}))
        argv = (sys.executable, "-m", f"services.{name}")
        internal = installation.url(INTERNAL) if name == "core_api" else None
        url = installation.url(name)
        found.append(Program(name=name, argv=argv, environment=environment, url=url, internal_url=internal))
    return found


def common(service: str, installation: Installation, servers: Servers) -> dict[str, str]:
    """What every service needs; each has a role of its own in the database."""
    return {
        "ENV": "dev",
        "DATABASE_URL": dsn_of(ROLES[service], installation, servers),
        "KAFKA_BOOTSTRAP_SERVERS": servers.kafka,
        "KAFKA_PARTITIONS": str(installation.partitions),
        "JWT_SECRET": installation.jwt_secret,
        "HOST": "127.0.0.1",
        "PORT": str(installation.ports[service]),
        "CORRIDOR_KEK": installation.kek,
        "CORRIDOR_STOP_SECONDS": str(STOP_SECONDS),
        "CORRIDOR_INSTANCE": f"{service}-1",  # one at a time: the keeper waits for the end of the last
    }


def _core_api(installation: Installation) -> dict[str, str]:
    behind = {variable: installation.url(service) for variable, service in BEHIND.items()}
    return behind | {"REVIEW_URL": installation.url("review"), "INTERNAL_PORT": str(installation.ports[INTERNAL])}


def _quote(installation: Installation) -> dict[str, str]:
    rates = f"{installation.url(SANDBOX)}/rates"
    return {"CORRIDORS_FILE": str(ROOT / "deploy" / "corridors.json"), "RATES_URL": rates}


def _transfer(installation: Installation) -> dict[str, str]:
    return {"QUOTE_URL": installation.url("quote"), "CORE_URL": installation.url(INTERNAL)}


def _deposit_watcher(installation: Installation) -> dict[str, str]:
    return {"DEPOSIT_WEBHOOK_SECRETS": shared_key(installation)}


def _payout_orchestrator(installation: Installation) -> dict[str, str]:
    return {
        "BANK_URL": installation.url(SANDBOX),
        "BANK_API_KEY": installation.bank_api_key,
        "PAYOUT_WEBHOOK_SECRETS": shared_key(installation),
    }


def _ledger(_installation: Installation) -> dict[str, str]:
    return {}


def _reconciliation(installation: Installation) -> dict[str, str]:
    return {"BANK_URL": installation.url(SANDBOX), "BANK_API_KEY": installation.bank_api_key}


def _review(installation: Installation) -> dict[str, str]:
    behind = {variable: installation.url(service) for variable, service in BEHIND.items()}
    return behind | {"CORE_URL": installation.url(INTERNAL)}


OWN = {
    "core_api": _core_api,
    "quote": _quote,
    "transfer": _transfer,
    "deposit_watcher": _deposit_watcher,
    "payout_orchestrator": _payout_orchestrator,
    "ledger": _ledger,
    "reconciliation": _reconciliation,
    "review": _review,
}


def shared_key(installation: Installation) -> str:
    """partner:key_id:secret."""
    return ":".join(installation.webhook_key.values())


def _sandbox(home: Home, installation: Installation, servers: Servers, environment: Environment) -> Program:
    """Its secrets go by file: a command line is for everybody to read."""
    config = home.run / "sandbox.json"
    settings = {
        "corridor_url": installation.url("core_api"),
        "signing_keys": [installation.webhook_key],
        "api_key": installation.bank_api_key,
    }
    write_json(config, settings)
    port = str(installation.ports[SANDBOX])
    argv = (
        sys.executable,
        "-m",
        "services.sandbox",
        "--port",
        port,
        "--data",
        str(home.sandbox),
        "--config",
        str(config),
    )
    bootstrap = {"KAFKA_BOOTSTRAP_SERVERS": servers.kafka}
    return Program(name=SANDBOX, argv=argv, environment={**environment, **bootstrap}, url=installation.url(SANDBOX))


def dsn_of(role: str, installation: Installation, servers: Servers) -> str:
    """The same server and database, with the role's own password."""
    parts = urlsplit(servers.postgres)
    place = parts.netloc.rpartition("@")[2]
    return urlunsplit(parts._replace(netloc=f"{role}:{installation.passwords[role]}@{place}"))
