"""What is chosen once for an installation and kept: broker, ports, passwords, keys. All random."""

import base64
import os
import secrets
from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass, field, replace
from typing import Self

from contracts.topics import PARTITIONS_DEMO
from scripts.stack.broker import Kind
from scripts.stack.ports import free_port, is_free
from scripts.system.home import Home, read_json, write_json

SERVICES = (
    "core_api", "quote", "transfer", "deposit_watcher", "payout_orchestrator", "ledger", "reconciliation", "review",
)  # fmt: skip
SANDBOX = "sandbox"
PROGRAMS = (*SERVICES, SANDBOX)
INTERNAL = "core_api_internal"  # core_api's second port: its internal routes, probes and metrics
PORTS = (*PROGRAMS, INTERNAL)
ROLES = {
    "core_api": "corridor_core",
    "quote": "corridor_quote",
    "transfer": "corridor_transfer",
    "deposit_watcher": "corridor_deposit",
    "payout_orchestrator": "corridor_payout",
    "ledger": "corridor_ledger",
    "reconciliation": "corridor_recon",
    "review": "corridor_review",
    "oncall": "corridor_oncall",
    "operations": "corridor_operations",
}  # service, or the people on call -> its PostgreSQL role
USERS = {
    "customer": "customer",
    "operator": "operator",
    "second_operator": "operator",
    "admin": "admin",
}  # login -> role
PARTNER = "sandbox-bank"  # the partner of every corridor of deploy/corridors.json; reports deposits too
KEY_ID = "k1"


class Mismatched(Exception):
    """The installation was made with something else than what is asked for now."""


class PortTaken(Exception):
    """A port that was asked for belongs to another process."""


@dataclass(frozen=True, kw_only=True)
class Installation:
    """`passwords` by PostgreSQL role, `logins` by user, `ports` by PORTS. Nothing here may reach a log."""

    broker: Kind
    partitions: int
    ports: Mapping[str, int] = field(repr=False)
    passwords: dict[str, str] = field(repr=False)
    logins: Mapping[str, str] = field(repr=False)
    jwt_secret: str = field(repr=False)
    kek: str = field(repr=False)  # base64 of 32 bytes: wraps the keys of persons
    webhook_secret: str = field(repr=False)
    bank_api_key: str = field(repr=False)
    users_registered: bool = False

    @classmethod
    def make(cls, broker: Kind) -> Self:
        """With fresh secrets and no ports yet."""
        return cls(
            broker=broker,
            partitions=int(os.environ.get("KAFKA_PARTITIONS", PARTITIONS_DEMO)),
            ports={},
            passwords={role: secrets.token_urlsafe(24) for role in ROLES.values()},
            logins={login: secrets.token_urlsafe(18) for login in USERS},
            jwt_secret=secrets.token_urlsafe(32),
            kek=base64.b64encode(secrets.token_bytes(32)).decode(),
            webhook_secret=secrets.token_urlsafe(32),
            bank_api_key=secrets.token_urlsafe(24),
        )

    def save(self, home: Home) -> None:
        write_json(home.installation, asdict(self))

    def url(self, port: str) -> str:
        """Of a program, or of INTERNAL."""
        return f"http://127.0.0.1:{self.ports[port]}"

    @property
    def webhook_key(self) -> dict[str, str]:
        """What signs deposits and payout callbacks."""
        return {"partner": PARTNER, "key_id": KEY_ID, "secret": self.webhook_secret}


def opened(home: Home, broker: Kind) -> Installation:
    """The installation of `home`, made when there is none; its ports are free. Raises Mismatched, PortTaken."""
    home.make()
    kept = read_json(home.installation)
    installation = Installation(**kept) if kept else Installation.make(broker)
    if installation.broker != broker:
        raise Mismatched(
            f"{home.path} was made with BROKER={installation.broker} and its events are there; "
            f"use that one, or `make reset` first"
        )
    passwords = Installation.make(broker).passwords | dict(installation.passwords)  # a release may bring a role more
    installation = replace(installation, passwords=passwords, ports=choose_ports(installation.ports, os.environ))
    installation.save(home)
    return installation


def choose_ports(kept: Mapping[str, int], environment: Mapping[str, str]) -> dict[str, int]:
    """By environment (PORT_BASE, or CORE_API_PORT and so on), else the last one if it is still free, else a free one.

    Raises PortTaken for one that was asked for.
    """
    chosen = {}
    for index, name in enumerate(PORTS):
        asked = asked_port(name, index, environment)
        if asked is not None and not is_free(asked):
            raise PortTaken(f"port {asked}, asked for {name}, is taken")
        last = kept.get(name)
        if asked is not None:
            chosen[name] = asked
        elif last is not None and last not in chosen.values() and is_free(last):
            chosen[name] = last
        else:
            chosen[name] = _another(chosen.values())
    return chosen


def asked_port(name: str, index: int, environment: Mapping[str, str]) -> int | None:
    """The port that the environment wants for `name`, the `index`th from PORT_BASE; None: any."""
    if own := environment.get(f"{name.upper()}_PORT"):
        return int(own)
    base = environment.get("PORT_BASE")
    return int(base) + index if base else None


def _another(taken: Iterable[int]) -> int:
    """A free port that none of our own programs will listen on."""
    while (port := free_port()) in set(taken):
        pass
    return port
