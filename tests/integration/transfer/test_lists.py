"""The list of transfers over HTTP and on PostgreSQL: whose, in what order, in pages that lose and repeat nothing."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any
from uuid import UUID

import pytest

from contracts.deposit.routes import route_reference
from services.kernel import pages
from tests.integration.transfer.shop import ANNA, BERT, Shop, opened
from tests.unit.kernel.door import send


@pytest.fixture
async def shop(database: str) -> AsyncIterator[Shop]:
    """The service on empty tables."""
    async with opened(database) as made:
        yield made


async def test_a_customer_sees_their_own_and_staff_see_all_newest_first(shop: Shop) -> None:
    for customer in (ANNA, BERT, ANNA):
        await shop.open(customer)
    first, second, third = shop.opened
    assert await shop.ids("anna") == [third, first]
    assert await shop.ids("bert") == [second]
    for who in ("olga", "adam", "review"):
        assert await shop.ids(who) == [third, second, first]
    assert await shop.ids("olga", customer_id=BERT) == [second]
    assert await shop.ids("anna", customer_id=ANNA) == [third, first]
    refused = await shop.get("anna", customer_id=BERT)
    assert (refused.status, refused.json["code"]) == (403, "FORBIDDEN")
    assert (await send(shop.app, "GET", "/v1/transfers")).status == 401


async def test_filters_choose_and_an_item_says_what_get_says(shop: Shop) -> None:
    for corridor, receives in (("GB-ET", "ETB"), ("GB-KE", "KES"), ("GB-ET", "ETB"), ("US-ET", "ETB")):
        await shop.open(ANNA, corridor, receives)
    one, two, three, four = shop.opened
    await shop.review(one)
    await shop.cancel(three, ANNA)
    assert await shop.ids("olga", state="PAYOUT_REVIEW_REQUIRED") == [one]
    assert await shop.ids("olga", state=["CANCELLED", "PAYOUT_REVIEW_REQUIRED"]) == [three, one]
    assert await shop.ids("anna", state="AWAITING_FUNDING") == [four, two]
    assert await shop.ids("olga", corridor="GB-ET") == [three, one]
    assert await shop.ids("olga", currency="KES") == [two]
    assert await shop.ids("olga", currency="GBP", corridor="US-ET") == [four]
    assert await shop.ids("olga", route=f" {route_reference(two).lower()} ") == [two]
    assert await shop.ids("bert", route=route_reference(two)) == []
    assert await shop.ids("olga", route=route_reference(two), state="CANCELLED") == []
    answer = await shop.get("olga", state="PAYOUT_REVIEW_REQUIRED")
    (item,) = answer.json["items"]
    assert item == (await shop.get("olga", f"/v1/transfers/{one}")).json | {"customer_id": str(ANNA)}
    assert answer.json["next_cursor"] is None


async def test_times_bound_the_list_from_below_and_above(shop: Shop) -> None:
    for _ in range(3):
        await shop.open(ANNA)
    one, two, three = shop.opened
    rows = await shop.engine.rows("SELECT stream_id, occurred_at FROM event WHERE version = 1")
    at = {row[0]: row[1].isoformat() for row in rows}
    assert await shop.ids("anna", created_from=at[two]) == [three, two]
    assert await shop.ids("anna", created_to=at[two]) == [one]
    assert await shop.ids("anna", created_from=at[two].replace("+", " "), created_to=at[three]) == [two]


async def test_pages_lose_and_repeat_nothing_while_transfers_are_opened(shop: Shop) -> None:
    for number in range(25):
        await shop.open(ANNA if number % 3 else BERT)
    before = list(reversed(shop.opened))
    assert await shop.walk("olga", limit=4) == before
    first = await shop.get("olga", limit=10)
    await shop.open(ANNA)
    rest = await shop.ids("olga", limit=200, cursor=first.json["next_cursor"])
    assert [UUID(item["transfer_id"]) for item in first.json["items"]] + rest == before


@pytest.mark.parametrize("query", [{"state": "CANCELLED"}, {"state": "PAYOUT_REVIEW_REQUIRED"}, {"corridor": "US-ET"}])
async def test_a_page_looks_at_a_bounded_number_of_rows_and_the_walk_finds_all(
    shop: Shop, query: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(pages, "SCANNED_MAX", 5)
    wanted: list[UUID] = []
    for number in range(24):
        chosen = number in {0, 1, 12, 23}
        one = await shop.open(ANNA, "US-ET" if chosen else "GB-ET")
        if chosen:
            wanted.insert(0, one)
            if "state" in query:
                await (shop.cancel(one, ANNA) if query["state"] == "CANCELLED" else shop.review(one))
    assert await shop.walk("olga", limit=2, **query) == wanted
    assert await shop.walk("anna", limit=1, **query) == wanted


async def test_a_cursor_is_for_its_list_filters_and_caller_alone(shop: Shop) -> None:
    for _ in range(3):
        await shop.open(ANNA)
    cursor = (await shop.get("olga", limit=1)).json["next_cursor"]
    assert await shop.ids("olga", limit=2, cursor=cursor) == list(reversed(shop.opened[:2]))
    foreign = await shop.get("anna", limit=1, cursor=cursor)
    filtered = await shop.get("olga", state="CANCELLED", cursor=cursor)
    forged = await shop.get("olga", cursor=("A" if cursor[0] != "A" else "B") + cursor[1:])
    for answer in (foreign, filtered, forged):
        assert (answer.status, answer.json["code"]) == (400, "CURSOR_INVALID")


@pytest.mark.parametrize(
    ("query", "pointer"),
    [({"limit": "0"}, "/limit"), ({"limit": "201"}, "/limit"), ({"limit": "x"}, "/limit"),
     ({"state": "GONE"}, "/state"),
     ({"created_from": "0001-01-01T00:00:00+14:00"}, "/created_from"), ({"route": "RF\x00"}, "/route"),
     ({"created_to": "9999-12-31T23:59:59-14:00"}, "/created_to"),
     ({"created_from": "yesterday"}, "/created_from"), ({"customer_id": "{x}"}, "/customer_id"),
     ({"offset": "3"}, "/offset"), ({"limit": ["1", "2"]}, "/limit"), ({"currency": "gbp"}, "/currency"),
     ({"cursor": "x" * 81}, "/cursor")],
)  # fmt: skip
async def test_what_cannot_be_read_is_named(shop: Shop, query: dict[str, Any], pointer: str) -> None:
    answer = await shop.get("olga", **query)
    assert (answer.status, answer.json["code"]) == (400, "INVALID_QUERY")
    assert [each["pointer"] for each in answer.json["errors"]] == [pointer]


async def test_a_transfer_as_of_a_time_is_folded_up_to_it(shop: Shop) -> None:
    one = await shop.open(ANNA)
    await shop.review(one)
    rows = await shop.engine.rows("SELECT occurred_at FROM event ORDER BY version")
    opened, funded, reviewed = (row[0].isoformat() for row in rows)
    path = f"/v1/transfers/{one}"
    for at, state, version in (
        (opened, "AWAITING_FUNDING", 1), (funded, "FUNDING_CONFIRMED", 2), (reviewed, "PAYOUT_REVIEW_REQUIRED", 3),
        ("2098-01-01T00:00:00Z", "PAYOUT_REVIEW_REQUIRED", 3),
    ):  # fmt: skip
        answer = await shop.get("anna", path, as_of=at)
        assert (answer.json["state"], answer.json["version"], answer.headers["etag"]) == (
            state,
            version,
            f'"{version}"',
        )
    assert (await shop.get("anna", path, as_of="2020-01-01T00:00:00Z")).status == 404
    assert (await shop.get("bert", path, as_of=funded)).status == 404
    assert (await shop.get("anna", path, as_of="soon")).status == 400


async def test_a_timeline_has_trace_and_cause_and_shows_content_and_who_else_acted_to_staff_alone(shop: Shop) -> None:
    one = await shop.open(ANNA)
    await shop.cancel(one, ANNA)
    events = (await shop.get("review", f"/v1/transfers/{one}/timeline")).json["events"]
    event, cancelled = events
    assert [(each["actor"], each["reason"]) for each in events] == [("olga", None), (str(ANNA), "no")]
    assert (event["trace_id"], event["stream_id"], event["version"]) == ("a" * 32, str(one), 1)
    assert event["causation_id"] is not None
    assert event["data"]["creditor_name"] == {"sealed": True}
    assert event["data"]["send"] == {"minor": 100_00, "currency": "GBP"}
    own = (await shop.get("anna", f"/v1/transfers/{one}/timeline")).json["events"]
    hidden = {"actor": None, "reason": None}
    assert own == [
        {name: event[name] for name in event if name != "data"} | hidden,
        {name: cancelled[name] for name in cancelled if name != "data"},
    ]


async def test_one_list_at_a_time_and_who_waits_too_long_is_told(shop: Shop, monkeypatch: pytest.MonkeyPatch) -> None:
    await shop.open(ANNA)
    monkeypatch.setattr(pages, "TURN_SECONDS_MAX", 0.05)
    entered, go = asyncio.Event(), asyncio.Event()
    rows = shop.engine.rows

    async def slow(sql: str, *values: Any) -> Any:
        entered.set()
        await go.wait()
        return await rows(sql, *values)

    monkeypatch.setattr(shop.engine, "rows", slow)
    first = asyncio.create_task(shop.get("olga"))
    await entered.wait()
    second = await shop.get("olga")
    assert (second.status, second.headers["retry-after"]) == (503, "1")
    go.set()
    assert (await first).status == 200
    assert len(await shop.ids("olga")) == 1
