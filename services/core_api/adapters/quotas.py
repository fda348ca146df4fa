"""How often somebody may ask: a moving window in the memory of this process, and what the answer says of it.

Another process of core_api counts for itself: with n of them, somebody may ask n times as often.
The fields are those of draft-ietf-httpapi-ratelimit-headers-11.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterable
from ipaddress import IPv6Address, IPv6Network, ip_address

from limits import RateLimitItemPerMinute
from limits.storage import MemoryStorage
from limits.strategies import MovingWindowRateLimiter
from starlette.types import ASGIApp, Message, Receive, Scope, Send

from services.core_api.adapters.proxy import TARGET
from services.kernel.problem import Headers, Problem
from services.kernel.tokens import Tokens

WINDOW_SECONDS = 60
KEYS_MAX = 10_000  # of one quota; who comes beyond them shares one count
SWEEP_SECONDS = 1.0
_OTHERS = "others"
_SUBNET_BITS = 64  # of IPv6: one customer's line has as many addresses as it likes
Take = Callable[[Scope], Headers]  # counts a request; raises Problem 429


class Windows(MemoryStorage):
    """The library's memory without its thread, which would walk all keys every 10 ms while requests come in."""

    def _MemoryStorage__schedule_expiry(self) -> None:  # noqa: N802 - the library's own, private name
        """Quota sweeps itself."""


class Quota:
    """So many requests in any minute, for each of those who ask."""

    def __init__(self, name: str, per_minute: int) -> None:
        """`name` is told to the caller."""
        self._name = name
        self._item = RateLimitItemPerMinute(per_minute)
        self._storage = Windows()
        self._window = MovingWindowRateLimiter(self._storage)
        self._policy = (b"ratelimit-policy", f'"{name}";q={per_minute};w={WINDOW_SECONDS}'.encode())
        self._swept = 0.0

    def take(self, who: str) -> Headers:
        """Count one request of `who`. Raises Problem 429."""
        who = who if self._is_room_for(who) else _OTHERS
        admitted = self._window.hit(self._item, who)
        del self._storage.events[self._item.key_for(who)][self._item.amount :]  # the newest so many are all that count
        reset_at, remaining = self._window.get_window_stats(self._item, who)
        seconds = max(1, math.ceil(reset_at - time.time()))
        left = (b"ratelimit", f'"{self._name}";r={max(0, remaining)};t={seconds}'.encode())
        if not admitted:
            retry_after = (b"retry-after", b"%d" % seconds)
            detail = f"Too many requests: {self._item.amount} a minute. Ask again in {seconds} s."
            raise Problem(429, "rate-limited", detail, headers=(retry_after, self._policy, left))
        return self._policy, left

    def _is_room_for(self, who: str) -> bool:
        counts = self._storage.events
        if len(counts) < KEYS_MAX or self._item.key_for(who) in counts:
            return True
        if time.monotonic() - self._swept < SWEEP_SECONDS:
            return False
        self._swept, now = time.monotonic(), time.time()
        for key in [key for key, entries in counts.items() if not entries or entries[0].expiry <= now]:
            self._storage.clear(key)
        return len(counts) < KEYS_MAX


def by_address(quota: Quota, proxies: int) -> Take:
    """Counts by where the request comes from; see `address`."""
    return lambda scope: quota.take(address(scope, proxies))


def by_user(quota: Quota, tokens: Tokens, proxies: int) -> Take:
    """Counts by the user of a valid token, and whoever has none by address."""

    def take(scope: Scope) -> Headers:
        try:
            return quota.take(str(tokens.authenticate(_Authorization(scope["headers"])).subject))
        except Problem as trouble:
            if trouble.status != 401:
                raise
        return quota.take(address(scope, proxies))

    return take


class _Authorization(dict[str, str]):
    """The one header that says who asks: the first, as for the routes."""

    def __init__(self, headers: Iterable[tuple[bytes, bytes]]) -> None:
        found = next((value for name, value in headers if name == b"authorization"), b"")
        super().__init__(authorization=found.decode("latin-1"))


def address(scope: Scope, proxies: int) -> str:
    """The caller's address, of IPv6 its /64. Of X-Forwarded-For only what our own `proxies` proxies have added counts:
    the rest is the caller's word."""
    text = (scope.get("client") or ("",))[0]
    if proxies:
        said = [value.decode("latin-1") for name, value in scope["headers"] if name == b"x-forwarded-for"]
        hops = [hop.strip() for hop in ",".join(said).split(",") if hop.strip()]
        text = hops[-proxies] if len(hops) >= proxies else text
    try:
        found = ip_address(text)
    except ValueError:
        return "unknown"
    if isinstance(found, IPv6Address):
        return str(found.ipv4_mapped or IPv6Network((int(found), _SUBNET_BITS), strict=False))
    return str(found)


class Limited:
    """The requests that are passed on, counted. Only there when there is a limit: else it would cost each of them."""

    def __init__(self, app: ASGIApp, take: Take) -> None:
        self._app = app
        self._take = take

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """A partner's webhook is not counted: it comes from one address, as often as there is money. Raises Problem."""
        if scope[TARGET].partners:
            await self._app(scope, receive, send)
            return
        quota = self._take(scope)

        async def told(message: Message) -> None:
            if message["type"] == "http.response.start":
                message["headers"] = [*message["headers"], *quota]
            await send(message)

        await self._app(scope, receive, told)
