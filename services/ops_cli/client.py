"""HTTP to the services: one request, one answer. A refusal is an OpsError with the words of its RFC 9457 answer."""

from __future__ import annotations

import json
import secrets
import ssl
import time
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal
from urllib.parse import urlencode, urlsplit
from uuid import uuid4

import httpx2

from services.ops_cli.exits import Exit, OpsError, of_status
from services.ops_cli.hints import hint_of
from services.ops_cli.target import Target, Who

CONNECT_SECONDS = 5.0
LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
PAGE_ITEMS = 200
PAGES_MAX = 10_000
Method = Literal["GET", "POST", "PUT", "DELETE"]
Say = Callable[[str], None]
Params = Mapping[str, str | int | Sequence[str] | None]


@dataclass(frozen=True)
class Answer:
    """What came back."""

    status: int
    headers: Mapping[str, str]
    body: bytes

    def json(self) -> Any:
        """Raises OpsError when it is none."""
        try:
            return json.loads(self.body)
        except ValueError:
            raise OpsError(Exit.FAILED, f"the answer is no JSON (HTTP {self.status})") from None


class Client:
    """One target. Every request carries a traceparent; with `trace` it is shown."""

    def __init__(
        self, target: Target, who: Who | None, timeout_seconds: float, *, trace: Say | None = None, verbose: Say | None
    ) -> None:
        """`who`: the role that somebody chose; None leaves it to each request."""
        self._target = target
        self._who = who
        self._trace, self._verbose = trace, verbose
        local = urlsplit(target.base_url).hostname in LOOPBACK
        self._http = httpx2.Client(
            base_url=target.base_url,
            timeout=httpx2.Timeout(timeout_seconds, connect=min(CONNECT_SECONDS, timeout_seconds)),
            trust_env=not local,  # a proxy of the environment is not for this machine's own system
            follow_redirects=False,  # a token goes to the address that was named and nowhere else
            headers={"User-Agent": "ops-cli"},
        )

    def close(self) -> None:
        """Its connections."""
        self._http.close()

    def get(self, path: str, params: Params | None = None, *, role: Who | None = "operator") -> Any:
        """The JSON of an answer."""
        return self.ask("GET", path, params=params, role=role).json()

    def post(
        self,
        path: str,
        body: Mapping[str, Any],
        *,
        role: Who,
        key: str | None = None,
        if_match: int | None = None,
        seconds: float | None = None,
    ) -> Any:
        """The JSON of the answer to a command; `key` is its Idempotency-Key, a fresh one when none is given."""
        headers = {"Idempotency-Key": key or str(uuid4()), "Content-Type": "application/json"}
        if if_match is not None:
            headers["If-Match"] = f'"{if_match}"'
        return self.ask(
            "POST", path, content=json.dumps(body).encode(), headers=headers, role=role, seconds=seconds
        ).json()

    def pages(self, path: str, params: Params | None = None, *, role: Who = "operator") -> Iterator[dict[str, Any]]:
        """Every page of a list, each {"items", "next_cursor"}; the caller stops when it has enough."""
        cursor: str | None = None
        for _ in range(PAGES_MAX):
            page = self.get(path, {**(params or {}), "cursor": cursor}, role=role)
            yield page
            cursor = page.get("next_cursor")
            if cursor is None:
                return

    def parts(
        self, path: str, params: Params | None = None, *, headers: Mapping[str, str], role: Who = "operator"
    ) -> Iterator[bytes]:
        """The body of an answer as it comes: for what is too long to be held. Raises OpsError, also on the way."""
        bearer = self._target.bearer(self._who or role, chosen=self._who is not None)
        sent = {"traceparent": _traceparent(), "Authorization": f"Bearer {bearer}", **headers}
        try:
            with self._http.stream("GET", path, params=_given(params), headers=sent) as response:
                if response.status_code >= 300:
                    response.read()
                    raise refused(Answer(response.status_code, response.headers, response.content), "GET", path)
                yield from response.iter_bytes()
        except httpx2.TransportError as error:
            raise lost(error, self._target.base_url, reads=True) from None

    def ask(
        self,
        method: Method,
        path: str,
        *,
        params: Params | None = None,
        content: bytes | None = None,
        headers: Mapping[str, str] | None = None,
        role: Who | None = "operator",
        seconds: float | None = None,
    ) -> Answer:
        """`role` None: without a token. Raises OpsError for every answer from 400 on, and when there is none."""
        all_headers = {"traceparent": _traceparent(), **(headers or {})}
        if role is not None:
            bearer = self._target.bearer(self._who or role, chosen=self._who is not None)
            all_headers["Authorization"] = f"Bearer {bearer}"
        answer = self._send(method, path, _given(params), content, all_headers, seconds)
        if answer.status >= 300:
            raise refused(answer, method, path)
        return answer

    def _send(
        self,
        method: Method,
        path: str,
        params: str,
        content: bytes | None,
        headers: Mapping[str, str],
        seconds: float | None,
    ) -> Answer:
        started = time.monotonic()
        extra: dict[str, Any] = {"timeout": httpx2.Timeout(seconds, connect=CONNECT_SECONDS)} if seconds else {}
        try:
            response = self._http.request(method, path, params=params, content=content, headers=dict(headers), **extra)
        except httpx2.TransportError as error:
            raise lost(error, self._target.base_url, reads=method == "GET") from None
        answer = Answer(response.status_code, response.headers, response.content)
        if self._verbose:
            self._verbose(f"{method} {response.url.path} {answer.status} {1000 * (time.monotonic() - started):.0f} ms")
        if self._trace:
            self._trace(f"traceparent {headers['traceparent']}  request {answer.headers.get('x-request-id', '-')}")
        return answer


def _given(params: Params | None) -> str:
    """As an address has it; a list is a parameter that is repeated."""
    given: list[tuple[str, str]] = []
    for name, value in (params or {}).items():
        values = value if isinstance(value, list | tuple) else [value]
        given += [(name, str(each)) for each in values if each is not None]
    return urlencode(given)


def _traceparent() -> str:
    return f"00-{secrets.token_hex(16)}-{secrets.token_hex(8)}-01"


def lost(error: Exception, where: str, *, reads: bool) -> OpsError:
    """No answer: whether it may have been done decides the code."""
    facts = {"address": where}
    if isinstance(error, httpx2.ConnectError | httpx2.ConnectTimeout):
        words = "its certificate is not trusted" if isinstance(error.__cause__, ssl.SSLError) else "nobody answers"
        return OpsError(
            Exit.UNAVAILABLE, f"no connection: {words}", facts=facts, hint="is it up? `make up`, or `ops-cli doctor`"
        )
    if reads:  # nothing can have been done, and such a command takes no key
        late = isinstance(error, httpx2.TimeoutException)
        return OpsError(
            Exit.TIMED_OUT if late else Exit.UNAVAILABLE,
            "not answered in time" if late else f"the connection broke ({type(error).__name__})", facts=facts,
            hint="ops-cli triage says what is away; or wait longer: --timeout 60s",
        )  # fmt: skip
    if isinstance(error, httpx2.TimeoutException):
        return OpsError(
            Exit.TIMED_OUT, "not answered in time; it may still be done", facts=facts,
            hint="ask again with the same --idempotency-key, or wait longer: --timeout 60s",
        )  # fmt: skip
    return OpsError(
        Exit.UNAVAILABLE, f"the connection broke ({type(error).__name__})", facts=facts,
        hint="safe to try again with the same --idempotency-key",
    )  # fmt: skip


def refused(answer: Answer, method: str, path: str) -> OpsError:
    """An answer that is no success, in its own words. Nothing but its known members is shown."""
    try:
        problem = json.loads(answer.body)
    except ValueError:
        problem = None
    if not isinstance(problem, dict):
        problem = {}
    title = str(problem.get("title") or f"HTTP {answer.status}")
    code = str(problem.get("code") or "")
    detail = str(problem.get("detail") or "")
    retry_after = answer.headers.get("retry-after")
    facts = {
        "code": code or None,
        "http": f"{answer.status} {method} {path}",
        "trace": problem.get("trace_id") or answer.headers.get("x-request-id"),
        "type": problem.get("type"),
        "errors": _faults(problem.get("errors")),
        "retry": f"after {retry_after} s" if retry_after else None,
    }
    return OpsError(
        of_status(answer.status) if answer.status >= 400 else Exit.FAILED,
        title,
        detail="" if detail == title else detail,
        hint=hint_of(code, answer.status),
        facts={name: value for name, value in facts.items() if value},
    )


def _faults(errors: object) -> str | None:
    """`/send_minor: too-small; /corridor: unknown`."""
    if not isinstance(errors, list):
        return None
    faults = [each for each in errors if isinstance(each, dict)]
    return "; ".join(f"{each.get('pointer') or '/'}: {each.get('code')}" for each in faults) or None
