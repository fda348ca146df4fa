"""Creditors are opened all at once; a vault that does not answer is one, whichever question it was."""

from __future__ import annotations

import base64
from collections.abc import Iterable
from uuid import UUID

import pytest

from services.kernel.sealed import Sealed
from services.kernel.settings import Secret
from services.kernel.vault import StoredKey, Vault
from services.kernel.vault_keys import MemoryKeys
from services.payout_orchestrator.adapters.creditors import VaultOpener
from services.payout_orchestrator.ports import CannotOpen

KEK = Secret(base64.b64encode(bytes(range(32))).decode())
ABEBE, GONE = UUID(int=1), UUID(int=2)


class Keys(MemoryKeys):
    """Answers so many questions, then never."""

    def __init__(self) -> None:
        super().__init__()
        self.answers = 100

    async def find(self, tenant: str, names: Iterable[tuple[UUID, int]]) -> list[StoredKey]:
        self.answers -= 1
        if self.answers < 0:
            raise ConnectionRefusedError
        return await super().find(tenant, names)


def vault(keys: Keys) -> Vault:
    return Vault(keys, kek=KEK, digest_key=KEK)


async def sealed(keys: Keys) -> list[tuple[Sealed, str]]:
    """The names of Abebe and of one who was forgotten since."""
    boxes = await vault(keys).seal_many("main", [(ABEBE, "name", "Abebe"), (GONE, "name", "Gone")])
    await vault(keys).destroy("main", GONE)
    return [(box, "name") for box in boxes]


async def test_whoever_was_forgotten_cannot_be_read_and_the_others_can() -> None:
    keys = Keys()
    boxes = await sealed(keys)
    assert await VaultOpener(vault(keys), "main").open_many(boxes) == ["Abebe", None]


@pytest.mark.parametrize("answers", [0, 1])
async def test_a_vault_that_goes_away_at_any_question_cannot_open(answers: int) -> None:
    keys = Keys()
    boxes = await sealed(keys)
    keys.answers = answers
    with pytest.raises(CannotOpen):
        await VaultOpener(vault(keys), "main").open_many(boxes)
