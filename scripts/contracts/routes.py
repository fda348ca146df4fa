"""Every public route of every service: found by making the routers of all api modules, with nothing behind them.

What a route asks of its caller is read from its endpoint (`authenticate`, `require`, `request_key`, `read_uuid`), and
from the functions of ours that it calls, unless the route says it itself.
"""

from __future__ import annotations

import ast
import importlib
import inspect
import pkgutil
import textwrap
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from types import ModuleType
from typing import Any
from unittest.mock import MagicMock

import services
from services.core_api.adapters.proxy import Door, targets
from services.kernel.health import Health
from services.kernel.http import probes
from services.kernel.routing import Endpoint, Route, Router

DOOR = "core_api"
APART = frozenset({"kernel", "sandbox", "ops_cli"})  # no service of ours with HTTP
OPERATIONS = ("/version", "/healthz", "/readyz", "/v1/health")  # the door's own that callers may rely on
CALLS_DEEP = 3  # functions of ours that are followed from an endpoint
BEHIND = ("quote", "transfer", "deposit", "payout", "ledger", "recon", "review")  # as the door's table names them
NOWHERE = "http://localhost:1"  # nobody is asked


@dataclass(slots=True)
class Facts:
    """What an endpoint asks of its caller."""

    token: bool = False
    roles: set[str] = field(default_factory=set)
    keyed: bool = False
    ids: set[str] = field(default_factory=set)  # path parameters that are UUIDs

    def add(self, other: Facts) -> None:
        """Also what a called function asks."""
        self.token |= other.token
        self.keyed |= other.keyed
        self.roles |= other.roles
        self.ids |= other.ids


@dataclass(frozen=True, slots=True)
class Found:
    """A route with the service that owns it."""

    service: str
    route: Route
    facts: Facts

    @property
    def roles(self) -> tuple[str, ...]:
        """Who may call it; () is everybody who has what it asks for."""
        told = self.route.documented.get("roles")
        roles = tuple(sorted(self.facts.roles)) if told is None else told
        return tuple(role for role in roles if role != "service")  # no client has it

    @property
    def signed(self) -> bool:
        """By a partner, instead of a token."""
        return "partner" in self.roles

    @property
    def token(self) -> bool:
        """Whether it needs a bearer token."""
        return not self.signed and (self.facts.token or bool(self.roles))

    @property
    def keyed(self) -> bool:
        """Whether it needs an Idempotency-Key."""
        return self.route.documented.get("keyed", self.facts.keyed)

    @property
    def proxied(self) -> bool:
        """Whether the door passes it on."""
        return self.service != DOOR


def public_routes() -> list[Found]:
    """What a client can reach through core_api, by path and method."""
    passed = _passed()
    found = [
        Found(service, route, facts(route.endpoint, roles="roles" not in route.documented))
        for service in _services()
        for route in _routes(service)
        if set(route.documented.get("roles", ())) != {"service"}  # no client has that role
        and (route.path in OPERATIONS or route.path.startswith("/v1/") if service == DOOR else passed(route.path))
    ]
    once = {(each.route.path, each.route.method): each for each in found}  # a router may take in another one's routes
    return [once[where] for where in sorted(once)]


def _passed() -> Callable[[str], bool]:
    """Whether the door passes a path on."""
    door = Door(MagicMock(), MagicMock(), targets(dict.fromkeys(BEHIND, NOWHERE)))
    return lambda path: door._find(path) is not None  # noqa: SLF001 - the door's own words, not a copy


def _services() -> list[str]:
    return [each.name for each in pkgutil.iter_modules(services.__path__) if each.ispkg and each.name not in APART]


def _routes(service: str) -> Iterator[Route]:
    for module in _modules(f"services.{service}.api"):
        for maker in vars(module).values():
            if inspect.isfunction(maker) and maker.__module__ == module.__name__ and _makes_router(maker):
                yield from maker(*(MagicMock() for _ in inspect.signature(maker).parameters)).routes
    if service == DOOR:
        yield from probes(MagicMock(), Health()).routes


def _modules(name: str) -> Iterator[ModuleType]:
    try:
        module = importlib.import_module(name)
    except ModuleNotFoundError as error:
        if error.name != name:
            raise
        return
    yield module
    for each in pkgutil.iter_modules(getattr(module, "__path__", ())):
        yield importlib.import_module(f"{name}.{each.name}")


def _makes_router(maker: Callable[..., Any]) -> bool:
    return maker.__annotations__.get("return") in {Router, "Router"} and not maker.__name__.startswith("_")


def facts(endpoint: Endpoint | Callable[..., Any], deep: int = CALLS_DEEP, *, roles: bool = True) -> Facts:
    """What this function, and those of ours that it calls by name, ask of the caller; `roles`: also which role."""
    endpoint = inspect.unwrap(endpoint)
    found, known = Facts(), _known(endpoint)
    tree = ast.parse(textwrap.dedent(inspect.getsource(endpoint)))
    for call in (node for node in ast.walk(tree) if isinstance(node, ast.Call)):
        match call.func:
            case ast.Attribute(attr="authenticate") if len(call.args) == 1:  # of the headers; a login takes more
                found.token = True
            case ast.Name(id="require") if roles:
                found.roles |= set(_texts(call.args[1:], known))
            case ast.Name(id="request_key" | "read_key"):
                found.keyed = True
            case ast.Name(id="read_uuid"):
                found.ids |= set(_path_parameters(call))
            case ast.Name(id=name) if deep and inspect.isfunction(known.get(name)) and _ours(known[name]):
                found.add(facts(known[name], deep - 1, roles=roles))
            case _:
                pass
    return found


def _known(function: Callable[..., Any]) -> dict[str, Any]:
    """The names that it uses, with what they mean."""
    variables = inspect.getclosurevars(function)
    return {**variables.globals, **variables.nonlocals}


def _ours(function: Callable[..., Any]) -> bool:
    return function.__module__.startswith("services.")


def _texts(arguments: list[ast.expr], known: dict[str, Any]) -> Iterator[str]:
    for argument in arguments:
        match argument:
            case ast.Constant(value=str(text)):
                yield text
            case ast.Name(id=name) if isinstance(known.get(name), str):
                yield known[name]
            case ast.Starred(value=ast.Name(id=name)):
                yield from known[name]
            case _:
                raise ValueError(f"roles that cannot be read: {ast.unparse(argument)}; give the route roles=(...)")


def _path_parameters(call: ast.Call) -> Iterator[str]:
    match call.args[0]:
        case ast.Subscript(value=ast.Attribute(attr="path_params"), slice=ast.Constant(value=str(name))):
            yield name
        case _:
            pass
