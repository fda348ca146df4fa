"""A stored event, as the relay would read it."""

from datetime import UTC, datetime
from uuid import UUID

from services.kernel.codec import encode
from services.kernel.decider import Meta
from services.kernel.envelope import StoredEvent

AT = datetime(2026, 3, 2, 9, 30, tzinfo=UTC)
TRACE = "00-4bf92f3577b34da6a3ce929d0e0e4736-00f067aa0ba902b7-01"


def stored(*, caused: bool = True) -> StoredEvent:
    """A quote's first event; `caused`: with everything that a header can say."""
    causation_id, traceparent = (UUID(int=3), TRACE) if caused else (None, None)
    meta = Meta("corridor", "customer:1", UUID(int=2), causation_id, None, traceparent)
    return StoredEvent(
        global_seq=1,
        topic="corridor.quote.events.v1",
        stream_id=UUID(int=1),
        version=1,
        event_id=UUID(int=9),
        event_type="corridor.quote.created.v1",
        schema_version=1,
        record_key=UUID(int=1),
        data=b"{}",
        meta=encode(meta),
        occurred_at=AT,
        recorded_at=AT,
        prev_hash=bytes(32),
        hash=bytes(32),
    )
