"""The proof of the books, its pure part: what does not follow is told, once, in words that name it."""

from dataclasses import replace
from datetime import UTC, datetime
from uuid import UUID, uuid4

import pytest

from contracts.ledger.v1 import BlockClosed, CurrencySums, HoldEvent, HoldPlaced, HoldPosted, HoldRefused, HoldVoided
from services.kernel.money import Money, Rate, RateText, iso4217
from services.ledger.api.facts import EntryRequest
from services.ledger.domain.blocks import GENESIS
from services.ledger.domain.chart import CHART
from services.ledger.domain.settled import BlockRow, Blocks
from services.ledger.domain.verification import ASKED, Exchange, Holds, charted, exchanged

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
GBP, ETB = iso4217("GBP"), iso4217("ETB")
RATE = Rate(GBP, ETB, RateText("72.4531"), "sandbox", AT)
TERMS = Exchange(Money(10_000, GBP), Money(150, GBP), Money(50, GBP), Money(9_800, GBP), Money(710_040, ETB))
HOLD, CUSTOMER = UUID(int=1), UUID(int=2)
HELD = f"customer:{CUSTOMER}:held:GBP"


def test_what_was_promised_and_follows_from_the_rate_is_right() -> None:
    assert list(exchanged(TERMS, TERMS, RATE)) == []


def test_another_amount_than_was_promised_is_told() -> None:
    took = TERMS._replace(fee=Money(100, GBP), spread=Money(100, GBP))
    assert len(list(exchanged(took, TERMS, RATE))) == 2


@pytest.mark.parametrize("one", [-1, 1])
def test_a_promise_that_the_rate_does_not_give_is_told(one: int) -> None:
    wrong = TERMS._replace(receive=Money(TERMS.receive.minor + one, ETB))
    (told,) = exchanged(wrong, wrong, RATE)
    assert "72.4531" in told


def test_parts_that_are_not_all_that_was_sent_are_told() -> None:
    wrong = TERMS._replace(fee=Money(151, GBP))
    assert len(list(exchanged(wrong, wrong, RATE))) == 1


def placed(minor: int = 100, hold: UUID = HOLD) -> HoldPlaced:
    return HoldPlaced(
        hold_id=hold, customer_id=CUSTOMER, amount=Money(minor, GBP), due_at=AT, entry_id=uuid4(), kind="hold.placed",
        cause_id=uuid4(), transfer_id=None, lines=(), caused_at=AT, posted_at=AT,
    )  # fmt: skip


def posted(minor: int = 100) -> HoldPosted:
    return HoldPosted(
        hold_id=HOLD, customer_id=CUSTOMER, amount=Money(minor, GBP), entry_id=uuid4(), kind="hold.posted",
        cause_id=uuid4(), transfer_id=None, lines=(), caused_at=AT, posted_at=AT,
    )  # fmt: skip


VOIDED = HoldVoided(
    hold_id=HOLD, customer_id=CUSTOMER, entry_id=uuid4(), kind="hold.voided", cause_id=uuid4(), transfer_id=None,
    lines=(), caused_at=AT, posted_at=AT,
)  # fmt: skip
REFUSED = HoldRefused(
    hold_id=HOLD, customer_id=CUSTOMER, amount=Money(1, GBP), available=Money(0, GBP), cause_id=uuid4(), refused_at=AT
)


@pytest.mark.parametrize(
    ("events", "told"),
    [
        ([placed(), posted(40)], []),
        ([placed(), VOIDED], []),
        ([REFUSED], []),
        ([placed(), posted(101)], ["posts 1.01 GBP of 1.00 GBP"]),
        ([placed(), posted(), VOIDED], ["is resolved 2 times"]),
        ([placed(), VOIDED, posted()], ["is resolved 2 times"]),
        ([REFUSED, VOIDED], ["is resolved and was never placed"]),
        ([placed(hold=UUID(int=9)), VOIDED], ["is resolved and was never placed"]),
    ],
)
def test_a_hold_is_resolved_once(events: list[HoldEvent], told: list[str]) -> None:
    holds = Holds()
    assert [what for event in events for what in holds.take(event)] == told


def test_open_holds_are_what_their_postings_left() -> None:
    holds = Holds()
    for event in (placed(30, UUID(int=9)), placed(), posted(40)):
        assert list(holds.take(event)) == []
    assert list(holds.against({HELD: 30})) == []
    for held in ({HELD: 29}, {}, {HELD: 30, "customer:x:held:GBP": 1}):
        assert len(list(holds.against(held))) == 1


BLOCK = BlockClosed(
    number=1, seq_from=1, seq_to=4, entries=4, postings=8, digest="aa" * 32, prev_digest=GENESIS.hex(), differences=0,
    closed_at=AT, sums=(CurrencySums(currency="GBP", debit_minor=5, credit_minor=5),),
)  # fmt: skip
ROW = BlockRow(1, 1, 4, 4, 8, {"GBP": [5, 5]}, b"\xaa" * 32, GENESIS)


def test_a_block_follows_the_one_before_it_and_its_row_is_what_its_event_says() -> None:
    second = replace(BLOCK, number=2, seq_from=5, seq_to=6, digest="bb" * 32, prev_digest=BLOCK.digest)
    row = ROW._replace(number=2, seq_from=5, seq_to=6, digest=b"\xbb" * 32, prev_digest=b"\xaa" * 32)
    blocks = Blocks()
    assert [*blocks.take(BLOCK, ROW), *blocks.take(second, row)] == []


@pytest.mark.parametrize(
    ("said", "row"),
    [
        (BLOCK, None),
        (None, ROW),
        (BLOCK, ROW._replace(sums={"GBP": [5, 6]})),
        (replace(BLOCK, seq_from=2), ROW._replace(seq_from=2)),
        (replace(BLOCK, number=2), ROW._replace(number=2)),
        (replace(BLOCK, prev_digest="cc" * 32), ROW._replace(prev_digest=b"\xcc" * 32)),
    ],
)
def test_a_block_that_does_not_fit_is_told(said: BlockClosed | None, row: BlockRow | None) -> None:
    assert len(list(Blocks().take(said, row))) == 1


def test_the_chart_is_that_of_the_domain() -> None:
    rows = [(line.kind, line.account_class, line.normal, line.protected, line.owner) for line in CHART]
    assert list(charted(rows)) == []
    kind, account_class, normal, protected, owner = rows[0]
    assert len(list(charted([(kind, account_class, normal, not protected, owner), *rows[1:]]))) == 1
    assert len(list(charted(rows[1:]))) == 1
    assert len(list(charted([*rows, ("slush", "asset", "debit", False, "corridor")]))) == 1


def test_what_services_may_ask_for_is_known_to_have_no_fact_behind_it() -> None:
    annotation = EntryRequest.model_fields["kind"].annotation
    assert set(annotation.__args__) == ASKED  # type: ignore[union-attr]
