"""Who folds which partitions, and what has to go through a pipe for that."""

from __future__ import annotations

import pickle

import pytest

from services.kernel.fold_process import portable
from services.kernel.fold_team import shared
from services.kernel.folding import Share, Target
from services.kernel.projector import Projection
from services.kernel.store import Unavailable
from services.ops_cli.catalog import projections


def sizes(*records: int) -> dict[tuple[str, int], int]:
    return {("t", number): count for number, count in enumerate(records)}


@pytest.mark.parametrize(
    ("records", "count", "loads"),
    [((5, 5, 5, 5), 2, [10, 10]), ((100, 1, 1, 1), 2, [100, 3]), ((3, 2, 2, 1), 2, [4, 4]), ((4, 9), 1, [13])],
)
def test_partitions_are_shared_out_by_what_is_in_them(records: tuple[int, ...], count: int, loads: list[int]) -> None:
    found = sizes(*records)
    shares = shared(found, count)
    assert sorted(at for share in shares for at in share) == sorted(found)
    assert [sum(found[at] for at in share) for share in shares] == loads


@pytest.mark.parametrize("projection", [each for _, each in projections().values()], ids=lambda each: each.name)
def test_every_read_table_can_be_named_to_another_process(projection: Projection) -> None:
    target = Target(dsn="d", bootstrap="b", service="s", schema="s", projection=projection, writer_schema="w")
    share = Share(target=target, version=2, partitions=(0, 3), kept_max=9)
    assert pickle.loads(pickle.dumps(share)) == share  # noqa: S301 - our own


class Local(Exception):
    """Cannot be made from what it says."""

    def __init__(self, one: int, other: int) -> None:
        super().__init__(f"{one} and {other}")


def test_an_error_that_cannot_be_sent_says_what_it_was() -> None:
    assert str(portable(Unavailable("away"))) == "away"
    assert isinstance(portable(Unavailable("away")), Unavailable)
    assert str(portable(Local(1, 2))) == "Local: 1 and 2"
