"""The process of core_api: wiring, by hand; and its users from the command line.

python -m services.core_api
python -m services.core_api users add --login L --role customer|operator|admin [--tenant T]   (password on stdin)
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import sys
from collections.abc import Sequence
from contextlib import AsyncExitStack
from dataclasses import dataclass
from typing import Annotated
from uuid import uuid4

import asyncpg
from starlette.middleware.cors import CORSMiddleware
from starlette.types import ASGIApp

from contracts import topics
from services.core_api import handlers
from services.core_api.adapters.passwords import Argon2
from services.core_api.adapters.proxy import Door, Proxy, targets
from services.core_api.api.internal import internal_routes
from services.core_api.api.profiles import Profiles, profile_routes
from services.core_api.api.users import PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, Users, login_routes
from services.kernel import process
from services.kernel.decider import Ask, Meta, Outcome, Unit
from services.kernel.edge import Edge
from services.kernel.engine import Units
from services.kernel.http import create_app
from services.kernel.service import Runtime, Service
from services.kernel.settings import Kernel, Secret, Var, is_key_32, load_or_exit
from services.kernel.store import Unavailable
from services.kernel.tokens import ServiceTokens, Tokens
from services.kernel.upstream import is_address
from services.kernel.vault import Vault
from services.kernel.vault_keys import PostgresKeys

VAULT_CONNECTIONS_MAX = 2
EXIT_REFUSED, EXIT_USAGE = 1, 2
ROLES = ("customer", "operator", "admin")


@dataclass(frozen=True, kw_only=True)
class Settings(Kernel):
    """What this service needs beside the kernel's."""

    quote_url: Annotated[str, Var("QUOTE_URL", check=is_address)]
    transfer_url: Annotated[str, Var("TRANSFER_URL", check=is_address)]
    deposit_url: Annotated[str, Var("DEPOSIT_URL", check=is_address)]
    payout_url: Annotated[str, Var("PAYOUT_URL", check=is_address)]
    ledger_url: Annotated[str, Var("LEDGER_URL", check=is_address)]
    internal_host: Annotated[str | None, Var("INTERNAL_HOST")] = None  # as HOST
    internal_port: Annotated[int, Var("INTERNAL_PORT", at_least=0, at_most=65535)] = 0  # any free one, as PORT
    token_seconds: Annotated[int, Var("ACCESS_TOKEN_SECONDS", at_least=60, at_most=86_400)] = 3_600
    kek: Annotated[Secret, Var("CORRIDOR_KEK", check=is_key_32)]
    kek_previous: Annotated[Secret | None, Var("CORRIDOR_KEK_PREVIOUS", check=is_key_32)] = None
    digest_key: Annotated[Secret | None, Var("CORRIDOR_DIGEST_KEY", check=is_key_32)] = None

    def faults(self) -> list[str]:
        """Logins are found by a keyed digest: its key must outlive the one that is being replaced."""
        lost = self.kek_previous is not None and self.digest_key is None
        return [
            *super().faults(),
            *(["CORRIDOR_DIGEST_KEY: must be set before CORRIDOR_KEK is replaced"] if lost else []),
        ]


def service() -> Service:
    """core_api as a value."""
    return Service(name="core_api", schema="core", topic=topics.CUSTOMER.name, deciders=handlers.DECIDERS)


def digest_key_of(settings: Settings) -> Secret:
    """The configured one, or one that follows from the key-encryption key."""
    derived = hmac.digest(settings.kek.reveal().encode(), b"corridor login digest", "sha256")
    return settings.digest_key or Secret(derived.hex())


async def open_vault(settings: Settings, opened: AsyncExitStack) -> Vault:
    """The keys of persons; the database may be away at the start."""
    pool = await opened.enter_async_context(
        asyncpg.create_pool(
            settings.database_url.reveal(), min_size=0, max_size=VAULT_CONNECTIONS_MAX, timeout=5, command_timeout=5
        )
    )
    keys = PostgresKeys(pool)
    return Vault(keys, kek=settings.kek, kek_previous=settings.kek_previous, digest_key=digest_key_of(settings))


def door(own: ASGIApp, settings: Settings, opened: AsyncExitStack) -> Door:
    """Our own routes, and behind the same edge those of the other services."""
    passed: ASGIApp = Edge(Proxy())
    if settings.cors_allow_origins:
        origins = list(settings.cors_allow_origins)
        passed = CORSMiddleware(passed, allow_origins=origins, allow_methods=["*"], allow_headers=["*"])
    behind = targets({
        "quote": settings.quote_url,
        "transfer": settings.transfer_url,
        "deposit": settings.deposit_url,
        "payout": settings.payout_url,
        "ledger": settings.ledger_url,
    })  # fmt: skip
    for target in behind.values():
        opened.callback(target.upstream.close)
    return Door(own, passed, behind)


async def build(settings: Settings, opened: AsyncExitStack) -> process.Running:
    """core_api put together."""
    runtime = Runtime(service(), settings)
    tokens = Tokens.from_settings(settings)
    vault = await open_vault(settings, opened)
    reads = runtime.engine("heads")
    users = Users(reads, vault, Argon2())
    profiles = Profiles(runtime.commands, reads, vault)
    routes = [
        login_routes(users, tokens, settings.tenant, settings.token_seconds),
        profile_routes(profiles, tokens),
    ]
    health = runtime.health()
    public = door(create_app(settings, routes, health, public=True), settings, opened)
    internal = create_app(settings, [internal_routes(profiles, ServiceTokens.from_settings(settings))], health)
    return process.Running(app=public, internal=internal, tasks=dict(runtime.tasks()), health=health)


async def add_user(settings: Settings, tenant: str, login: str, password: str, role: str) -> tuple[int, str]:
    """(exit code, what to say). One more way into the engine; the same again changes nothing."""
    async with AsyncExitStack() as opened:
        runtime = Runtime(service(), settings)
        engine = runtime.engine("command line")
        users = Users(engine, await open_vault(settings, opened), Argon2())
        ask = await users.registration(tenant, login, password, (role,))  # type: ignore[arg-type]  # of ROLES
        meta = Meta(tenant, "command line", uuid4(), None, "users add")
        (outcome,) = await engine.run(Units([Unit((ask,), meta)]))
        known = outcome.events or await users.authenticate(tenant, login, password)
        return told(ask, outcome, known=bool(known))


def told(ask: Ask, outcome: Outcome, *, known: bool) -> tuple[int, str]:
    """JSON with the user's id, or why not."""
    if outcome.error is not None:
        raise outcome.error
    if outcome.refusal is not None:
        return EXIT_REFUSED, f"{outcome.refusal.code}: {outcome.refusal.detail}"
    if not known:
        return EXIT_REFUSED, "USER_REGISTERED_OTHERWISE: this login is registered, with another password."
    return 0, json.dumps({"user_id": str(ask.stream_id), "created": bool(outcome.events)})


def manage(arguments: argparse.Namespace, settings: Settings) -> int:
    """The command line, but for serving."""
    if arguments.tenant not in {None, settings.tenant}:
        sys.stderr.write(f"one tenant per installation: this one serves {settings.tenant}, not {arguments.tenant}\n")
        return EXIT_USAGE
    password = sys.stdin.readline().rstrip("\r\n")
    if not PASSWORD_CHARS_MIN <= len(password) <= PASSWORD_CHARS_MAX:
        sys.stderr.write(f"the password needs {PASSWORD_CHARS_MIN} to {PASSWORD_CHARS_MAX} characters\n")
        return EXIT_REFUSED
    try:
        code, text = asyncio.run(add_user(settings, settings.tenant, arguments.login, password, arguments.role))
    except (Unavailable, OSError, asyncpg.PostgresError) as error:
        code, text = EXIT_REFUSED, f"the database does not answer: {type(error).__name__}"
    (sys.stderr if code else sys.stdout).write(text + "\n")
    return code


def arguments_of(argv: Sequence[str]) -> argparse.Namespace:
    """No arguments: serve."""
    parser = argparse.ArgumentParser(prog="python -m services.core_api")
    users = parser.add_subparsers(dest="what").add_parser("users").add_subparsers(dest="do", required=True)
    add = users.add_parser("add", help="register a user; the password is the first line of standard input")
    add.add_argument("--login", required=True)
    add.add_argument("--role", required=True, choices=ROLES)
    add.add_argument("--tenant")
    return parser.parse_args(argv)


def main() -> None:
    """Serve until told to stop, or do what the command line says."""
    arguments = arguments_of(sys.argv[1:])
    settings = load_or_exit(Settings, "core_api")
    if arguments.what is None:
        internal = (settings.internal_host or settings.host, settings.internal_port)
        process.run(settings, lambda opened: build(settings, opened), internal)
    sys.exit(manage(arguments, settings))


if __name__ == "__main__":
    main()
