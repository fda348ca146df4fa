"""Personal data can be read by who holds the key, for the field and person it was sealed for, until it is erased."""

from __future__ import annotations

import base64
import os
from dataclasses import replace
from uuid import UUID, uuid4

import pytest

from services.kernel.settings import Secret
from services.kernel.vault import KEYS_REMEMBERED_MAX, KEYS_REMEMBERED_SECONDS, CannotOpen, Erased, StoredKey, Vault
from services.kernel.vault_keys import MemoryKeys

T = "corridor"
ANNA, BEN = UUID(int=1), UUID(int=2)


def key() -> Secret:
    return Secret(base64.b64encode(os.urandom(32)).decode())


KEK, DIGEST = key(), key()


class CountedKeys(MemoryKeys):
    def __init__(self) -> None:
        super().__init__()
        self.calls: list[str] = []

    async def newest(self, tenant: str, subjects: object) -> list[StoredKey]:
        self.calls.append("newest")
        return await super().newest(tenant, subjects)  # type: ignore[arg-type]

    async def create(self, keys: object) -> None:
        self.calls.append("create")
        await super().create(keys)  # type: ignore[arg-type]

    async def find(self, tenant: str, names: object) -> list[StoredKey]:
        self.calls.append("find")
        return await super().find(tenant, names)  # type: ignore[arg-type]


def vault(
    store: MemoryKeys, kek: Secret = KEK, previous: Secret | None = None, clock: list[float] | None = None
) -> Vault:
    at = clock or [0.0]
    return Vault(store, kek=kek, kek_previous=previous, digest_key=DIGEST, now=lambda: at[0])


async def test_what_was_sealed_is_opened_by_another_process() -> None:
    store = MemoryKeys()
    sealed = await vault(store).seal(T, ANNA, "name", "Änne Müller")
    assert "nne" not in base64.b64decode(sealed.box).decode("latin-1")
    assert await vault(store).open(T, sealed, "name") == "Änne Müller"


async def test_the_same_text_never_looks_the_same() -> None:
    one, two = await vault(MemoryKeys()).seal_many(T, ((ANNA, "name", "A"), (ANNA, "name", "A")))
    assert one.box != two.box


async def test_many_need_one_statement_for_their_keys() -> None:
    store = CountedKeys()
    sealing = vault(store)
    sealed = await sealing.seal_many(T, [(uuid4(), "name", str(number)) for number in range(500)])
    assert store.calls == ["newest", "create", "newest"]
    opening, store.calls = vault(store), []
    assert await opening.open_many(T, [(one, "name") for one in sealed]) == [str(number) for number in range(500)]
    assert store.calls == ["find"]
    assert await opening.open(T, sealed[7], "name") == "7"
    assert store.calls == ["find"]


async def test_a_box_opens_for_no_other_field_person_or_tenant() -> None:
    store = MemoryKeys()
    sealer = vault(store)
    sealed, other = await sealer.seal_many(T, ((ANNA, "name", "Anna"), (BEN, "name", "Ben")))
    await sealer.seal("elsewhere", ANNA, "name", "x")
    for tenant, box, field in (
        (T, sealed, "account"),
        (T, replace(other, box=sealed.box), "name"),
        ("elsewhere", sealed, "name"),
        (T, replace(sealed, box=sealed.box[:-8] + "AAAAAAA="), "name"),
        (T, replace(sealed, box="%%%"), "name"),
        (T, replace(sealed, key_version=2), "name"),
    ):
        with pytest.raises(CannotOpen):
            await sealer.open(tenant, box, field)


async def test_an_erased_person_cannot_be_read_nor_sealed_again() -> None:
    store = MemoryKeys()
    sealer = vault(store)
    sealed, other = await sealer.seal_many(T, ((ANNA, "name", "Anna"), (BEN, "name", "Ben")))
    await sealer.destroy(T, ANNA)
    await sealer.destroy(T, ANNA)
    for one in (sealer, vault(store)):
        with pytest.raises(Erased):
            await one.open(T, sealed, "name")
        with pytest.raises(Erased):
            await one.seal(T, ANNA, "name", "again")
        assert await one.open(T, other, "name") == "Ben"


async def test_a_neighbours_erasure_is_seen_when_the_memory_ends() -> None:
    store, clock = MemoryKeys(), [0.0]
    here = vault(store, clock=clock)
    sealed = await here.seal(T, ANNA, "name", "Anna")
    await vault(store).destroy(T, ANNA)
    clock[0] = KEYS_REMEMBERED_SECONDS
    with pytest.raises(Erased):
        await here.open(T, sealed, "name")


async def test_the_previous_wrapping_key_still_opens() -> None:
    store, new = MemoryKeys(), key()
    sealed = await vault(store).seal(T, ANNA, "name", "Anna")
    assert await vault(store, kek=new, previous=KEK).open(T, sealed, "name") == "Anna"
    with pytest.raises(CannotOpen):
        await vault(store, kek=new).open(T, sealed, "name")


async def test_a_key_row_moved_to_another_person_does_not_open() -> None:
    store = MemoryKeys()
    await vault(store).seal_many(T, ((ANNA, "name", "Anna"), (BEN, "name", "Ben")))
    stolen = store.keys[T, BEN, 1]
    store.keys[T, ANNA, 1] = replace(stolen, subject=ANNA)
    with pytest.raises(CannotOpen):
        await vault(store).seal(T, ANNA, "name", "x")


async def test_no_more_keys_are_remembered_than_the_bound() -> None:
    sealer = vault(MemoryKeys())
    await sealer.seal_many(T, [(UUID(int=n), "name", "x") for n in range(1, KEYS_REMEMBERED_MAX + 6)])
    assert len(sealer._ciphers) == len(sealer._versions) == KEYS_REMEMBERED_MAX


async def test_a_neighbour_that_made_the_key_first_wins() -> None:
    store = MemoryKeys()

    class Race(MemoryKeys):
        async def newest(self, tenant: str, subjects: object) -> list[StoredKey]:
            found = await store.newest(tenant, subjects)  # type: ignore[arg-type]
            if not found:
                await vault(store).seal(T, ANNA, "name", "neighbour")
            return found

        async def create(self, keys: object) -> None:
            await store.create(keys)  # type: ignore[arg-type]

    sealed = await vault(Race()).seal(T, ANNA, "name", "Anna")
    assert await vault(store).open(T, sealed, "name") == "Anna"
    assert len(store.keys) == 1


def test_a_digest_is_the_same_again_and_another_for_another_tenant() -> None:
    one = vault(MemoryKeys())
    assert one.digest(T, "anna@example.org") == vault(MemoryKeys()).digest(T, "anna@example.org")
    assert one.digest(T, "anna@example.org") != one.digest("elsewhere", "anna@example.org")
    assert Vault(MemoryKeys(), kek=KEK, digest_key=key()).digest(T, "a") != one.digest(T, "a")
