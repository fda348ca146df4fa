"""The envelope: headers carry the stored row, and a record proves that it is what was hashed."""

from __future__ import annotations

from dataclasses import replace
from typing import Any
from uuid import UUID, uuid4

import pytest

from services.kernel.codec import (
    GENESIS,
    EventCodec,
    UnknownEventType,
    chain_hash,
    decode_meta,
    instant,
    schema_version,
)
from services.kernel.engine import Engine, Units
from services.kernel.envelope import HashMismatch, StoredEvent, Unreadable, envelope_of, headers_of
from services.kernel.memory import MemoryStore
from services.kernel.partition import murmur2, partition_of
from tests.support.builders import EVENTS, JAR, META, TOPIC, Add, Added, ask
from tests.support.fakes import Clock


async def stored() -> StoredEvent:
    store = MemoryStore(Clock())
    await Engine(store, (JAR,), TOPIC, uuid4).run(Units([ask(uuid4(), Add(4, "Ünï"))]))
    return store.tables.events[0]


async def test_the_headers_bring_back_the_row() -> None:
    event = await stored()
    envelope = envelope_of(headers_of(event, "/corridor/jar", 1))
    envelope.verify(event.data)
    assert (envelope.event_id, envelope.stream_id, envelope.version) == (event.event_id, event.stream_id, 1)
    assert (envelope.prev_hash, envelope.hash) == (GENESIS, event.hash)
    assert decode_meta(envelope.fields["ce_meta"]) == META
    cause = envelope.cause()
    assert (cause.tenant, cause.correlation_id, cause.occurred_at) == ("acme", UUID(int=7), event.occurred_at)


@pytest.mark.parametrize("header", ["ce_id", "ce_time", "ce_subject", "ce_streamversion", "ce_prevhash", "ce_meta"])
async def test_a_header_that_was_changed_does_not_verify(header: str) -> None:
    event = await stored()
    other = replace(
        event, event_id=uuid4(), stream_id=uuid4(), version=2, prev_hash=bytes(31) + b"\x01",
        occurred_at=event.occurred_at.replace(year=2020), meta=event.meta.replace(b"tester", b"nobody"),
    )  # fmt: skip
    fields, changed = (dict(headers_of(each, "/corridor/jar", 1)) for each in (event, other))
    with pytest.raises(HashMismatch):
        envelope_of([*(fields | {header: changed[header]}).items()]).verify(event.data)


async def test_a_value_that_was_changed_does_not_verify() -> None:
    event = await stored()
    with pytest.raises(HashMismatch):
        envelope_of(headers_of(event, "/corridor/jar", 1)).verify(event.data + b" ")


def test_a_record_without_headers_is_unreadable() -> None:
    with pytest.raises(Unreadable):
        envelope_of(())


@pytest.mark.parametrize("header", ["ce_id", "ce_type", "ce_subject", "ce_streamversion", "ce_prevhash", "ce_hash"])
async def test_a_header_that_is_null_is_unreadable(header: str) -> None:
    fields: dict[str, Any] = dict(headers_of(await stored(), "/corridor/jar", 1)) | {header: None}
    with pytest.raises(Unreadable):
        envelope_of([*fields.items()])


_ID = b"5f1f9c1e-6f3c-5b57-9d0f-0f2a3c1b7a10"
IDS = (
    b"", _ID[:-1], _ID + b"\n", b" " + _ID[1:], _ID.replace(b"-", b""), b"{%b}" % _ID, b"urn:uuid:%b" % _ID,
    b"0x" + _ID[2:], b"5_" + _ID[2:], b"\xff" * 36,
)  # fmt: skip
HASHES = (b"", *(b"0" * n for n in (62, 63, 66)), b"0" * 63 + b"g", b"00 " + b"0" * 62, b"0x" + b"0" * 62, b"\xff" * 64)
VERSIONS = (b"", b"0", b"-1", b"+1", b" 1", b"1 ", b"1\n", b"1_0", b"01", b"1.0", b"9999999999", "٣".encode())
TYPES = (b"", b"two words", b"x" * 201, b"\xff", b"line\n")
FORMS = {
    "ce_id": IDS, "ce_subject": IDS, "ce_hash": HASHES, "ce_prevhash": HASHES,
    "ce_streamversion": VERSIONS, "ce_type": TYPES,
}  # fmt: skip


@pytest.mark.parametrize(("header", "written"), [(header, form) for header in FORMS for form in FORMS[header]])
async def test_a_header_in_another_form_is_unreadable(header: str, written: bytes) -> None:
    """Python's own readers of ids, numbers and hex take more than one form; each has one here."""
    fields = dict(headers_of(await stored(), "/corridor/jar", 1)) | {header: written}
    with pytest.raises(Unreadable):
        envelope_of([*fields.items()])


async def test_tenant_and_correlation_are_those_that_were_hashed() -> None:
    event = await stored()
    fields = dict(headers_of(event, "/corridor/jar", 1))
    fields |= {"ce_tenant": b"elsewhere", "ce_correlationid": str(UUID(int=8)).encode()}
    envelope = envelope_of([*fields.items()])
    envelope.verify(event.data)
    assert (envelope.cause().tenant, envelope.cause().correlation_id) == ("acme", UUID(int=7))


def test_no_field_of_the_hash_can_move_into_another() -> None:
    at = Clock()()
    kind = "corridor.jar.added.v1"
    one = chain_hash(GENESIS, b"s" * 16, 1, b"e" * 16, kind, instant(at), b"ab", b"c")
    two = chain_hash(GENESIS, b"s" * 16, 1, b"e" * 16, kind, instant(at), b"a", b"bc")
    assert one != two


def test_an_event_comes_back_and_unknown_fields_are_ignored() -> None:
    codec = EventCodec(EVENTS)
    event = codec.decode(
        "corridor.jar.added.v1", b'{"jar_id":"%s","number":3,"later":true}' % str(UUID(int=1)).encode()
    )
    assert event == Added(jar_id=UUID(int=1), number=3)


@pytest.mark.parametrize("kind", ["corridor.jar.added.v2", "corridor.jar.added", "x"])
def test_a_type_that_nobody_knows_is_named(kind: str) -> None:
    with pytest.raises(UnknownEventType):
        EventCodec(EVENTS).decode(kind, b"{}")


def test_an_old_version_is_brought_up_step_by_step() -> None:
    codec = EventCodec(
        (Added,),
        {
            "corridor.jar.put.v1": ("corridor.jar.put.v2", lambda old: {**old, "number": old["n"]}),
            "corridor.jar.put.v2": ("corridor.jar.added.v1", lambda old: {**old, "text": "old"}),
        },
    )
    found = codec.decode("corridor.jar.put.v1", b'{"jar_id":"%s","n":3}' % str(UUID(int=1)).encode())
    assert found == Added(jar_id=UUID(int=1), number=3, text="old")


def test_the_schema_version_is_the_end_of_the_type() -> None:
    assert schema_version("corridor.jar.added.v17") == 17
    with pytest.raises(UnknownEventType):
        schema_version("corridor.jar.added.v")


@pytest.mark.parametrize(
    ("key", "hashed"),
    [(b"21", -973932308), (b"foobar", -790332482), (b"a-little-bit-long-string", -985981536), (b"abc", 479470107)],
)
def test_murmur2_is_that_of_javas_client(key: bytes, hashed: int) -> None:
    """Source: Apache Kafka, UtilsTest.testMurmur2."""
    assert murmur2(key) == hashed & 0xFFFFFFFF
    assert partition_of(key, 12) == (hashed & 0x7FFFFFFF) % 12
