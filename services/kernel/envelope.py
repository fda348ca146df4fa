"""CloudEvents 1.0 in Kafka's binary mode: the value is `data`, the headers are the rest of the row, byte for byte.

So the event table can be rebuilt from the topic and the topic from the table.
"""

from __future__ import annotations

import re
from binascii import unhexlify
from collections.abc import Sequence
from datetime import datetime
from functools import cache, lru_cache
from typing import Any
from uuid import UUID

import msgspec

from services.kernel.codec import chain_hash, decode_meta, instant
from services.kernel.decider import Cause
from services.kernel.ids import uuid_of
from services.kernel.value import value

Headers = Sequence[tuple[str, bytes]]
HEADER_BYTES_MAX = 16 * 1024
_VERSION = re.compile(rb"[1-9][0-9]{0,8}")  # fits PostgreSQL's integer
_TYPE = re.compile(rb"[!-~]{1,200}")
_ID_CHARS, _HASH_BYTES = 36, 32


class Unreadable(ValueError):
    """The record does not say who it is: a missing or malformed header."""


class HashMismatch(ValueError):
    """The record's bytes are not the ones that were hashed."""


@value
class StoredEvent:
    """A row of `event`, as the relay reads it."""

    global_seq: int
    topic: str
    stream_id: UUID
    version: int
    event_id: UUID
    event_type: str
    schema_version: int
    record_key: UUID
    data: bytes
    meta: bytes
    occurred_at: datetime
    recorded_at: datetime
    prev_hash: bytes
    hash: bytes


@cache
def _constants(event_type: str, schema_version: int, source: str, epoch: int) -> tuple[tuple[str, bytes], ...]:
    return (
        ("ce_specversion", b"1.0"),
        ("content-type", b"application/json"),
        ("ce_source", source.encode()),
        ("ce_type", event_type.encode()),
        ("ce_dataschema", f"contracts/schemas/{event_type}.json".encode()),
        ("ce_schemaversion", b"%d" % schema_version),
        ("ce_epoch", b"%d" % epoch),
    )


_instant = lru_cache(maxsize=64)(instant)  # a batch has one; PostgreSQL's are all in UTC, so equal ones have one text


def headers_of(event: StoredEvent, source: str, epoch: int) -> list[tuple[str, bytes]]:
    """The headers of a stored event; `source` is /corridor/<service>, `epoch` counts re-makings of the topic."""
    meta: dict[str, Any] = msgspec.json.decode(event.meta)
    headers = [
        *_constants(event.event_type, event.schema_version, source, epoch),
        ("ce_id", str(event.event_id).encode()),
        ("ce_subject", str(event.stream_id).encode()),
        ("ce_time", _instant(event.occurred_at)),
        ("ce_recordedtime", _instant(event.recorded_at)),
        ("ce_streamversion", b"%d" % event.version),
        ("ce_globalseq", b"%d" % event.global_seq),
        ("ce_correlationid", meta["correlation_id"].encode()),
        ("ce_actor", meta["actor"].encode()),
        ("ce_tenant", meta["tenant"].encode()),
        ("ce_prevhash", event.prev_hash.hex().encode()),
        ("ce_hash", event.hash.hex().encode()),
        ("ce_meta", event.meta),
    ]
    if meta["causation_id"]:
        headers.append(("ce_causationid", meta["causation_id"].encode()))
    if meta["traceparent"]:
        headers.append(("traceparent", meta["traceparent"].encode()))
    return headers


@value
class Envelope:
    """Who a record says it is."""

    event_type: str
    event_id: UUID
    stream_id: UUID
    version: int
    prev_hash: bytes
    hash: bytes
    fields: dict[str, bytes]

    def cause(self) -> Cause:
        """What a handler may know of it beside the content: only what the hash covers, so `verify` first."""
        meta = decode_meta(self.fields["ce_meta"])
        return Cause(
            event_id=self.event_id,
            event_type=self.event_type,
            stream_id=self.stream_id,
            version=self.version,
            tenant=meta.tenant,
            correlation_id=meta.correlation_id,
            occurred_at=datetime.fromisoformat(self.fields["ce_time"].decode()),
        )

    @property
    def traceparent(self) -> str | None:
        """The W3C trace context of whoever wrote it."""
        found = self.fields.get("traceparent")
        return found.decode("ascii", "replace") if found else None

    def verify(self, data: bytes) -> None:
        """Raises HashMismatch unless header and value are what was stored."""
        fields = (self.prev_hash, self.stream_id.bytes, self.version, self.event_id.bytes, self.event_type)
        if chain_hash(*fields, self.fields["ce_time"], self.fields["ce_meta"], data) != self.hash:
            raise HashMismatch(f"{self.event_type} {self.event_id}")


def type_of(headers: Headers) -> str | None:
    """The event type that a record says, before anything of it is believed; None when it says none."""
    said = next((value for name, value in headers if name == "ce_type"), None)
    return None if said is None else said.decode("latin-1")


def envelope_of(headers: Headers) -> Envelope:
    """The envelope of a record; raises Unreadable, whatever is in the headers."""
    try:
        fields = dict(headers)
        return Envelope(
            _type(fields["ce_type"]),
            _id(fields["ce_id"]),
            _id(fields["ce_subject"]),
            _version(fields["ce_streamversion"]),
            _hash(fields["ce_prevhash"]),
            _hash(fields["ce_hash"]),
            fields,
        )
    except (KeyError, ValueError, TypeError, AttributeError) as error:
        raise Unreadable(f"{type(error).__name__}: {error}"[:200]) from error


@lru_cache(maxsize=1_000)
def _type(text: bytes) -> str:
    return _checked(_TYPE, text).decode("ascii")


@lru_cache(maxsize=1_000)
def _version(text: bytes) -> int:
    return int(_checked(_VERSION, text))


def _checked(form: re.Pattern[bytes], text: bytes) -> bytes:
    if not form.fullmatch(text):
        raise ValueError(f"{text[:40]!r} is not {form.pattern!r}")
    return text


def _id(text: bytes) -> UUID:
    if len(text) != _ID_CHARS:
        raise ValueError(f"{text[:40]!r} is no id")
    return uuid_of(text.decode())


def _hash(text: bytes) -> bytes:
    found = unhexlify(text)
    if len(found) != _HASH_BYTES:
        raise ValueError(f"{text[:40]!r} is no hash")
    return found
