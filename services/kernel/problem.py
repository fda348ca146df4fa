"""RFC 9457 answers: the one form in which anything is refused over HTTP."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import msgspec

from services.kernel.decider import Answer
from services.kernel.rejected import Rejected

BASE = "https://corridor.dev/problems/"  # the contract is the whole `type`; each one is served as a page
CONTENT_TYPE = b"application/problem+json"
Headers = Sequence[tuple[bytes, bytes]]


def problem(status: int, code: str, slug: str, title: str, detail: str = "", **extra: Any) -> Answer:
    """The answer (HTTP status, JSON bytes). Pure, so it may be stored under a request key.

    `code` is UPPER_SNAKE; `slug` may hold a slash (`webhook/reference-mismatch`). Neither `detail` nor `extra` may hold
    a secret, the caller's raw input, or the text of an exception.
    """
    members = {"type": BASE + slug, "title": title, "status": status, "detail": detail or title, "code": code}
    return status, msgspec.json.encode(members | extra)


def rejection(refusal: Rejected) -> Answer:
    """The answer to a refused command."""
    title = refusal.code.replace("_", " ").capitalize()
    return problem(refusal.status, refusal.code, refusal.slug, title, refusal.detail)


class Problem(Exception):
    """An answer that ends the request where it is raised: trouble of HTTP itself, not of the business."""

    def __init__(self, status: int, slug: str, detail: str = "", *, headers: Headers = (), **extra: Any) -> None:
        """`slug` names the type; code and title follow from it."""
        super().__init__(slug)
        words = slug.replace("/", "-").split("-")
        self.answer = problem(status, "_".join(words).upper(), slug, " ".join(words).capitalize(), detail, **extra)
        self.headers = tuple(headers)

    @property
    def status(self) -> int:
        """The HTTP status."""
        return self.answer[0]


def closing(status: int, slug: str, detail: str = "") -> Problem:
    """A refusal before the body was read: the connection cannot be used again."""
    return Problem(status, slug, detail, headers=((b"connection", b"close"),))


def unavailable(detail: str = "", retry_after_seconds: int = 1) -> Problem:
    """Something that we need is away for the moment, or went away at the end: the same request finds out."""
    retry_after = (b"retry-after", b"%d" % retry_after_seconds)
    return Problem(503, "temporarily-unavailable", detail, headers=(retry_after,))


def pool_exhausted() -> Problem:
    """Our database sessions are all busy, and were for as long as a request may wait."""
    detail = "All database sessions of this service are busy. Nothing was done; send the same request again."
    return Problem(503, "db-pool-exhausted", detail, headers=((b"retry-after", b"1"),))


def internal_error() -> Problem:
    """Our own bug. The caller learns the trace id and nothing else."""
    return Problem(500, "internal-error", "An error on our side; it was recorded under the trace id.")


def situated(body: bytes, trace_id: str) -> bytes:
    """`body` of a problem with the request that it happened in. Never done to an answer that is stored."""
    return b'%b,"instance":"urn:corridor:request:%b","trace_id":"%b"}' % (
        body[:-1],
        trace_id.encode(),
        trace_id.encode(),
    )
