"""What came from outside is read back as it came, with the key of its partner's month, until that is destroyed."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel import vault_arrivals
from services.kernel.health import Check, Health
from services.kernel.settings import Secret
from services.kernel.store import Unavailable
from services.kernel.vault import NONCE_BYTES, CannotOpen, Erased, KeyStore, StoredKey, Wrapping
from services.kernel.vault_arrivals import (
    AWAY_SECONDS,
    COUNTS_MAX,
    HEAD,
    RENEW_SECONDS,
    STRANGERS,
    ArrivalKeys,
    destroy_arrivals,
    open_arrival,
)
from services.kernel.vault_keys import MemoryKeys
from tests.support.fakes import KEK, Sealing, at_once

T = "corridor"
ONE, TWO = UUID(int=1), UUID(int=2)
NOVEMBER = datetime(2026, 11, 23, 12, 0, tzinfo=UTC)
DECEMBER = datetime(2026, 12, 1, tzinfo=UTC)
NEW_KEK = Secret("YWJjZGVmZ2hpamtsbW5vcHFyc3R1dnd4eXoxMjM0NTY=")  # base64 of 32 bytes
FOREIGN = Wrapping(NEW_KEK, None)


class Keys(MemoryKeys):
    """Counts what it is asked, and may be away."""

    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []
        self.away = False

    async def newest(self, tenant: str, subjects: Sequence[UUID]) -> list[StoredKey]:
        if self.away:
            raise ConnectionRefusedError
        self.calls.append("newest")
        return await super().newest(tenant, subjects)

    async def create(self, keys: Any) -> None:
        self.calls.append("create")
        await super().create(keys)


class Process:
    """A process that seals, at a time that a test sets."""

    def __init__(self, store: KeyStore | None = None, *partners: str, at: datetime = NOVEMBER) -> None:
        self.at = at
        self.store = store or Keys()
        self.wrapping = Wrapping(KEK, None)
        self.pauses: list[float] = []
        self.keys = ArrivalKeys(
            self.store, self.wrapping, T, partners or ("acme", "zed"), now=lambda: self.at, pause=self.pause
        )

    async def pause(self, seconds: float) -> None:
        self.pauses.append(seconds)
        await asyncio.sleep(0)

    def seal(self, source: str = "acme", arrival_id: UUID = ONE, body: bytes = b"body") -> tuple[bytes, bytes]:
        return self.keys.seal(source, arrival_id, body, b"headers")

    async def open(
        self, boxes: tuple[bytes, bytes], source: str = "acme", arrival_id: UUID = ONE, tenant: str = T
    ) -> tuple[bytes, bytes]:
        return await open_arrival(
            self.store, self.wrapping, tenant=tenant, arrival_id=arrival_id, source=source,
            body=boxes[0], headers=boxes[1],
        )  # fmt: skip


@pytest.fixture
async def process() -> Process:
    made = Process()
    await made.keys.renew()
    return made


# read back


@given(st.binary(max_size=2_000), st.binary(max_size=200))
def test_bytes_come_back_exactly(body: bytes, headers: bytes) -> None:
    sealing = Sealing("acme", tenant=T)
    boxes = sealing.keys.seal("acme", ONE, body, headers)
    assert sealing.opened(ONE, "acme", *boxes) == (body, headers)


async def test_another_process_reads_them_back(process: Process) -> None:
    boxes = process.seal(STRANGERS, body=b"\x00" * 262_144)
    assert await Process(process.store).open(boxes, STRANGERS) == (b"\x00" * 262_144, b"headers")


def test_the_same_bytes_never_look_the_same_and_show_nothing() -> None:
    keys = Sealing("acme").keys
    first, second = keys.seal("acme", ONE, b"Anna", b"Anna"), keys.seal("acme", ONE, b"Anna", b"Anna")
    assert len({*first, *second}) == 4
    assert b"Anna" not in b"".join((*first, *second))


# a destroyed key


async def test_a_destroyed_key_refuses_by_name_and_every_other_one_opens(process: Process) -> None:
    mine, theirs = process.seal("acme"), process.seal("zed")
    process.at = DECEMBER
    await process.keys.renew()
    later = process.seal("acme")
    await destroy_arrivals(process.store, T, "acme", 202611)
    with pytest.raises(Erased, match="acme 202611"):
        await process.open(mine)
    assert await process.open(theirs, "zed") == await process.open(later, "acme") == (b"body", b"headers")


async def test_after_the_destruction_of_this_months_key_sealing_goes_on_with_its_successor(process: Process) -> None:
    before = process.seal()
    await destroy_arrivals(process.store, T, "acme", 202611)
    await process.keys.renew()
    after = process.seal()
    with pytest.raises(Erased):
        await process.open(before)
    assert await process.open(after) == (b"body", b"headers")
    assert await Process(process.store).open(after) == (b"body", b"headers")


# no other key opens it


async def test_a_box_opens_at_no_other_place(process: Process) -> None:
    body, headers = process.seal()
    other_body, other_headers = process.seal("zed", TWO)
    for boxes, place in (
        ((body, headers), {"source": "zed"}),
        ((body, headers), {"source": STRANGERS}),
        ((body, headers), {"source": "nobody"}),
        ((body, headers), {"arrival_id": TWO}),
        ((body, headers), {"tenant": "elsewhere"}),
        ((headers, body), {}),
        ((body, other_headers), {}),
        ((other_body, headers), {}),
        ((HEAD.pack(1, 202611, 2) + body[HEAD.size :], headers), {}),
        ((HEAD.pack(1, 202612, 1) + body[HEAD.size :], headers), {}),
        ((body[:-1], headers), {}),
        ((body, b""), {}),
        ((body[: HEAD.size], headers), {}),
        ((b"", b""), {}),
        ((b'{"reference":"R1"}', b"{}"), {}),
    ):
        with pytest.raises(CannotOpen):
            await process.open(boxes, **place)


async def test_another_partners_key_does_not_open_it_even_in_its_place(process: Process) -> None:
    boxes = process.seal("acme")
    mine, theirs = (vault_arrivals.subject_of(T, source, 202611) for source in ("acme", "zed"))
    assert isinstance(process.store, MemoryKeys)
    stolen = process.store.keys[T, theirs, 1]
    process.store.keys[T, mine, 1] = StoredKey(T, mine, 1, stolen.kek_id, stolen.wrapped)
    with pytest.raises(CannotOpen):
        await process.open(boxes)


async def test_a_box_is_bound_to_its_partner_beside_its_key(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if a partner's key had been found for another one."""
    monkeypatch.setattr(vault_arrivals, "subject_of", lambda tenant, source, month: TWO)
    process = Process(None, STRANGERS)
    await process.keys.renew()
    boxes = process.seal(STRANGERS)
    assert await process.open(boxes, STRANGERS) == (b"body", b"headers")
    with pytest.raises(CannotOpen):
        await process.open(boxes, "acme")


# few keys, held in memory


async def test_sealing_asks_the_vault_nothing_and_a_renewal_asks_once(process: Process) -> None:
    assert isinstance(process.store, Keys)
    assert process.store.calls == ["newest", "create", "newest"]
    for number in range(1_000):
        process.seal(arrival_id=UUID(int=number))
    await process.keys.renew()
    assert process.store.calls == ["newest", "create", "newest", "newest"]
    assert len(process.store.keys) == 3  # acme, zed, and one for strangers


async def test_two_processes_share_the_keys_of_a_month() -> None:
    store = Keys()
    first, second = Process(store), Process(store, "acme", "zed", "new")
    await asyncio.gather(first.keys.renew(), second.keys.renew())
    assert len(store.keys) == 4
    assert await first.open(second.seal()) == await second.open(first.seal())


async def test_keys_of_months_that_are_over_are_forgotten(process: Process) -> None:
    for months in range(24):
        process.at = NOVEMBER + timedelta(days=31 * months)
        await process.keys.renew()
    assert len(process.keys._sealers) == 3


async def test_a_nonce_never_comes_twice(process: Process, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(vault_arrivals, "COUNTS_MAX", 10)  # a new prefix each ten
    nonces = [box[HEAD.size : HEAD.size + NONCE_BYTES] for _ in range(100) for box in process.seal()]
    assert len(set(nonces)) == 200
    assert len({nonce[:8] for nonce in nonces}) == 20
    assert COUNTS_MAX == 2**32


async def test_the_month_is_in_the_box_and_turns_with_the_clock(process: Process) -> None:
    old = process.seal()
    process.at = DECEMBER
    await process.keys.renew()
    new = process.seal()
    assert [HEAD.unpack_from(box) for box in (*old, *new)] == [(1, 202611, 1)] * 2 + [(1, 202612, 1)] * 2


# a vault that is away


async def test_without_keys_nothing_is_sealed_and_the_process_is_not_ready() -> None:
    process = Process()
    health = Health()
    health.also("vault", Check(process.keys.prepared))
    with pytest.raises(Unavailable):
        process.seal()
    assert (await health.report())["ready"] is False
    await process.keys.renew()
    health._until = 0.0
    report = await health.report()
    assert (report["ready"], report["dependencies"]["vault"]) == (True, "ok")


async def kept(process: Process, turns: int) -> None:
    """`keep` for so many turns of its loop."""
    keeping = asyncio.create_task(process.keys.keep())
    wanted = len(process.pauses) + turns
    while len(process.pauses) < wanted and not keeping.done():  # noqa: ASYNC110 - it has no event
        await asyncio.sleep(0)
    assert not keeping.done()
    keeping.cancel()


async def test_a_vault_that_is_away_is_asked_again_until_the_keys_are_there() -> None:
    process = Process()
    assert isinstance(process.store, Keys)
    process.store.away = True
    begun: list[str] = []

    async def task() -> None:
        begun.append("consumer")

    consumer = asyncio.create_task(process.keys.before(task)())
    await kept(process, 3)
    assert (begun, process.pauses) == ([], [AWAY_SECONDS] * 3)
    process.store.away = False
    await kept(process, 1)
    await consumer
    assert begun == ["consumer"]


async def test_when_the_month_turns_while_the_vault_is_away_the_old_keys_go_on(process: Process) -> None:
    assert isinstance(process.store, Keys)
    process.store.away = True
    process.at = DECEMBER
    await kept(process, 2)
    assert HEAD.unpack_from(process.seal()[0]) == (1, 202611, 1)
    process.store.away = False
    await kept(process, 1)
    assert HEAD.unpack_from(process.seal()[0]) == (1, 202612, 1)


@pytest.mark.parametrize(
    ("at", "seconds"),
    [
        (NOVEMBER, RENEW_SECONDS),
        (DECEMBER - timedelta(seconds=61), RENEW_SECONDS),
        (DECEMBER - timedelta(seconds=7), 7.0),
        (datetime(2026, 12, 31, 23, 59, 59, tzinfo=UTC), 1.0),
        (datetime(2028, 2, 29, 23, 59, 58, tzinfo=UTC), 2.0),
        (DECEMBER, RENEW_SECONDS),
        (DECEMBER - timedelta(microseconds=1), 0.001),
    ],
)
async def test_the_keys_are_renewed_each_minute_and_when_the_month_turns(at: datetime, seconds: float) -> None:
    process = Process(at=at)
    await kept(process, 1)
    assert process.pauses[0] == seconds


async def test_a_key_of_a_kek_that_is_not_ours_does_not_end_the_process() -> None:
    """Another process has the next key-encryption key already: what we hold goes on."""
    store = MemoryKeys()
    process = Process(store)
    at_once(process.keys.renew())
    process.at = DECEMBER
    await foreign_key(store, "acme", 202612)
    await kept(process, 2)
    assert HEAD.unpack_from(process.seal()[0])[1] == 202611


# one key that cannot be unwrapped, as in a KEK rotation: another service made it with a KEK that we do not have


async def foreign_key(store: KeyStore, source: str, month: int, version: int = 1) -> None:
    await store.create([FOREIGN.new(T, vault_arrivals.subject_of(T, source, month), version)])


async def test_a_key_that_cannot_be_unwrapped_keeps_nobody_elses_from_being_renewed(process: Process) -> None:
    process.at = DECEMBER
    await foreign_key(process.store, STRANGERS, 202612)
    await kept(process, 1)
    months = {source: HEAD.unpack_from(process.seal(source)[0])[1] for source in ("acme", "zed", STRANGERS)}
    assert months == {"acme": 202612, "zed": 202612, STRANGERS: 202611}
    assert await process.open(process.seal("zed"), "zed") == (b"body", b"headers")


async def test_a_destroyed_key_has_its_successor_although_another_ones_cannot_be_unwrapped(process: Process) -> None:
    await destroy_arrivals(process.store, T, STRANGERS, 202611)
    await foreign_key(process.store, STRANGERS, 202611, 2)
    await destroy_arrivals(process.store, T, "acme", 202611)
    await kept(process, 1)
    assert await process.open(process.seal()) == (b"body", b"headers")


async def test_a_key_that_cannot_be_unwrapped_is_logged_with_its_source(
    process: Process, capsys: pytest.CaptureFixture[str]
) -> None:
    process.at = DECEMBER
    await foreign_key(process.store, "zed", 202612)
    await kept(process, 1)
    said = "".join(capsys.readouterr())
    assert "arrival_key_not_renewed" in said
    assert "zed" in said
    assert "acme" not in said


async def test_a_process_is_prepared_only_when_every_source_has_a_key_and_asks_again_soon() -> None:
    process = Process()
    await foreign_key(process.store, "zed", 202611)
    await kept(process, 2)
    assert process.pauses == [AWAY_SECONDS] * 2
    assert await process.keys.prepared() is False
    assert await process.open(process.seal()) == (b"body", b"headers")
    with pytest.raises(Unavailable):
        process.seal("zed")
    await destroy_arrivals(process.store, T, "zed", 202611)
    await kept(process, 1)
    assert await process.keys.prepared() is True
    assert await process.open(process.seal("zed"), "zed") == (b"body", b"headers")


async def turned(*wrappings: Wrapping) -> list[bool]:
    """Which of the services with these KEKs come to be prepared, each starting in turn and making what it misses."""
    store, prepared = MemoryKeys(), []
    for number, wrapping in enumerate(wrappings):
        partners = [f"only-{number}", "acme"]
        keys = ArrivalKeys(store, wrapping, T, partners, now=lambda: NOVEMBER)
        await keys.renew()
        prepared.append(await keys.prepared())
    return prepared


async def test_a_kek_is_replaced_when_all_know_the_new_one_before_one_wraps_with_it() -> None:
    announced, swapped = Wrapping(KEK, NEW_KEK), Wrapping(NEW_KEK, KEK)
    assert await turned(Wrapping(KEK, None), announced, swapped) == [True] * 3
    assert await turned(swapped, announced, swapped) == [True] * 3
    assert await turned(swapped, Wrapping(KEK, None)) == [True, False]
