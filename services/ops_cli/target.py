"""Which system is spoken to, and as whom: a flag, the environment, a contexts file, or this checkout's own system."""

from __future__ import annotations

import json
import os
import stat
import tomllib
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Literal
from urllib.parse import urlsplit

from services.ops_cli.exits import Exit, OpsError, usage

ROOT = Path(__file__).parents[2]
Who = Literal["customer", "operator", "second_operator", "admin"]
PRIVATE = stat.S_IRWXG | stat.S_IRWXO  # bits that a file with tokens must not have


@dataclass(frozen=True, kw_only=True)
class Target:
    """One system. Tokens and keys are never printed."""

    name: str
    source: str  # where this was read, for a person
    base_url: str
    env: str = "unknown"
    token: str | None = field(default=None, repr=False)  # one for everything
    tokens: Mapping[str, str] = field(default_factory=dict, repr=False)  # by role, of a system of this checkout
    sandbox_url: str | None = None
    kafka_bootstrap: str | None = None
    database_url: str | None = field(default=None, repr=False)  # a role that reads only
    operations_database_url: str | None = field(default=None, repr=False)  # corridor_operations: sql/operations.sql
    epoch: int = 1  # of the topics: counts how often they were made anew
    webhooks: tuple[Mapping[str, str], ...] = field(default=(), repr=False)
    processes: tuple[Mapping[str, Any], ...] = ()

    def bearer(self, role: Who, *, chosen: bool) -> str:
        """The token for `role`; `chosen`: somebody asked for that role by name. Raises OpsError."""
        if role in self.tokens:
            return self.tokens[role]
        if self.token is not None and not chosen:
            return self.token
        if self.tokens or self.token:
            raise OpsError(
                Exit.NOT_ALLOWED,
                f"the context {self.name} has no token of a {role}",
                hint=f"it has: {', '.join(sorted(self.tokens)) or 'one token, whose role is its own; leave --as out'}",
            )
        raise OpsError(Exit.NOT_ALLOWED, f"the context {self.name} has no token", hint="set OPS_TOKEN")


def find(name: str | None, environ: Mapping[str, str] = os.environ) -> Target:
    """`name` is that of --context. Then OPS_BASE_URL, then OPS_CONTEXT, then var/run/system.json. Raises OpsError.

    OPS_TOKEN stands in where the context has no token of its own, and always for OPS_BASE_URL.
    """
    token = environ.get("OPS_TOKEN") or None
    if name is None and (base_url := environ.get("OPS_BASE_URL")):
        return _from_environment(base_url, token, environ)
    name = name or environ.get("OPS_CONTEXT") or None
    if name is None or name == "local":
        return from_facts(facts_path(environ), token)
    return from_file(contexts_path(environ), name, token)


def facts_path(environ: Mapping[str, str] = os.environ) -> Path:
    """Where `make up` says where everything is."""
    return Path(environ.get("CORRIDOR_VAR") or ROOT / "var") / "run" / "system.json"


def contexts_path(environ: Mapping[str, str] = os.environ) -> Path:
    """By the XDG base directories."""
    home = environ.get("XDG_CONFIG_HOME") or str(Path(environ.get("HOME", "~")).expanduser() / ".config")
    return Path(home) / "corridor" / "contexts.toml"


def _from_environment(base_url: str, token: str | None, environ: Mapping[str, str]) -> Target:
    return Target(
        name="environment",
        source="OPS_BASE_URL",
        base_url=address(base_url),
        env=environ.get("OPS_ENV", "unknown"),
        token=token,
        kafka_bootstrap=environ.get("OPS_KAFKA_BOOTSTRAP_SERVERS"),
        database_url=environ.get("OPS_DATABASE_URL"),
        operations_database_url=environ.get("OPS_OPERATIONS_DATABASE_URL"),
    )


def from_facts(path: Path, token: str | None = None) -> Target:
    """The system of this checkout, while it is up. Raises OpsError."""
    try:
        facts = json.loads(_private(path))
    except FileNotFoundError:
        raise OpsError(
            Exit.UNAVAILABLE,
            "no system to speak to: this checkout's own is not up, and no other is named",
            hint="start it with `make up`, or name one: --context NAME, or OPS_BASE_URL and OPS_TOKEN",
            facts={"looked at": path},
        ) from None
    return Target(
        name="local",
        source=str(path),
        base_url=facts["base_url"],
        env="dev",
        token=None if facts["tokens"] else token,
        tokens=facts["tokens"],
        sandbox_url=facts.get("sandbox_url"),
        kafka_bootstrap=facts.get("kafka_bootstrap"),
        database_url=facts.get("oncall_database_url"),
        operations_database_url=facts.get("operations_database_url"),
        webhooks=tuple(facts.get("webhooks", ())),
        processes=tuple(facts.get("processes", ())),
    )


EXAMPLE = '[contexts.staging] with base_url = "https://..." and, unless OPS_TOKEN is set, token = "..."'


def from_file(path: Path, name: str, token: str | None = None) -> Target:
    """A named context. Raises OpsError."""
    try:
        contexts = tomllib.loads(_private(path)).get("contexts", {})
    except FileNotFoundError:
        raise usage(f"no context {name!r}: there is no {path}", f"make it (mode 0600): {EXAMPLE}") from None
    except tomllib.TOMLDecodeError as error:
        raise usage(f"{path} is no TOML: {error}") from None
    if name not in contexts:
        raise usage(f"no context {name!r} in {path}", f"it has: local, {', '.join(sorted(contexts))}")
    found = contexts[name]
    if "base_url" not in found:
        raise usage(f"the context {name!r} in {path} has no base_url", EXAMPLE)
    tokens = found.get("tokens", {})
    return Target(
        name=name,
        source=str(path),
        base_url=address(found["base_url"]),
        env=found.get("env", "unknown"),
        token=found.get("token") or (None if tokens else token),
        tokens=tokens,
        sandbox_url=found.get("sandbox_url"),
        kafka_bootstrap=found.get("kafka_bootstrap"),
        database_url=found.get("database_url"),
        operations_database_url=found.get("operations_database_url"),
        epoch=found.get("kafka_topic_epoch", 1),
        webhooks=tuple(found.get("webhooks", ())),
        processes=tuple(found.get("processes", ())),
    )


def _private(path: Path) -> str:
    """Tokens that others can read are refused, as ssh does it."""
    if path.stat().st_mode & PRIVATE:
        raise OpsError(
            Exit.NOT_ALLOWED,
            f"{path} has tokens in it and others can read it",
            hint=f"chmod 600 {path}",
        )
    return path.read_text(encoding="utf-8")


def address(url: str) -> str:
    """Without a slash at its end. Raises OpsError."""
    parts = urlsplit(url)
    if parts.scheme not in {"http", "https"} or not parts.hostname or parts.query or parts.fragment:
        raise usage(f"not the address of a system: {url[:80]!r}", "write https://host or http://host:port")
    return url.rstrip("/")
