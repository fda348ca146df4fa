"""Dataclass <-> exact bytes. An event is serialised once; the same bytes go to the table, to Kafka and to the hash.

JSON through msgspec: no NaN, no float where a number of minor units stands, unknown fields ignored by readers.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from functools import cache
from hashlib import sha256
from typing import Any, cast

import msgspec

from services.kernel.decider import Meta

Upcast = Callable[[dict[str, Any]], dict[str, Any]]
Upcasts = Mapping[str, tuple[str, Upcast]]  # an old type -> the next type, and how

EVENT_BYTES_MAX = 256 * 1024  # the topic's own limit is 1 MiB; a larger event is refused before it is written
_VERSION = re.compile(r"\.v([0-9]{1,4})$", re.ASCII)


class UnknownEventType(ValueError):
    """No class and no upcast for this type: a newer writer, or not ours."""


class EventTooLarge(ValueError):
    """An event above EVENT_BYTES_MAX."""


_encoder = msgspec.json.Encoder()


def encode(value: Any) -> bytes:
    """The one JSON form of a dataclass: fields in their order, no blanks."""
    return _encoder.encode(value)


def decoder(kind: Any) -> Callable[[bytes], Any]:
    """bytes -> `kind`; raises msgspec.ValidationError with the path of what does not fit."""
    return cast("Callable[[bytes], Any]", msgspec.json.Decoder(kind).decode)


def schema_version(event_type: str) -> int:
    """n of `corridor.x.y.v<n>`."""
    found = _VERSION.search(event_type)
    if not found:
        raise UnknownEventType(event_type[:120])
    return int(found[1])


class EventCodec:
    """Reads every version of the given events that was ever stored; writes the newest."""

    def __init__(self, events: Iterable[type], upcasts: Upcasts | None = None) -> None:
        self.classes: dict[str, type] = {cls.type: cls for cls in events}  # type: ignore[attr-defined]
        self._decoders = {name: decoder(cls) for name, cls in self.classes.items()}
        self._upcasts: Upcasts = upcasts or {}
        self._names = {_VERSION.sub("", name) for name in (*self.classes, *self._upcasts)}

    def is_foreign(self, event_type: str) -> bool:
        """A type that no version of ours has. Readers ignore it; another version of a type of ours they cannot."""
        return event_type not in self._upcasts and _VERSION.sub("", event_type) not in self._names

    def decode(self, event_type: str, data: bytes) -> Any:
        """The event, brought to its newest version. Raises UnknownEventType or msgspec.ValidationError."""
        found = self._decoders.get(event_type)
        if found is not None:
            return found(data)
        if event_type not in self._upcasts:
            raise UnknownEventType(event_type[:120])
        return self._upcast(event_type, msgspec.json.decode(data))

    def _upcast(self, event_type: str, content: dict[str, Any]) -> Any:
        while event_type not in self.classes:
            if event_type not in self._upcasts:
                raise UnknownEventType(event_type[:120])
            event_type, step = self._upcasts[event_type]
            content = step(content)
        return msgspec.convert(content, self.classes[event_type])


def encode_event(event: Any) -> bytes:
    """The bytes of an event; raises EventTooLarge."""
    data = _encoder.encode(event)
    if len(data) > EVENT_BYTES_MAX:
        raise EventTooLarge(f"{type(event).__name__}: {len(data)} bytes")
    return data


class StateCodec:
    """A folded state is a stage (its class name) and the bytes of that class; the initial state None is stage ''."""

    def __init__(self, stages: Iterable[type]) -> None:
        self._decoders = {stage.__name__: decoder(stage) for stage in stages}

    def encode(self, state: Any) -> tuple[str, bytes]:
        """(stage, bytes)."""
        return ("", b"null") if state is None else (type(state).__name__, _encoder.encode(state))

    def decode(self, stage: str, data: bytes) -> Any:
        """The state; KeyError for a stage that no longer exists (raise the decider's fold_version)."""
        return None if stage == "" else self._decoders[stage](data)


GENESIS = bytes(32)


def chain_hash(
    prev_hash: bytes,
    stream_id: bytes,
    version: int,
    event_id: bytes,
    event_type: str,
    occurred_at: bytes,
    meta: bytes,
    data: bytes,
) -> bytes:
    """SHA-256 over the length-prefixed fields of an event and the hash before it: no field can move into another.

    `occurred_at` is the text of `instant`.
    """
    return sha256(
        b"%d:%b16:%b4:%b16:%b%b%d:%b%d:%b%d:%b" % (
            len(prev_hash), prev_hash, stream_id, version.to_bytes(4, "big"), event_id, _hashed_type(event_type),
            len(occurred_at), occurred_at, len(meta), meta, len(data), data,
        )
    ).digest()  # fmt: skip


@cache
def _hashed_type(event_type: str) -> bytes:
    """The type and its schema version as fields of the hash; types are few."""
    kind = event_type.encode()
    return b"%d:%b2:%b" % (len(kind), kind, schema_version(event_type).to_bytes(2, "big"))


def instant(at: datetime) -> bytes:
    """The one text of an instant in hashes and headers: ISO 8601 with its offset."""
    return at.isoformat().encode()


_decode_meta = decoder(Meta)


def decode_meta(data: bytes) -> Meta:
    """The meta of an event, as it was stored."""
    return cast("Meta", _decode_meta(data))
