"""The environment as a frozen value. A process whose settings are unsafe does not start, and says every reason."""

from __future__ import annotations

import base64
import binascii
import dataclasses
import hmac
import os
import sys
import types
import typing
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from typing import Annotated, Any, Literal, NoReturn, TypeVar
from urllib.parse import urlsplit

Environment = Literal["dev", "test", "staging", "prod"]
JWT_SECRET_CHARS_MIN = 16
WEBHOOK_SECRET_CHARS_MIN = 24
EXIT_UNSAFE = 2
_WEAK = ("changeme", "change-me", "default", "secret", "example", "test", "dev-", "password", "insecure", "demo")


class Secret:
    """Text that is never shown: not by print, repr, format, log, or an exception."""

    __slots__ = ("_text",)

    def __init__(self, text: str) -> None:
        """Keep `text`."""
        self._text = text

    def reveal(self) -> str:
        """The text itself, for the one call that needs it."""
        return self._text

    def __repr__(self) -> str:
        return "Secret(***)"

    def __eq__(self, other: object) -> bool:
        return isinstance(other, Secret) and hmac.compare_digest(self._text.encode(), other._text.encode())

    def __hash__(self) -> int:
        return hash(self._text)


@dataclass(frozen=True, slots=True)
class SharedKey:
    """A secret shared with a partner. In the environment: `partner:key_id:secret`, several parted by commas."""

    partner: str
    key_id: str
    secret: Secret


Check = Callable[[str], str | None]  # the sentence of what is wrong, or None


@dataclass(frozen=True, slots=True, kw_only=True)
class Var:
    """Annotates a field with the variable that it comes from. A field without a default must be set.

    Limits include their ends. `weak_refused`: in staging and prod, a value that looks like an example is refused; so is
    a key of 32 equal bytes or with "example" in it, a partner's secret like that, and a database's password like that.
    """

    name: str = field(kw_only=False)
    at_least: int | None = None
    at_most: int | None = None
    chars_min: int = 1
    weak_refused: bool = False
    check: Check | None = None


def is_postgres(url: str) -> str | None:
    """An address of PostgreSQL."""
    return None if url.startswith(("postgresql://", "postgres://")) else "must begin with postgresql://"


def is_key_32(text: str) -> str | None:
    """base64 of exactly 32 bytes."""
    try:
        sound = len(base64.b64decode(text, validate=True)) == 32
    except binascii.Error:
        sound = False
    return None if sound else "must be base64 of 32 bytes"


@dataclass(frozen=True, kw_only=True)
class Kernel:
    """What every service needs to know. A service's own settings extend it."""

    service: str
    env: Annotated[Environment, Var("ENV")]
    tenant: Annotated[str, Var("CORRIDOR_TENANT")] = "corridor"
    database_url: Annotated[Secret, Var("DATABASE_URL", check=is_postgres)]
    kafka_bootstrap: Annotated[str, Var("KAFKA_BOOTSTRAP_SERVERS")]
    partitions: Annotated[int, Var("KAFKA_PARTITIONS", at_least=1, at_most=1000)] = 4
    epoch: Annotated[int, Var("KAFKA_TOPIC_EPOCH", at_least=1)] = 1
    jwt_secret: Annotated[Secret, Var("JWT_SECRET", chars_min=JWT_SECRET_CHARS_MIN, weak_refused=True)]
    jwt_key_id: Annotated[str | None, Var("JWT_KEY_ID")] = None
    jwt_secret_previous: Annotated[
        Secret | None, Var("JWT_SECRET_PREVIOUS", chars_min=JWT_SECRET_CHARS_MIN, weak_refused=True)
    ] = None
    jwt_key_id_previous: Annotated[str | None, Var("JWT_KEY_ID_PREVIOUS")] = None
    host: Annotated[str, Var("HOST")] = "127.0.0.1"
    port: Annotated[int, Var("PORT", at_least=0, at_most=65535)] = 0  # any free one, told by the line `listening`
    release_id: Annotated[str, Var("RELEASE_ID")] = "dev"
    release_sha: Annotated[str, Var("RELEASE_SHA")] = "unknown"
    colour: Annotated[str, Var("CORRIDOR_COLOUR")] = "none"
    cors_allow_origins: Annotated[tuple[str, ...], Var("CORS_ALLOW_ORIGINS")] = ()
    otlp_endpoint: Annotated[str | None, Var("OTEL_EXPORTER_OTLP_ENDPOINT")] = None
    log_level: Annotated[Literal["debug", "info", "warning", "error"], Var("LOG_LEVEL")] = "info"
    watchdog_seconds: Annotated[int, Var("CORRIDOR_WATCHDOG_SECONDS", at_least=1)] = 10
    stop_seconds: Annotated[int, Var("CORRIDOR_STOP_SECONDS", at_least=1, at_most=300)] = 10
    # how long what a dead worker had taken stays with it; a service with calls checks that none can last longer
    effect_lease_seconds: Annotated[int, Var("CORRIDOR_EFFECT_LEASE_SECONDS", at_least=5)] = 90
    # sessions of each pool of a process (decision 0020); those of the overflow end soon after the load has fallen
    db_pool_size: Annotated[int, Var("DB_POOL_SIZE", at_least=1, at_most=50)] = 2
    db_pool_overflow: Annotated[int, Var("DB_POOL_OVERFLOW", at_least=0, at_most=50)] = 0
    # how long a request waits for a session of a pool, or for its turn in the commands' lane; then 503
    db_pool_timeout_seconds: Annotated[int, Var("DB_POOL_TIMEOUT_SECONDS", at_least=1, at_most=30)] = 5
    db_commands_waiting_max: Annotated[int, Var("DB_COMMANDS_WAITING_MAX", at_least=1_000, at_most=100_000)] = 10_000
    db_statement_seconds: Annotated[int, Var("DB_STATEMENT_TIMEOUT_SECONDS", at_least=1, at_most=300)] = 15
    db_idle_in_transaction_seconds: Annotated[
        int, Var("DB_IDLE_IN_TRANSACTION_TIMEOUT_SECONDS", at_least=1, at_most=300)
    ] = 10
    http_concurrency: Annotated[int, Var("HTTP_CONCURRENCY", at_least=1, at_most=1_900)] = 1_000  # requests, not probes
    worker_concurrency: Annotated[int, Var("WORKER_CONCURRENCY", at_least=1, at_most=500)] = 500  # side effects at once
    parent_pid: Annotated[int | None, Var("CORRIDOR_PARENT_PID", at_least=1)] = None
    instance: Annotated[str | None, Var("CORRIDOR_INSTANCE")] = None  # see bus.KafkaSubscription
    niceness: Annotated[int, Var("CORRIDOR_NICENESS", at_least=0, at_most=19)] = 0  # what may wait gives way to money

    def faults(self) -> list[str]:
        """What is unsafe between the values. An extension adds its own to those of `super()`."""
        found = []
        if "*" in self.cors_allow_origins and self.env in {"staging", "prod"}:
            found.append("CORS_ALLOW_ORIGINS: * is refused here; name the origins")
        if self.jwt_secret == self.jwt_secret_previous:
            found.append("JWT_SECRET_PREVIOUS: is the same as JWT_SECRET")
        if self.jwt_key_id is not None and self.jwt_key_id == self.jwt_key_id_previous:
            found.append("JWT_KEY_ID_PREVIOUS: is the same as JWT_KEY_ID")
        if self.env == "prod" and self.release_sha == "unknown":
            found.append("RELEASE_SHA: must be set in prod")
        return found


class Unsafe(Exception):
    """The settings are incomplete or unsafe. Holds names and reasons, never values."""

    def __init__(self, service: str, faults: list[str]) -> None:
        """`faults`: one sentence each."""
        super().__init__(f"{service} does not start, its settings are unsafe:\n" + "\n".join(f"  {f}" for f in faults))
        self.faults = faults


Settings = TypeVar("Settings", bound=Kernel)


def load(cls: type[Settings], service: str, environ: Mapping[str, str] = os.environ) -> Settings:
    """The settings of `service`. Raises Unsafe with everything that is wrong."""
    values: dict[str, Any] = {"service": service}
    faults: list[str] = []
    hints = typing.get_type_hints(cls, include_extras=True)
    strict = environ.get("ENV") in {"staging", "prod"}
    for one in dataclasses.fields(cls):
        if one.name == "service":
            continue
        hint, var = typing.get_args(hints[one.name])
        text = environ.get(var.name, "").strip()
        if text:
            try:
                values[one.name] = _read(text, hint, var, strict=strict)
            except ValueError as error:
                faults.append(f"{var.name}: {error}")
        elif one.default is dataclasses.MISSING:
            faults.append(f"{var.name}: is missing")
    if faults:
        raise Unsafe(service, faults)
    settings = cls(**values)
    if crossed := settings.faults():
        raise Unsafe(service, crossed)
    return settings


def load_or_exit(cls: type[Settings], service: str) -> Settings:
    """As `load`, from the process's environment; unsafe settings end the process with code 2 and one message."""
    try:
        return load(cls, service)
    except Unsafe as error:
        _refuse(error)


def _refuse(error: Unsafe) -> NoReturn:
    sys.stderr.write(f"{error}\n")
    sys.exit(EXIT_UNSAFE)


def _read(text: str, hint: Any, var: Var, *, strict: bool) -> Any:
    """The value of one variable. Raises ValueError with a sentence that does not repeat it."""
    if len(text) < var.chars_min:
        raise ValueError(f"needs at least {var.chars_min} characters")
    if var.check and (fault := var.check(text)):
        raise ValueError(fault)
    value = _convert(text, _bare(hint))
    if strict and _is_example(text, value, var):
        raise ValueError("looks like an example or a default; make a random one")
    if isinstance(value, int):
        _bound(value, var)
    return value


def _is_example(text: str, value: Any, var: Var) -> bool:
    if var.check is is_key_32:
        key = base64.b64decode(text)
        return len(set(key)) == 1 or b"example" in key
    if var.check is is_postgres:
        return "example" in (urlsplit(text).password or "")
    if isinstance(value, tuple):
        return any(isinstance(one, SharedKey) and _is_weak(one.secret.reveal()) for one in value)
    return var.weak_refused and _is_weak(text)


def _is_weak(text: str) -> bool:
    return any(word in text.lower() for word in _WEAK)


def _bare(hint: Any) -> Any:
    """`X | None` is read as `X`."""
    if isinstance(hint, types.UnionType):
        return next(one for one in typing.get_args(hint) if one is not types.NoneType)
    return hint


def _convert(text: str, hint: Any) -> Any:
    if typing.get_origin(hint) is Literal:
        if text not in typing.get_args(hint):
            raise ValueError(f"must be one of {', '.join(typing.get_args(hint))}")
        return text
    if typing.get_origin(hint) is tuple:
        parts = [part.strip() for part in text.split(",") if part.strip()]
        return _shared_keys(parts) if typing.get_args(hint)[0] is SharedKey else tuple(parts)
    if hint is bool:
        return _boolean(text)
    if hint is int:
        return _integer(text)
    assert hint in {str, Secret}, f"settings cannot be {hint}"
    return hint(text)


def _boolean(text: str) -> bool:
    if text not in {"true", "false", "1", "0"}:
        raise ValueError("must be true or false")
    return text in {"true", "1"}


def _integer(text: str) -> int:
    if not (text.isascii() and text.removeprefix("-").isdigit() and len(text) < 19):
        raise ValueError("must be a whole number")
    return int(text)


def _bound(value: int, var: Var) -> None:
    if var.at_least is not None and value < var.at_least:
        raise ValueError(f"must be at least {var.at_least}")
    if var.at_most is not None and value > var.at_most:
        raise ValueError(f"must be at most {var.at_most}")


def _shared_keys(parts: list[str]) -> tuple[SharedKey, ...]:
    keys = tuple(_shared_key(part) for part in parts)
    if len({key.key_id for key in keys}) < len(keys):
        raise ValueError("each key needs a key id of its own")
    return keys


def _shared_key(text: str) -> SharedKey:
    partner, _, rest = text.partition(":")
    key_id, _, secret = rest.partition(":")
    if not (partner and key_id) or len(secret) < WEBHOOK_SECRET_CHARS_MIN:
        raise ValueError(f"each must be partner:key_id:secret, the secret of {WEBHOOK_SECRET_CHARS_MIN} characters up")
    return SharedKey(partner, key_id, Secret(secret))
