"""Options that several commands share: one name, one meaning. A command that does not take one refuses it."""

from __future__ import annotations

from typing import Annotated

from cyclopts import Parameter

from services.ops_cli.exits import Exit, OpsError, usage

REASON_CHARS_MIN, REASON_CHARS_MAX = 8, 200

Reason = Annotated[str | None, Parameter(name="--reason")]
"""Why. Kept with what was done: no personal data in it."""
Ticket = Annotated[str | None, Parameter(name="--ticket")]
Key = Annotated[str | None, Parameter(name="--idempotency-key")]
IfMatch = Annotated[int | None, Parameter(name="--if-match")]
AsOf = Annotated[str | None, Parameter(name="--as-of", allow_leading_hyphen=True)]
Since = Annotated[str | None, Parameter(name="--since", allow_leading_hyphen=True)]
Until = Annotated[str | None, Parameter(name="--until", allow_leading_hyphen=True)]
DryRun = Annotated[bool, Parameter(name="--dry-run")]
Execute = Annotated[bool, Parameter(name="--execute")]
Confirm = Annotated[str | None, Parameter(name="--confirm")]
Wait = Annotated[bool, Parameter(name="--wait", negative="--no-wait")]
States = Annotated[list[str] | None, Parameter(name="--state")]
Limit = Annotated[int, Parameter(name="--limit")]
Cursor = Annotated[str | None, Parameter(name="--cursor")]
All = Annotated[bool, Parameter(name="--all")]


def reason_of(reason: str | None, ticket: str | None = None) -> str:
    """The reason that is sent along, with the ticket behind it. Raises OpsError when it says nothing."""
    words = " ".join((reason or "").split())
    if not words:
        raise usage("a reason is needed and there is none", 'say why: --reason "daily reconciliation"')
    if len(words) < REASON_CHARS_MIN:
        raise usage(f"the reason is too short: {len(words)} characters, at least {REASON_CHARS_MIN}")
    whole = f"{words} [{ticket}]" if ticket else words
    if len(whole) > REASON_CHARS_MAX:
        raise usage(f"the reason is too long: {len(whole)} characters, at most {REASON_CHARS_MAX}")
    return whole


def confirmed(given: str | None, name: str) -> None:
    """--confirm NAME, for what reaches far: the name must be typed. Raises OpsError."""
    if given != name:
        raise OpsError(Exit.PRECONDITION, f"this reaches far: confirm it by name, --confirm {name}")


def limit_of(limit: int, most: int = 200) -> int:
    """Raises OpsError for what no page can have."""
    if not 1 <= limit <= most:
        raise usage(f"--limit must be from 1 to {most}; it is {limit}", "more than a page: --all")
    return limit
