"""Events as they are stored and as they are published, for people who look."""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any
from uuid import UUID

from services.kernel.operations import Operations

LIMIT_MAX = 10_000
# the newest first; each condition is left out where its parameter is null
FOUND = """
    SELECT global_seq, stream_id, version, event_id, event_type, schema_version, record_key, data, meta, occurred_at,
           recorded_at, prev_hash, hash
    FROM event
    WHERE ($1::uuid IS NULL OR stream_id = $1)
      AND ($2::text IS NULL OR event_type LIKE $2)
      AND ($3::timestamptz IS NULL OR occurred_at >= $3)
      AND ($4::timestamptz IS NULL OR occurred_at < $4)
      AND ($5::bytea IS NULL OR position($5 IN meta) > 0)
      AND ($6::uuid IS NULL OR event_id = $6)
    ORDER BY {order}
    LIMIT $7"""


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """Which events. What is None is not asked for."""

    stream_id: UUID | None = None
    event_type: str | None = None  # whole, or without `corridor.` and its version: `transfer.opened`
    since: datetime | None = None
    until: datetime | None = None  # before this instant
    correlation_id: UUID | None = None
    event_id: UUID | None = None
    limit: int = 50


async def find(operations: Operations, service: str, wanted: Wanted) -> list[dict[str, Any]]:
    """Those of one service: of a stream in the order of its versions, else the newest first."""
    correlation = f'"correlation_id":"{wanted.correlation_id}"'.encode() if wanted.correlation_id else None
    order = "version" if wanted.stream_id else "global_seq DESC"
    rows = await operations.connection.fetch(
        FOUND.format(order=order), wanted.stream_id, _pattern(wanted.event_type), wanted.since, wanted.until,
        correlation, wanted.event_id, min(wanted.limit, LIMIT_MAX),
    )  # fmt: skip
    return [_stored(service, row) for row in rows]


def _pattern(event_type: str | None) -> str | None:
    """For LIKE."""
    if event_type is None:
        return None
    text = event_type.replace("\\", "\\\\").replace("_", "\\_").replace("%", "\\%").replace("*", "%")
    return text if text.startswith(("corridor.", "%")) else f"corridor.{text}.v%"


def _stored(service: str, row: Mapping[str, Any]) -> dict[str, Any]:
    meta = json.loads(row["meta"])
    return {
        "service": service,
        "global_seq": row["global_seq"],
        "stream_id": str(row["stream_id"]),
        "version": row["version"],
        "event_id": str(row["event_id"]),
        "type": row["event_type"],
        "occurred_at": _text(row["occurred_at"]),
        "recorded_at": _text(row["recorded_at"]),
        **_meta(meta),
        "record_key": str(row["record_key"]),
        "data": json.loads(row["data"]),
        "prev_hash": row["prev_hash"].hex(),
        "hash": row["hash"].hex(),
    }


def _meta(meta: Mapping[str, Any]) -> dict[str, Any]:
    names = ("tenant", "actor", "reason", "correlation_id", "causation_id", "traceparent")
    return {name: meta.get(name) for name in names}


def _text(at: datetime) -> str:
    return at.isoformat().replace("+00:00", "Z")


def published(record: Any) -> dict[str, Any]:
    """A record of a topic, whatever is in it."""
    headers = {name: (value or b"").decode("utf-8", "replace") for name, value in record.headers}
    return {
        "topic": record.topic,
        "partition": record.partition,
        "offset": record.offset,
        "key": _decoded(record.key),
        "type": headers.get("ce_type"),
        "stream_id": headers.get("ce_subject"),
        "version": _number(headers.get("ce_streamversion")),
        "event_id": headers.get("ce_id"),
        "occurred_at": headers.get("ce_time", "").replace("+00:00", "Z") or None,
        "correlation_id": headers.get("ce_correlationid"),
        "data": _json(record.value),
        "headers": headers,
    }


def matches(record: Mapping[str, Any], wanted: Wanted) -> bool:
    """As `find` would have it, of what is published."""
    checks: Sequence[tuple[object, object]] = (
        (wanted.stream_id, record["stream_id"]),
        (wanted.correlation_id, record["correlation_id"]),
    )
    if any(asked is not None and str(asked) != found for asked, found in checks):
        return False
    return wanted.event_type is None or _is_type(wanted.event_type, record["type"] or "")


def _is_type(asked: str, found: str) -> bool:
    return found == asked or found.removeprefix("corridor.").rpartition(".v")[0] == asked


def _number(text: str | None) -> int | None:
    return int(text) if text and text.isdigit() else None


def _decoded(data: bytes | None) -> str | None:
    return None if data is None else data.decode("utf-8", "replace")


def _json(data: bytes | None) -> Any:
    try:
        return None if data is None else json.loads(data)
    except ValueError:
        return _decoded(data)
