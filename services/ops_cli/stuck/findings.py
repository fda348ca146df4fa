"""What was found: the oldest of it, how much more there is, and what could not be looked at."""

from __future__ import annotations

import heapq
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace
from datetime import datetime, timedelta
from itertools import count
from typing import Any
from uuid import UUID

from services.ops_cli.exits import Exit

CAUSE_CHARS_MAX = 300


@dataclass(frozen=True, kw_only=True, slots=True)
class Finding:
    """One thing that is stuck. `limit`: how long it might have lasted; `stream_id`: the stream that it holds up."""

    id: str
    type: str
    state: str
    since: datetime
    limit: timedelta
    cause: str
    service: str
    stream_id: UUID | None = None

    def item(self, at: datetime) -> dict[str, Any]:
        """For programs, as of `at`."""
        return {
            "id": self.id,
            "type": self.type,
            "state": self.state,
            "age_seconds": int((at - self.since).total_seconds()),
            "limit_seconds": int(self.limit.total_seconds()),
            "since": self.since.isoformat().replace("+00:00", "Z"),
            "service": self.service,
            "cause": self.cause[:CAUSE_CHARS_MAX],
        }


class Findings:
    """The `most` oldest, and a count of all by type: the memory does not grow with what is stuck."""

    def __init__(self, most: int) -> None:
        self.counts: Counter[str] = Counter()
        self._most = most
        self._order = count()
        self._heap: list[tuple[float, int, Finding]] = []  # the youngest first: it goes when an older one comes

    def add(self, finding: Finding) -> None:
        """One more."""
        self.counts[finding.type] += 1
        entry = (-finding.since.timestamp(), next(self._order), finding)
        if len(self._heap) < self._most:
            heapq.heappush(self._heap, entry)
        else:
            heapq.heappushpop(self._heap, entry)

    def uncounted(self, type: str, number: int) -> None:  # noqa: A002 - the name of the member
        """So many more of that type, younger than all that were added."""
        if number:
            self.counts[type] += number

    def oldest(self) -> list[Finding]:
        """In order, each with what is known to hold its stream up."""
        found = [finding for _, _, finding in sorted(self._heap, key=lambda entry: (-entry[0], entry[1]))]
        return explained(found)


HOLDS_UP = {"parked": "its stream is parked", "side_effect": "its timer or call is overdue",
            "outbox_stuck": "an event of it can never be published"}  # fmt: skip


def explained(found: Sequence[Finding]) -> list[Finding]:
    """A state whose stream is held up by something else that was found says so."""
    reasons: dict[UUID, str] = {
        each.stream_id: f"{HOLDS_UP[each.type]} ({each.service})"
        for each in found
        if each.type in HOLDS_UP and each.stream_id is not None
    }
    return [_explained(each, reasons) for each in found]


def _explained(each: Finding, reasons: Mapping[UUID, str]) -> Finding:
    reason = reasons.get(each.stream_id) if each.stream_id is not None else None
    if each.type in HOLDS_UP or reason is None:
        return each
    return replace(each, cause=f"{each.cause}; {reason}")


@dataclass(kw_only=True)
class Report:
    """A whole look. `not_checked`: what could not be looked at, and why."""

    findings: Findings
    at: datetime | None = None  # the database's time; None: it could not be asked
    older_than: timedelta | None = None
    waiting: Counter[str] = field(default_factory=Counter)  # streams that wait, stuck or not, by type
    consumers: int = 0  # whose lag is known
    not_checked: list[dict[str, str]] = field(default_factory=list)

    @property
    def exit(self) -> Exit:
        """6: something is stuck, whatever else could not be looked at. 10: nothing is, as far as could be seen."""
        if self.findings.counts.total():
            return Exit.ANSWER_IS_NO
        return Exit.UNAVAILABLE if self.not_checked else Exit.DONE

    def missed(self, check: str, why: str) -> None:
        """That could not be looked at."""
        self.not_checked.append({"check": check, "why": why})

    def content(self) -> dict[str, Any]:
        """For programs."""
        items = [each.item(self.at) for each in self.findings.oldest()] if self.at else []
        return {
            "at": self.at.isoformat().replace("+00:00", "Z") if self.at else None,
            "older_than_seconds": int(self.older_than.total_seconds()) if self.older_than is not None else None,
            "stuck": self.findings.counts.total(),
            "by_type": dict(sorted(self.findings.counts.items())),
            "not_shown": self.findings.counts.total() - len(items),
            "waiting": dict(sorted(self.waiting.items())),
            "consumers": self.consumers,
            "not_checked": self.not_checked,
            "items": items,
        }
