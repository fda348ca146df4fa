"""The proof of the books: clean books are clean, and whatever a superuser does to them is found by the check for it."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable

import pytest

from services.kernel.book_audit import audit
from services.kernel.book_check import Verdicts
from services.ops_cli.ledger_books import CHECKS
from services.ops_cli.ledger_books import books as target
from tests.support.bookings import Books, books

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def place(new_database: Callable[[], str]) -> AsyncIterator[Books]:
    async with books(new_database()) as found:
        yield found


async def proof(place: Books, *names: str) -> Verdicts:
    return await audit(target(place.oncall, None, 1), list(names or CHECKS), lambda progress: None)


def wrong(found: Verdicts) -> set[str]:
    return {name for name, verdict in found.of.items() if verdict.wrong}


def words(found: Verdicts) -> dict[str, list[str]]:
    return {name: [each.what for each in verdict.examples] for name, verdict in found.of.items() if verdict.wrong}


async def test_an_empty_book_is_clean(place: Books) -> None:
    found = await proof(place)
    assert found.is_clean, words(found)


async def test_a_book_is_clean(place: Books) -> None:
    await place.grow(60)
    found = await proof(place)
    assert found.is_clean, words(found)
    assert (found.counts["entries"], found.counts["postings"], found.counts["events"]) == (240, 720, 240)
    assert found.of["L10b"].looked == 240
    assert found.of["L8"].looked == 60
