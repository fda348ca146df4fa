"""The joined timeline of a transfer: its owners are asked at once; a lane that does not come is named."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.review.domain.timeline import (
    Entry,
    Lane,
    from_answer,
    from_arrival,
    from_entry,
    from_event,
    from_request,
    in_order,
)
from services.review.ports import OwnerRefused, Owners, OwnerUnavailable

Said = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Story:
    """What is known. `known`: somebody knows the transfer, or who would know did not answer."""

    entries: list[Entry]
    incomplete: tuple[str, ...]
    known: bool


@dataclass(frozen=True, slots=True)
class Chapter:
    """What one service is asked, and how its answer is read. `lane` names it where it is missing."""

    lane: str
    service: str
    path: str
    read: Callable[[str, Said], Iterable[Entry]]


class Stories:
    """Reads them with the rights of the caller."""

    def __init__(self, owners: Owners) -> None:
        self._owners = owners

    async def of(self, transfer_id: UUID, bearer: str) -> Story:
        """Raises OwnerRefused when the caller may not see it."""
        said = await asyncio.gather(*(self._ask(chapter, transfer_id, bearer) for chapter in CHAPTERS))
        found = [entry for entries in said for entry in entries or ()]
        missing = tuple(chapter.lane for chapter, entries in zip(CHAPTERS, said, strict=True) if entries is None)
        return Story(in_order(found), missing, known=bool(found) or CHAPTERS[0].lane in missing)

    async def _ask(self, chapter: Chapter, transfer_id: UUID, bearer: str) -> list[Entry] | None:
        """None when the owner does not say, or in a form that we cannot read."""
        try:
            said = await self._owners.get(chapter.service, chapter.path.format(transfer_id), bearer)
            return [] if said is None else list(chapter.read(chapter.service, said))
        except OwnerRefused:
            raise
        except (OwnerUnavailable, KeyError, TypeError, ValueError):
            return None


def _events(lane: Lane, service: str, said: Said) -> Iterable[Entry]:
    for event in said["events"]:
        yield from_event(lane, service, UUID(event["stream_id"]), event, _at(event["at"]))


def _transfer(service: str, said: Said) -> Iterable[Entry]:
    return _events("transfer", service, said)


def _deposits(service: str, said: Said) -> Iterable[Entry]:
    yield from _events("deposit", service, said)
    for arrival in said["arrivals"]:
        yield from_arrival(service, arrival, _at(arrival["received_at"]))


def _payouts(service: str, said: Said) -> Iterable[Entry]:
    yield from _events("payout", service, said)
    for attempt in said["attempts"]:
        payout_id = UUID(attempt["request_reference"])
        if attempt["submitted_at"]:
            yield from_request(service, payout_id, attempt, _at(attempt["submitted_at"]))
        for answer in attempt["answers"]:
            yield from_answer(service, payout_id, attempt["attempt"], answer, _at(answer["at"]))


def _entries(_service: str, said: Said) -> Iterable[Entry]:
    for booked in said["entries"]:
        yield from_entry(booked, _at(booked["posted_at"]))


def _at(text: str) -> datetime:
    return datetime.fromisoformat(text)


CHAPTERS = (
    Chapter("transfer", "transfer", "/v1/transfers/{}/timeline", _transfer),
    Chapter("deposit", "deposit_watcher", "/v1/deposits/timeline?transfer_id={}", _deposits),
    Chapter("payout", "payout_orchestrator", "/v1/payouts/timeline?transfer_id={}", _payouts),
    Chapter("ledger", "ledger", "/v1/ledger/transfers/{}/entries", _entries),
)
