from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.integration.sandbox.player import KEYS, Corridor, Sandbox


@pytest.fixture
def corridor() -> Iterator[Corridor]:
    one = Corridor()
    yield one
    one.close()


@pytest.fixture
def sandbox(tmp_path: Path, corridor: Corridor) -> Iterator[Sandbox]:
    with Sandbox(tmp_path / "sandbox", "--settle-delay-seconds", "0.05") as one:
        one.call(
            "PUT", "/config", {"corridor_url": corridor.url, "signing_keys": KEYS, "collect_partner": "collectbank"}
        )
        yield one
