"""The story of one transfer from what its owners say: one list in the order of time."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Literal
from uuid import UUID

Lane = Literal["transfer", "deposit", "payout", "attempt", "arrival", "ledger"]
# At one instant: what came in, then who judged it, then what it meant, then what was booked. A stream keeps its order.
LANES: tuple[Lane, ...] = ("arrival", "deposit", "transfer", "payout", "attempt", "ledger")
_RANK = {lane: rank for rank, lane in enumerate(LANES)}
# of an event, and told by the entry itself
_TOLD = frozenset({"type", "at", "version", "actor", "reason", "event_id", "trace_id", "data", "stream_id"})


@dataclass(frozen=True, slots=True, kw_only=True)
class Entry:
    """One thing that happened. `data` is for whoever wants more than `summary`."""

    at: datetime
    lane: Lane
    type: str
    summary: str
    service: str
    stream_id: UUID | None = None
    version: int | None = None
    actor: str | None = None
    reason: str | None = None
    trace_id: str | None = None
    data: Mapping[str, Any] = field(default_factory=dict)


def in_order(entries: Iterable[Entry]) -> list[Entry]:
    """By time; at one instant by stream and version, so that two askings give one order."""
    return sorted(entries, key=_key)


def _key(entry: Entry) -> tuple[datetime, int, str, int, str, str]:
    return (entry.at, _RANK[entry.lane], str(entry.stream_id or ""), entry.version or 0, entry.type, entry.summary)


def from_event(lane: Lane, service: str, stream_id: UUID, said: Mapping[str, Any], at: datetime) -> Entry:
    """An event as its owner's timeline tells it."""
    kind = str(said["type"])
    return Entry(
        at=at,
        lane=lane,
        type=kind,
        summary=_summary(kind, said),
        service=service,
        stream_id=stream_id,
        version=said.get("version"),
        actor=said.get("actor"),
        reason=said.get("reason"),
        trace_id=said.get("trace_id"),
        data={**{name: value for name, value in said.items() if name not in _TOLD}, **(said.get("data") or {})},
    )


def _summary(kind: str, said: Mapping[str, Any]) -> str:
    _, owner, what, _ = kind.split(".")
    words = f"{owner.capitalize()} {what.replace('_', ' ')}"
    before, after = said.get("from"), said.get("to")
    return f"{words}: {before or '-'} → {after}" if after and before != after else words


def from_request(service: str, payout_id: UUID, attempt: Mapping[str, Any], at: datetime) -> Entry:
    """A request to the provider."""
    number = attempt["attempt"]
    data = {name: value for name, value in attempt.items() if name != "answers"}
    return Entry(
        at=at, lane="attempt", type="attempt:submitted", summary=f"Attempt {number} submitted", service=service,
        stream_id=payout_id, data=data,
    )  # fmt: skip


def from_answer(service: str, payout_id: UUID, number: int, said: Mapping[str, Any], at: datetime) -> Entry:
    """What the provider said to a request, at once or later."""
    named = said.get("error_code") or said.get("partner_status")
    summary = f"Attempt {number}: {str(said['answer']).replace('_', ' ')}{f' ({named})' if named else ''}"
    return Entry(
        at=at, lane="attempt", type=f"attempt:{said['answer']}", summary=summary, service=service,
        stream_id=payout_id, data={**said, "attempt": number},
    )  # fmt: skip


def from_entry(booked: Mapping[str, Any], at: datetime) -> Entry:
    """A journal entry with its lines; amounts in minor units."""
    lines = [
        f"{'Dr' if line['side'] == 'debit' else 'Cr'} {line['account_id']} {line['amount_minor']}"
        for line in booked["lines"]
    ]
    return Entry(
        at=at,
        lane="ledger",
        type=f"entry:{booked['kind']}",
        summary="; ".join(lines),
        service="ledger",
        stream_id=UUID(booked["entry_id"]),
        version=1,
        data=booked,
    )


def from_arrival(service: str, arrival: Mapping[str, Any], at: datetime) -> Entry:
    """Something that came from outside, as it was judged. Its sealed bytes are never part of it."""
    named = f" {arrival['reference']}" if arrival.get("reference") else ""
    return Entry(
        at=at,
        lane="arrival",
        type=f"arrival:{arrival['verdict']}",
        summary=f"{arrival.get('transport', 'report')} of {arrival.get('source', 'a partner')}{named}: "
        f"{arrival['verdict']}",
        service=service,
        stream_id=UUID(arrival["arrival_id"]) if arrival.get("arrival_id") else None,
        data={name: arrival[name] for name in ARRIVAL_MEMBERS if name in arrival},
    )


ARRIVAL_MEMBERS = ("arrival_id", "source", "transport", "verdict", "reference", "content", "received_at", "size_bytes")
