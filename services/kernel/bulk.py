"""Bulk requests: each item is a unit of its own with the key (batch key, index), and gets a result of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from services.kernel import metrics
from services.kernel.decider import Answer, Outcome, Unit
from services.kernel.group_commit import GroupCommit, Overloaded
from services.kernel.http import Reply
from services.kernel.problem import internal_error, rejection, unavailable
from services.kernel.rejected import Rejected

ITEMS_MAX = 500


def answering(made: Callable[[Outcome], Answer]) -> Callable[[Outcome], Answer]:
    """The answer of a unit: its refusal, or what `made` says. Pure, so that it can be stored under the request key."""
    return lambda outcome: rejection(outcome.refusal) if outcome.refusal else made(outcome)


async def commit(commands: GroupCommit, units: Sequence[Unit]) -> list[Outcome]:
    """Submit through group commit and count what became of the request keys. Raises Problem 503 on a full queue."""
    try:
        outcomes = await commands.submit(units)
    except Overloaded:
        raise unavailable("too many requests are waiting", retry_after_seconds=2) from None
    for unit, outcome in zip(units, outcomes, strict=True):
        if unit.request_key is not None:
            _count(outcome)
    return outcomes


def _count(outcome: Outcome) -> None:
    if outcome.replayed:
        metrics.IDEMPOTENCY_EVENTS.labels("replay").inc()
        metrics.IDEMPOTENCY_REPLAYS.inc()
    elif outcome.refusal is not None and outcome.refusal.code == "IDEMPOTENCY_CONFLICT":
        metrics.IDEMPOTENCY_EVENTS.labels("conflict").inc()
    elif outcome.answer is not None:
        metrics.IDEMPOTENCY_EVENTS.labels("reserved").inc()


Item = Unit | Rejected  # a unit to commit, or why it never became one


async def commit_items(commands: GroupCommit, items: Sequence[Item]) -> Reply:
    """Commit what became a unit; a result for each item, in order: {index, status, body}."""
    units = [item for item in items if isinstance(item, Unit)]
    outcomes = iter(await commit(commands, units))
    answers = [rejection(item) if isinstance(item, Rejected) else _answer(next(outcomes)) for item in items]
    return bulk_reply(answers)


def _answer(outcome: Outcome) -> Answer:
    if outcome.answer is not None:
        return outcome.answer
    return rejection(outcome.refusal) if outcome.refusal else internal_error().answer


def bulk_reply(answers: Sequence[Answer]) -> Reply:
    """200 with the result of each item; the bodies are the stored bytes."""
    results = [b'{"index":%d,"status":%d,"body":%b}' % (at, status, body) for at, (status, body) in enumerate(answers)]
    return Reply((200, b'{"results":[%b]}' % b",".join(results)))
