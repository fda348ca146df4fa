"""The process of core_api: wiring, by hand; and its users from the command line.

python -m services.core_api
python -m services.core_api users add --login L --role customer|operator|admin [--tenant T]   (password on stdin)
"""

from __future__ import annotations

import argparse
import asyncio
import hmac
import json
import re
import sys
from collections.abc import Mapping, Sequence
from contextlib import AsyncExitStack, suppress
from dataclasses import dataclass, replace
from typing import Annotated
from uuid import uuid4

import asyncpg
from starlette.types import ASGIApp

from contracts import topics
from services.core_api import handlers
from services.core_api.adapters.headers import Cors, Dressed, public_headers
from services.core_api.adapters.keys import AllServices, local, remote
from services.core_api.adapters.passwords import Argon2
from services.core_api.adapters.proxy import Absent, Door, Proxy, Target, targets
from services.core_api.adapters.quotas import Limited, Quota, Take, by_address, by_user
from services.core_api.api.docs import docs_routes
from services.core_api.api.internal import internal_routes
from services.core_api.api.keys import key_routes
from services.core_api.api.limited import limited
from services.core_api.api.maintenance import MaintenanceGate, maintenance_routes
from services.core_api.api.profiles import Profiles, profile_routes
from services.core_api.api.sessions import Sessions, session_routes
from services.core_api.api.users import PASSWORD_CHARS_MAX, PASSWORD_CHARS_MIN, Users, user_routes
from services.kernel import process
from services.kernel.decider import Ask, Meta, Outcome, Unit
from services.kernel.edge import Edge
from services.kernel.engine import Engine, Units
from services.kernel.http import create_app
from services.kernel.ids import new_id
from services.kernel.internal import lookup_routes
from services.kernel.pool import Pool
from services.kernel.routing import Router
from services.kernel.service import Runtime, Service
from services.kernel.settings import Kernel, Secret, Var, is_key_32, load_or_exit
from services.kernel.store import Unavailable
from services.kernel.tokens import ServiceToken, ServiceTokens, Tokens
from services.kernel.upstream import is_address
from services.kernel.vault import Vault
from services.kernel.vault_keys import PostgresKeys

FIRST_LOOK_SECONDS = 3.0
SERVICES = {"deposit": "deposit_watcher", "payout": "payout_orchestrator", "recon": "reconciliation"}  # in full
EXIT_REFUSED, EXIT_USAGE = 1, 2
ORIGIN = re.compile(r"https?://[a-z0-9.-]+(:[0-9]{1,5})?")
ROLES = ("customer", "operator", "admin")


@dataclass(frozen=True, kw_only=True)
class Settings(Kernel):
    """What this service needs beside the kernel's."""

    quote_url: Annotated[str, Var("QUOTE_URL", check=is_address)]
    transfer_url: Annotated[str, Var("TRANSFER_URL", check=is_address)]
    deposit_url: Annotated[str, Var("DEPOSIT_URL", check=is_address)]
    payout_url: Annotated[str, Var("PAYOUT_URL", check=is_address)]
    ledger_url: Annotated[str, Var("LEDGER_URL", check=is_address)]
    review_url: Annotated[str | None, Var("REVIEW_URL", check=is_address)] = None  # without it 503 not-configured
    recon_url: Annotated[str | None, Var("RECON_URL", check=is_address)] = None  # likewise
    internal_host: Annotated[str | None, Var("INTERNAL_HOST")] = None  # as HOST
    internal_port: Annotated[int, Var("INTERNAL_PORT", at_least=0, at_most=65535)] = 0  # any free one, as PORT
    token_seconds: Annotated[int, Var("ACCESS_TOKEN_SECONDS", at_least=60, at_most=86_400)] = 3_600
    session_seconds: Annotated[int, Var("SESSION_SECONDS", at_least=60, at_most=31_536_000)] = 2_592_000  # 30 days
    # requests a minute, counted by each process for itself; 0 is no limit
    login_rate: Annotated[int, Var("RATE_LIMIT_LOGIN_PER_MINUTE", at_least=0)] = 60  # and refresh, by address
    signup_rate: Annotated[int, Var("RATE_LIMIT_SIGNUP_PER_MINUTE", at_least=0)] = 20  # by address
    user_rate: Annotated[int, Var("RATE_LIMIT_USER_PER_MINUTE", at_least=0)] = 0  # all else but webhooks, by user
    # how many proxies of ours stand in front and add to X-Forwarded-For; 0: the address is that of the connection
    proxies: Annotated[int, Var("TRUSTED_PROXIES", at_least=0, at_most=5)] = 0
    kek: Annotated[Secret, Var("CORRIDOR_KEK", check=is_key_32)]
    kek_previous: Annotated[Secret | None, Var("CORRIDOR_KEK_PREVIOUS", check=is_key_32)] = None
    digest_key: Annotated[Secret | None, Var("CORRIDOR_DIGEST_KEY", check=is_key_32)] = None

    def faults(self) -> list[str]:
        """Logins are found by a keyed digest: its key must outlive the one that is being replaced."""
        found = super().faults()
        if self.kek_previous is not None and self.digest_key is None:
            found.append("CORRIDOR_DIGEST_KEY: must be set before CORRIDOR_KEK is replaced")
        if not self.cors_allow_origins and self.env == "prod":
            found.append("CORS_ALLOW_ORIGINS: must name the origins of the user interface")
        if not all(origin == "*" or ORIGIN.fullmatch(origin) for origin in self.cors_allow_origins):
            found.append("CORS_ALLOW_ORIGINS: each must be scheme://host[:port], without a slash at its end")
        return found


def service() -> Service:
    """core_api as a value."""
    return Service(name="core_api", schema="core", topic=topics.CUSTOMER.name, deciders=handlers.DECIDERS)


def digest_key_of(settings: Settings) -> Secret:
    """The configured one, or one that follows from the key-encryption key."""
    derived = hmac.digest(settings.kek.reveal().encode(), b"corridor login digest", "sha256")
    return settings.digest_key or Secret(derived.hex())


async def open_vault(settings: Settings, opened: AsyncExitStack) -> Vault:
    """The keys of persons; the database may be away at the start."""
    pool = Pool.of(settings, "vault", "vault")
    opened.push_async_callback(pool.close)
    keys = PostgresKeys(pool)
    return Vault(keys, kek=settings.kek, kek_previous=settings.kek_previous, digest_key=digest_key_of(settings))


def behind(settings: Settings, opened: AsyncExitStack) -> dict[str, Target]:
    """The services behind the door, by the prefixes that they own."""
    found = targets({
        "quote": settings.quote_url,
        "transfer": settings.transfer_url,
        "deposit": settings.deposit_url,
        "payout": settings.payout_url,
        "ledger": settings.ledger_url,
        "review": settings.review_url,
        "recon": settings.recon_url,
    })  # fmt: skip
    for target in found.values():
        opened.callback(target.upstream.close)
    return found


def door(
    own: ASGIApp, gate: MaintenanceGate, settings: Settings, others: Mapping[str, Target], take: Take | None
) -> ASGIApp:
    """Our own routes, and behind the same edge those of the other services."""
    headers = public_headers(settings.env)
    proxy: ASGIApp = Proxy(gate)
    passed = Edge(Limited(proxy, take) if take else proxy, headers)
    found = Door(Dressed(own, headers), passed, others)
    return Cors(found, settings.cors_allow_origins, headers) if settings.cors_allow_origins else found


def quotas(settings: Settings, tokens: Tokens) -> tuple[dict[str, Take], Take | None]:
    """What is counted by path, and what everything else is counted by."""
    addressed: dict[str, Take] = {}
    if settings.login_rate:
        take = by_address(Quota("login", settings.login_rate), settings.proxies)
        addressed |= {"/v1/auth/login": take, "/v1/auth/refresh": take}
    if settings.signup_rate:
        addressed["/v1/auth/signup"] = by_address(Quota("signup", settings.signup_rate), settings.proxies)
    user = by_user(Quota("user", settings.user_rate), tokens, settings.proxies) if settings.user_rate else None
    return addressed, user


def key_books(settings: Settings, own: Router, others: Mapping[str, Target]) -> AllServices:
    """Ourselves, by our `own` internal routes, and every service behind the door that is there."""
    token = ServiceToken(ServiceTokens.from_settings(settings), "core_api", settings.tenant)
    asks = {"core_api": local(own, token)}
    for target in others.values():
        if not isinstance(target.upstream, Absent):
            asks[SERVICES.get(target.service, target.service)] = remote(target.upstream, token)
    return AllServices(asks)


def unhurried(runtime: Runtime) -> Engine:
    """Reads through the session of the probes: a busy pool must not hold up who looks whether there is maintenance."""
    return Engine(runtime.probes, runtime.service.deciders, runtime.service.topic, new_id)


async def build(settings: Settings, opened: AsyncExitStack) -> process.Running:
    """core_api put together."""
    runtime = Runtime(service(), settings)
    tokens = Tokens.from_settings(settings)
    vault = await open_vault(settings, opened)
    reads = runtime.reading
    users = Users(reads, vault, Argon2())
    profiles = Profiles(runtime.commands, reads, vault)
    gate = MaintenanceGate(runtime.commands, unhurried(runtime), tokens, settings.tenant)
    sessions = Sessions(
        runtime.commands, reads, users, tokens,
        token_seconds=settings.token_seconds, session_seconds=settings.session_seconds,
    )  # fmt: skip
    others = behind(settings, opened)
    lookups = lookup_routes(settings, runtime.reads)
    takes, otherwise = quotas(settings, tokens)
    public: list[Router] = [
        user_routes(users, runtime.commands, gate, tokens, settings.tenant),
        session_routes(sessions, users, settings.tenant),
        profile_routes(profiles, gate, tokens),
        maintenance_routes(gate, tokens),
        key_routes(key_books(settings, lookups, others), tokens),
    ]
    health = runtime.health()
    bare = replace(settings, cors_allow_origins=())  # the door answers that, for everything behind it
    counted = [limited(router, takes, otherwise) for router in public]
    own = create_app(bare, [*counted, docs_routes()], health, public=True)
    inside = [internal_routes(profiles, ServiceTokens.from_settings(settings)), lookups]
    internal = create_app(bare, inside, health)
    with suppress(Exception):  # the database may be away at the start: the watch goes on looking
        async with asyncio.timeout(FIRST_LOOK_SECONDS):
            await gate.look()
    return process.Running(
        app=door(own, gate, settings, others, otherwise),
        internal=internal,
        tasks=dict(runtime.tasks()) | {"maintenance": gate.watch},
        health=health,
    )


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
