"""Pages of the queue: every item once, in one order, however many share an instant and wherever they come from."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID, uuid4

import pytest
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.problem import Problem
from services.review.api.cursors import Cursors
from services.review.domain.queue import BEGINNING, Filter, Item, page, topic_link
from services.review.domain.reasons import GUIDANCE, Reason, advice
from services.review.domain.reasons import page as reasons_page
from tests.unit.review.samples import AT, SECOND, item

FEW_INSTANTS = st.integers(0, 3).map(lambda seconds: AT + seconds * SECOND)
ITEMS = st.dictionaries(st.integers(1, 60), st.tuples(FEW_INSTANTS, st.booleans()), max_size=40)


@given(ITEMS, st.integers(1, 7))
def test_pages_show_every_item_once_and_the_oldest_first(found: dict[int, tuple[object, bool]], limit: int) -> None:
    items = {number: item(number, at) for number, (at, _) in found.items()}  # type: ignore[arg-type]
    stored = sorted((items[each] for each in items if found[each][1]), key=lambda each: each.position)
    asked = [items[each] for each in items if not found[each][1]]
    seen: list[Item] = []
    after = BEGINNING
    for _ in range(len(items) + 1):
        shown = page([each for each in stored if each.position > after][: limit + 1], asked, after, limit)
        assert len(shown.items) <= limit
        seen += shown.items
        if shown.following is None:
            break
        after = shown.following
    assert seen == sorted(items.values(), key=lambda each: (each.opened_at, each.review_id))


def test_a_full_page_that_is_the_last_says_so() -> None:
    assert page([item(1)], [item(2)], BEGINNING, 2).following is None


def test_a_filter_takes_what_it_says() -> None:
    unknown = item(1)
    assert Filter().wants(unknown)
    assert Filter(reason=Reason.PAYOUT_UNKNOWN, currency="GBP").wants(unknown)
    assert not Filter(reason=Reason.PARKED_STREAM).wants(unknown)
    assert not Filter(currency="ETB").wants(unknown)
    assert not Filter(is_open=False).wants(unknown)


CURSORS = Cursors("a secret of sixteen", "the one before it")


@given(st.uuids(), st.datetimes(timezones=st.just(AT.tzinfo)))
def test_a_cursor_is_read_as_it_was_made(review_id: UUID, at: object) -> None:
    position = (at, review_id)
    assert CURSORS.read(CURSORS.make(position, b"bound"), b"bound") == position  # type: ignore[arg-type]


def test_a_cursor_is_good_while_its_secret_is_the_one_before() -> None:
    old = Cursors("the one before it").make((AT, UUID(int=1)), b"bound")
    assert CURSORS.read(old, b"bound") == (AT, UUID(int=1))


@pytest.mark.parametrize("fault", ["bound", "secret", "cut", "ascii", "empty"])
def test_a_cursor_of_somebody_else_or_broken_is_refused(fault: str) -> None:
    made = Cursors("another secret" if fault == "secret" else "a secret of sixteen").make((AT, uuid4()), b"bound")
    broken = {"cut": made[:-3], "ascii": "é" + made, "empty": ""}.get(fault, made)
    with pytest.raises(Problem) as caught:
        CURSORS.read(broken, b"other" if fault == "bound" else b"bound")
    assert caught.value.status == 400


def test_every_reason_says_what_to_do_with_the_path_of_the_item() -> None:
    assert set(GUIDANCE) == set(Reason)
    for reason in Reason:
        text = advice(reason, "/v1/here/1", UUID(int=7))
        assert "{" not in text.replace("{transfer_id}", "")
        assert text.endswith(f"{GUIDANCE[reason].later}.")
    assert "/v1/ledger/transfers/00000000-0000-0000-0000-000000000007/entries" in advice(
        Reason.LATE_FUNDING, "/v1/transfers/7", UUID(int=7)
    )


@pytest.mark.parametrize(
    ("topic", "link"),
    [
        ("corridor.payout.events.v1", "/v1/payouts/00000000-0000-0000-0000-000000000001"),
        ("corridor.deposit.events.v1", "/v1/deposits/routes/00000000-0000-0000-0000-000000000001"),
        ("corridor.ledger.events.v1", "/v1/reviews/1"),
        ("partner.deposits.v1", "/v1/reviews/1"),
    ],
)
def test_a_parked_stream_is_shown_by_whoever_owns_it(topic: str, link: str) -> None:
    assert topic_link(topic, UUID(int=1), "/v1/reviews/1") == link


def test_a_parked_record_without_a_stream_is_shown_by_the_queue() -> None:
    assert topic_link("corridor.payout.events.v1", None, "/v1/reviews/1") == "/v1/reviews/1"


def test_the_page_has_the_table_of_the_code() -> None:
    text = Path("docs/review-queue.md").read_text(encoding="utf-8")
    assert text.partition("<!-- reasons -->\n")[2].partition("\n<!-- /reasons -->")[0] == reasons_page()
