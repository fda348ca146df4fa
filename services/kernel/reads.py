"""The read of a batch: one UNION ALL over the same columns, of which only the wanted branches take part."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from services.kernel.decider import Owner
from services.kernel.store import Cursor, Known, StoredAnswer, StoredHead, Wanted

# OFFSET 0: each wanted key is looked up by itself. Else the plan, made while a table is empty and kept, may walk the
# whole table for each of them.
_CLOCK = """
    SELECT 'n', NULL::uuid, NULL::text, NULL::text, NULL::text, NULL::bigint, NULL::int, NULL::bytea, NULL::bytea,
           NULL::uuid, clock_timestamp()"""
_READS = {
    "streams": """
    SELECT 's', stream_id, category, stage, tenant, version::bigint, fold::int, hash, state,
           record_key, NULL::timestamptz
    FROM stream_state
    WHERE stream_id = ANY({streams}::uuid[])""",
    "claims": """
    SELECT 'c', stream_id, c.namespace, c.value, c.tenant, NULL, NULL, convert_to(content, 'UTF8'), NULL, NULL, NULL
    FROM unnest({namespace}::text[], {value}::text[], {tenant}::text[]) AS w(namespace, value, tenant)
    CROSS JOIN LATERAL (
        SELECT * FROM claim c WHERE (c.namespace, c.value, c.tenant) = (w.namespace, w.value, w.tenant) OFFSET 0) c""",
    "requests": """
    SELECT 'k', NULL, r.tenant, r.principal, r.key, status::bigint, NULL, convert_to(fingerprint, 'UTF8'), answer,
           NULL, NULL
    FROM unnest({tenant}::text[], {principal}::text[], {key}::text[]) AS w(tenant, principal, key)
    CROSS JOIN LATERAL (
        SELECT * FROM request_key r
        WHERE (r.key, r.principal, r.tenant) = (w.key, w.principal, w.tenant) OFFSET 0) r""",
    "cursors": """
    SELECT 'u', u.stream_id, u.source, NULL, NULL, last_version::bigint, parked::int, last_hash, NULL, NULL, NULL
    FROM unnest({source}::text[], {stream}::uuid[]) AS w(source, stream_id)
    CROSS JOIN LATERAL (
        SELECT * FROM stream_cursor u
        WHERE (u.stream_id, u.consumer, u.source) = (w.stream_id, {consumer}::text, w.source) OFFSET 0) u""",
    "events": """
    SELECT 'e', event_id, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL, NULL
    FROM event
    WHERE event_id = ANY({event}::uuid[])""",
}

_HOLE = re.compile(r"\{([a-z_]+)\}")


def read_statement(wanted: Wanted) -> tuple[str, list[Any]]:
    """The statement and its arguments."""
    branches, values = [_CLOCK], []

    def hole(value: Any) -> str:
        values.append(value)
        return f"${len(values)}"

    def branch(name: str, **columns: Any) -> None:
        numbers = {column: hole(value) for column, value in columns.items()}
        branches.append(_HOLE.sub(lambda found: numbers[found[1]], _READS[name]))

    if wanted.streams:
        branch("streams", streams=list(wanted.streams))
    if wanted.claims:
        tenants, namespaces, texts = zip(*wanted.claims, strict=True)
        branch("claims", namespace=namespaces, value=texts, tenant=tenants)
    if wanted.requests:
        tenants, principals, keys = zip(*wanted.requests, strict=True)
        branch("requests", tenant=tenants, principal=principals, key=keys)
    if wanted.cursors:
        sources, streams = zip(*wanted.cursors, strict=True)
        branch("cursors", source=sources, stream=streams, consumer=wanted.consumer)
    if wanted.events:
        branch("events", event=list(wanted.events))
    return "\n    UNION ALL".join(branches), values


def known_from(rows: Sequence[Any]) -> Known:
    """What the rows of that statement say."""
    known = Known(at=next(row[10] for row in rows if row[0] == "n"))
    for kind, row_id, first, second, third, number, small, some, more, other, _ in rows:
        match kind:
            case "s":
                known.streams[row_id] = StoredHead(row_id, third, first, other, number, some, second, more, small)
            case "u":
                known.cursors[(first, row_id)] = Cursor(number, some, bool(small))
            case "c":
                known.claims[(third, first, second)] = Owner(row_id, some.decode())
            case "k":
                known.requests[(first, second, third)] = StoredAnswer(some.decode(), number, more)
            case "e":
                known.committed = row_id
            case _:
                pass
    return known
