"""Bulk requests: each item is a unit of its own with the key (batch key, index), and gets a result of its own."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from pydantic import Field

from services.kernel import metrics
from services.kernel.decider import Answer, Meta, Outcome, RequestKey, Unit
from services.kernel.group_commit import GroupCommit
from services.kernel.http import Reply
from services.kernel.problem import Problem, internal_error, rejection
from services.kernel.rejected import Rejected
from services.kernel.store import ContentRefused, InDoubt, Unavailable
from services.kernel.strict_json import Body
from services.kernel.value import value

ITEMS_MAX = 500


class BulkResult(Body):
    """What became of one item: what it would have been answered alone."""

    index: int = Field(ge=0, description="of the item in the request")
    status: int = Field(ge=200, lt=600, description="the HTTP status that it would have had alone")
    body: dict[str, Any] = Field(description="the reply, or the problem")


class BulkReply(Body):
    """A result for each item, in the order of the request."""

    results: list[BulkResult]


def answering(made: Callable[[Outcome], Answer]) -> Callable[[Outcome], Answer]:
    """The answer of a unit: its refusal, or what `made` says. Pure, so that it can be stored under the request key."""
    return lambda outcome: rejection(outcome.refusal) if outcome.refusal else made(outcome)


async def commit(commands: GroupCommit, units: Sequence[Unit]) -> list[Outcome]:
    """Submit through group commit and count what became of the request keys. Raises Unavailable: Exhausted, InDoubt."""
    try:
        outcomes = await commands.submit(units)
    except Unavailable as away:
        failed = "finalize_error" if isinstance(away, InDoubt) else "reserve_error"
        metrics.IDEMPOTENCY_EVENTS.labels(failed).inc(sum(unit.request_key is not None for unit in units))
        raise
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
    elif isinstance(outcome.error, ContentRefused):
        metrics.IDEMPOTENCY_EVENTS.labels("finalize_error").inc()
    elif outcome.answer is not None:
        metrics.IDEMPOTENCY_EVENTS.labels("reserved").inc()


@value
class Refused:
    """A request that was refused before it became a unit. An answer that its key got before goes first: a repeated
    request is never refused for what has changed since."""

    asked: Meta
    key: RequestKey
    refusal: Rejected | Problem

    def unit(self) -> Unit:
        """Only looks the key up: without an answer nothing is stored."""
        return Unit((), self.asked, self.key)


Item = Unit | Refused


def _unit(item: Item) -> Unit:
    return item.unit() if isinstance(item, Refused) else item


async def commit_item(commands: GroupCommit, item: Item) -> Outcome:
    """Commit one; raises its refusal."""
    outcome = (await commit(commands, [_unit(item)]))[0]
    if isinstance(item, Refused) and _said_nothing(outcome):
        raise item.refusal
    return outcome


async def commit_items(commands: GroupCommit, items: Sequence[Item]) -> Reply:
    """Commit all; a result for each item, in order: {index, status, body}."""
    outcomes = await commit(commands, [_unit(item) for item in items])
    return bulk_reply([_answer(item, outcome) for item, outcome in zip(items, outcomes, strict=True)])


def _said_nothing(outcome: Outcome) -> bool:
    return outcome.answer is None and outcome.refusal is None and outcome.error is None


def _answer(item: Item, outcome: Outcome) -> Answer:
    if isinstance(item, Refused) and _said_nothing(outcome):
        return item.refusal.answer if isinstance(item.refusal, Problem) else rejection(item.refusal)
    if outcome.answer is not None:
        return outcome.answer
    return rejection(outcome.refusal) if outcome.refusal else internal_error().answer


def bulk_reply(answers: Sequence[Answer]) -> Reply:
    """200 with the result of each item; the bodies are the stored bytes."""
    results = [b'{"index":%d,"status":%d,"body":%b}' % (at, status, body) for at, (status, body) in enumerate(answers)]
    return Reply((200, b'{"results":[%b]}' % b",".join(results)))
