"""How a command ends. Scripts branch on these numbers; they never change."""

from __future__ import annotations

from collections.abc import Mapping
from enum import IntEnum
from typing import Any


class Exit(IntEnum):
    """The codes of the process."""

    DONE = 0  # done, or listed (also when empty)
    FAILED = 1  # unexpected
    USAGE = 2
    PRECONDITION = 3  # stale version, frozen, wrong state, group still active
    NOT_ALLOWED = 4  # not signed in, or not allowed
    NOT_FOUND = 5
    ANSWER_IS_NO = 6  # the check ran: a difference, a bad signature, an imbalance
    WAITS_FOR_SECOND = 7  # accepted; somebody else must agree
    TIMED_OUT = 8  # or still pending
    PARTLY_FAILED = 9  # a bulk action; the report says which
    UNAVAILABLE = 10  # nothing was done; safe to try again
    INTERRUPTED = 130


class OpsError(Exception):
    """Ends the command with a code and a message for a person."""

    def __init__(
        self,
        code: Exit,
        message: str,
        *,
        hint: str = "",
        detail: str = "",
        facts: Mapping[str, Any] | None = None,
    ) -> None:
        """`message` is one line without a full stop; `facts` are shown as `name value` below it."""
        super().__init__(message)
        self.code = code
        self.message = message
        self.detail = detail
        self.hint = hint
        self.facts = dict(facts or {})


def usage(message: str, hint: str = "") -> OpsError:
    """What was typed cannot be done as it stands."""
    return OpsError(Exit.USAGE, message, hint=hint)


BY_STATUS = {
    400: Exit.USAGE, 401: Exit.NOT_ALLOWED, 403: Exit.NOT_ALLOWED, 404: Exit.NOT_FOUND, 405: Exit.FAILED,
    408: Exit.TIMED_OUT, 409: Exit.PRECONDITION, 410: Exit.NOT_FOUND, 412: Exit.PRECONDITION, 413: Exit.USAGE,
    414: Exit.USAGE, 415: Exit.USAGE, 422: Exit.USAGE, 423: Exit.PRECONDITION, 428: Exit.PRECONDITION,
    429: Exit.UNAVAILABLE, 502: Exit.UNAVAILABLE, 503: Exit.UNAVAILABLE, 504: Exit.TIMED_OUT,
}  # fmt: skip


def of_status(status: int) -> Exit:
    """The code that an HTTP answer stands for."""
    if status == 202:
        return Exit.WAITS_FOR_SECOND
    return Exit.DONE if status < 400 else BY_STATUS.get(status, Exit.FAILED)
