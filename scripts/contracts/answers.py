"""Which problems a route may answer: those of every route, those of what it asks, and those that it names itself."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

from contracts.problems import PROBLEMS, page
from contracts.problems.kinds import BASE, ProblemType
from scripts.contracts.examples import PREFIX, Node
from scripts.contracts.routes import OPERATIONS, Found

OWN = "own"  # the group of what a route names itself: it is shared with no other
RANGED = {  # told under "4XX" and "5XX": they say nothing of what was asked for
    "reading": ("method-not-allowed", "uri-too-long", "headers-too-large"),
    "writing": ("request-timeout", "body-too-large", "unsupported-media-type", "unsupported-content-coding"),
    "ours": ("internal-error", "gateway-timeout"),
}
EXACT = {
    "always": ("temporarily-unavailable", "db-pool-exhausted", "overloaded"),
    "rate": ("rate-limited",),
    "change": ("maintenance",),
    "token": ("token-invalid",),
    "role": ("forbidden",),
    "signature": ("webhook/invalid-signature",),
    "passed": ("header-malformed", "token-in-query", "not-configured"),
    "body": (
        "malformed-json", "duplicate-member", "json-too-deep", "json-too-large", "body-incomplete", "invalid-body",
    ),
    "key": ("idempotency-key-missing", "idempotency-key-malformed", "idempotency-conflict"),
    "path": ("not-found",),
}  # fmt: skip


@dataclass(frozen=True, slots=True)
class Refusals:
    """What a route may answer with one status. `groups` name the set, unless the route adds its own."""

    status: str  # "409", or a range: "4XX"
    kinds: tuple[ProblemType, ...]
    groups: tuple[str, ...]

    @property
    def shared(self) -> str | None:
        """The name under which the routes that refuse in the same way share it."""
        return None if OWN in self.groups else ".".join((self.status, *self.groups))


def refusals_of(found: Found) -> list[Refusals]:
    """By status, ranges last."""
    by_status: dict[str, dict[ProblemType, str]] = {}
    for group, status, kind in _all(found):
        by_status.setdefault(status, {}).setdefault(kind, group)
    return [
        Refusals(
            status, tuple(sorted(kinds, key=lambda kind: kind.slug)), tuple(dict.fromkeys(kinds.values()))
        )
        for status, kinds in sorted(by_status.items())
    ]  # fmt: skip


def _all(found: Found) -> Iterator[tuple[str, str, ProblemType]]:
    for group in ("reading", "writing", "ours"):
        if group != "writing" or found.route.method != "GET":
            for slug in RANGED[group]:
                yield group, f"{PROBLEMS[slug].status // 100}XX", PROBLEMS[slug]
    for group in _groups(found):
        for slug in EXACT[group]:
            yield group, str(PROBLEMS[slug].status), PROBLEMS[slug]
    for named in found.route.documented.get("problems", ()):
        kind = PROBLEMS.get(named if isinstance(named, str) else named.slug)
        if kind is not None:  # a test says which types have no entry
            yield OWN, str(kind.status), kind


def _groups(found: Found) -> Iterator[str]:
    """What the route asks of its caller, in the order of EXACT."""
    asks = {
        "always": True,
        "rate": not found.signed and found.route.path not in OPERATIONS,
        "change": not found.signed and found.route.method != "GET",
        "token": found.token,
        "role": bool(found.roles) and not found.signed,
        "signature": found.signed,
        "passed": found.proxied,
        "body": found.route.body is not None,
        "key": found.keyed,
        "path": "{" in found.route.path,
    }
    return (group for group, asked in asks.items() if asked)


def refusal(refusals: Refusals) -> Node:
    """The answer with this status, and the types that it can have."""
    listed = refusals.kinds
    codes = {"type": "object", "properties": {"code": {"enum": [kind.code for kind in listed]}}}
    lines = [f"* [`{kind.code}`](/problems/{kind.slug}) {page.first_sentence(kind.meaning)}" for kind in listed]
    content = {
        "schema": {"allOf": [{"$ref": PREFIX + "Problem"}, codes]},
        "examples": {key_of(kind): {"$ref": f"#/components/examples/{key_of(kind)}"} for kind in listed},
    }
    answer: Node = {"description": "\n".join(lines), "content": {"application/problem+json": content}}
    return answer | ({"headers": {"Retry-After": RETRY_AFTER}} if refusals.status in {"429", "503"} else {})


RETRY_AFTER: Node = {"description": "seconds to wait", "schema": {"type": "integer", "minimum": 0}}


def problem_schema() -> Node:
    """RFC 9457 with our members."""
    fault = {
        "type": "object",
        "properties": {
            "pointer": {"type": "string", "description": "JSON pointer into the body"}, "code": {"type": "string"},
        },
        "required": ["pointer", "code"],
    }  # fmt: skip
    return {
        "type": "object",
        "description": "Why a request was refused (RFC 9457).",
        "properties": {
            "type": {"type": "string", "format": "uri", "description": f"{BASE}<slug>: the contract"},
            "title": {"type": "string"},
            "status": {"type": "integer", "minimum": 400, "maximum": 599},
            "detail": {"type": "string", "description": "for people; its words may change"},
            "code": {"type": "string", "pattern": "^[A-Z0-9_]+$"},
            "errors": {"type": "array", "items": fault, "description": "of a body: where, and what"},
            "instance": {"type": "string", "description": "this request: urn:corridor:request:<trace id>"},
            "trace_id": {"type": "string", "description": "under which we find it in our logs"},
        },
        "required": ["type", "title", "status", "detail", "code"],
    }


def key_of(kind: ProblemType) -> str:
    return kind.slug.replace("/", ".")
