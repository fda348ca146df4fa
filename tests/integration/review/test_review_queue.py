"""The queue on PostgreSQL and a broker: what other services say opens and closes its items; who is away is named."""

from __future__ import annotations

import json
from dataclasses import replace
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from aiokafka import AIOKafkaProducer

from contracts.topics import DEPOSIT, PAYOUT, RECON, TRANSFER
from services.reconciliation.domain.codes import Code
from services.reconciliation.domain.facts import Issue
from services.reconciliation.domain.issues import ClearIssue, OpenIssue
from services.review.domain.reasons import Reason
from services.transfer.domain.commands import ReportOverdue
from tests.integration.kernel.backends import make_topic
from tests.integration.review.world import PARTITIONS, World
from tests.unit.deposit_watcher import samples as d
from tests.unit.payout_orchestrator import samples as p
from tests.unit.transfer import samples as t

pytestmark = pytest.mark.timeout(120)
FAR = datetime(2100, 1, 1, tzinfo=UTC)
ROW = """INSERT INTO {table} VALUES ($1, $2, $3, $4, $5, $6, $7, NULL, 'corridor.x.y.v1', NULL, 'planted', '{{}}')"""


@pytest.fixture(scope="module")
def topics_made() -> set[str]:
    return set()


@pytest.fixture
async def world(database: str, broker: str, topics_made: set[str]) -> World:
    for topic in (DEPOSIT, PAYOUT, TRANSFER, RECON):
        if topic.name not in topics_made:
            await make_topic(broker, topic.name, PARTITIONS)
            topics_made.add(topic.name)
    return World(database, broker)


def of_route(route_id: UUID, *commands: Any) -> tuple[Any, ...]:
    """The samples' commands, on a route of this test's own."""
    own: dict[str, Any] = {"route_id": route_id}
    return tuple(
        replace(
            each, **own, **({"arrival_id": uuid4()} if hasattr(each, "arrival_id") else {}),
            **({"deadline": FAR} if hasattr(each, "deadline") else {}),
        )
        for each in commands
    )  # fmt: skip


def of_payout(payout_id: UUID, *commands: Any) -> tuple[Any, ...]:
    """The samples' commands, for a payout of this test's own."""
    return tuple(
        replace(each, payout_id=payout_id, **({"transfer_id": uuid4()} if hasattr(each, "transfer_id") else {}))
        for each in commands
    )


def of_transfer(transfer_id: UUID, *commands: Any) -> tuple[Any, ...]:
    """The samples' commands, for a transfer of this test's own."""
    opening = replace(t.OPEN, terms=replace(t.OPEN.terms, expires_at=FAR))
    return tuple(replace(opening if each is t.OPEN else each, transfer_id=transfer_id) for each in commands)


async def test_money_that_fits_nothing_waits_until_it_fits(world: World) -> None:
    route, other = uuid4(), uuid4()
    async with world.running():
        await world.say("deposit_watcher", route, *of_route(route, d.observe(1, d.gbp(60_00)), d.GRACE_OVER))
        await world.say("deposit_watcher", other, *of_route(other, d.EXPECT, d.observe(2, d.gbp(60_00))))
        unmatched = await world.item("unmatched_deposit", route)
        assert (unmatched["amount_minor"], unmatched["amount_decimal"], unmatched["currency"]) == (6000, "60.00", "GBP")
        assert (unmatched["transfer_id"], unmatched["service"]) == (None, "deposit_watcher")
        short = await world.item("deposit_mismatch", other)
        assert (short["transfer_id"], short["link"]) == (str(d.TRANSFER_ID), f"/v1/deposits/routes/{other}")
        await world.say("deposit_watcher", route, *of_route(route, d.EXPECT))
        await world.say("deposit_watcher", route, *of_route(route, d.observe(3, d.gbp(40_00))))
        await world.is_gone("unmatched_deposit", route)
        healed = await world.item("deposit_mismatch", route, "closed")
        assert healed["review_id"] == unmatched["review_id"]
        assert (await world.item("deposit_mismatch", other))["review_id"] == short["review_id"]


async def test_a_payout_waits_while_it_is_unknown_and_in_review_as_one_item(world: World) -> None:
    payout = uuid4()
    async with world.running():
        await world.say("payout_orchestrator", payout, *of_payout(payout, p.REQUEST, p.BEGIN, p.LOSE))
        unknown = await world.item("payout_unknown", payout)
        assert (unknown["amount_minor"], unknown["currency"], unknown["detail"]) == (
            2_000_000,
            "ETB",
            "dashen: no answer",
        )
        await world.say("payout_orchestrator", payout, *of_payout(payout, p.REFUSE_LATER))
        reviewed = await world.item("payout_in_review", payout)
        assert reviewed["review_id"] == unknown["review_id"]
        await world.is_gone("payout_unknown", payout)
        await world.say("payout_orchestrator", payout, *of_payout(payout, p.CONFIRM))
        await world.is_gone("payout_in_review", payout)
        await world.say("payout_orchestrator", payout, *of_payout(payout, p.OTHER_AMOUNT))
        contradicted = await world.item("payout_contradicted", payout)
        assert contradicted["link"] == f"/v1/payouts/{payout}"


async def test_an_item_that_was_open_at_the_start_is_closed_by_what_comes_after_it(world: World) -> None:
    payout = uuid4()
    async with world.running():
        await world.say("payout_orchestrator", payout, *of_payout(payout, p.REQUEST, p.BEGIN, p.LOSE))
        await world.item("payout_unknown", payout)
    await world.say("payout_orchestrator", payout, *of_payout(payout, p.ACCEPT))
    async with world.running():
        await world.is_gone("payout_unknown", payout)
        assert (await world.item("payout_unknown", payout, "closed"))["amount_minor"] == 2_000_000


async def test_a_transfer_that_waits_too_long_heals_and_late_money_stays(world: World) -> None:
    slow, late = uuid4(), uuid4()
    overdue = ReportOverdue(transfer_id=slow, wake="payout_overdue")
    async with world.running():
        await world.say("transfer", slow, *of_transfer(slow, t.OPEN, t.FUND, overdue))
        await world.say("transfer", late, *of_transfer(late, t.OPEN, t.CANCEL, t.FUND))
        waiting = await world.item("overdue_state", slow)
        assert (waiting["amount_minor"], waiting["currency"], waiting["link"]) == (
            10_020,
            "GBP",
            f"/v1/transfers/{slow}",
        )
        await world.say("transfer", slow, *of_transfer(slow, t.INITIATE))
        await world.is_gone("overdue_state", slow)
        assert (await world.item("late_funding", late))["amount_minor"] == 10_020


async def test_books_that_differ_wait_until_a_run_finds_them_equal(world: World) -> None:
    run, transfer = uuid4(), uuid4()
    issue = Issue(
        code=next(iter(Code)), subject=str(transfer), transfer_id=transfer, currency="GBP", expected_minor=10_020,
        actual_minor=10_000, details="planted",
    )  # fmt: skip
    async with world.running():
        await world.say("reconciliation", issue.issue_id, OpenIssue(run_id=run, issue=issue))
        item = await world.item("reconciliation_issue", run)
        assert (item["amount_minor"], item["currency"], item["transfer_id"]) == (20, "GBP", str(transfer))
        assert item["link"] == f"/v1/recon/runs/{run}/issues"
        await world.say("reconciliation", issue.issue_id, ClearIssue(run_id=uuid4(), issue_id=issue.issue_id))
        await world.item("reconciliation_issue", run, "closed")


async def test_an_event_that_we_cannot_read_waits_as_a_parked_stream_of_ours(world: World) -> None:
    transfer = uuid4()
    async with world.running():
        await world.say("transfer", transfer, *of_transfer(transfer, t.OPEN, t.CANCEL, t.FUND))
        await world.item("late_funding", transfer)
        await publish_poison(world, transfer)
        parked = await world.item("parked_stream", transfer)
        assert (parked["service"], parked["amount_minor"]) == ("review", None)
        assert parked["detail"].startswith("review.transfer_items.v1: ")
        answer = await world.get(f"/v1/reviews/{parked['review_id']}")
        assert (answer.status, json.loads(answer.body)["facts"]["count"]) == (200, 1)
    await world.execute("UPDATE review.parked_event SET resolved_at = now()")


async def publish_poison(world: World, transfer_id: UUID) -> None:
    """The next event of the stream, with a content that is none."""
    (row,) = await world.execute(
        "SELECT version, hash FROM transfer.event WHERE stream_id = $1 ORDER BY version DESC LIMIT 1", transfer_id
    )
    at = datetime.now(UTC).isoformat()
    headers = {
        "ce_specversion": "1.0", "ce_id": str(uuid4()), "ce_source": "/corridor/transfer",
        "ce_type": "corridor.transfer.overdue.v1", "ce_subject": str(transfer_id), "ce_time": at,
        "ce_streamversion": str(row[0] + 1), "ce_schemaversion": "1", "ce_globalseq": "99999",
        "ce_correlationid": str(transfer_id), "ce_tenant": "corridor", "ce_prevhash": row[1].hex(),
        "ce_hash": "00" * 32, "ce_epoch": "1", "ce_actor": "tester", "content-type": "application/json",
    }  # fmt: skip
    producer = AIOKafkaProducer(bootstrap_servers=world.bootstrap)
    await producer.start()
    await producer.send_and_wait(
        TRANSFER.name, b"{not json", key=str(transfer_id).encode(),
        headers=[(name, text.encode()) for name, text in headers.items()],
    )  # fmt: skip
    await producer.stop()


async def test_what_other_services_have_parked_is_in_the_queue_and_who_is_away_is_named(world: World) -> None:
    stream = uuid4()
    world.owners.answers["ledger", "/internal/parked?limit=500"] = {
        "items": [
            {
                "service": "ledger", "consumer": "ledger", "topic": "corridor.payout.events.v1",
                "stream_id": str(stream), "event_type": "corridor.payout.confirmed.v1", "error": "Gap",
                "fingerprint": "ab" * 8, "count": 3, "parked_at": "2026-01-01T00:00:00Z",
            }
        ]
    }  # fmt: skip
    world.owners.away = {"quote", "payout_orchestrator"}
    async with world.running():
        shown = await world.queue("limit=1")
        assert shown["incomplete"] == ["quote", "payout_orchestrator"]
        (parked,) = shown["items"]
        assert (parked["reason"], parked["service"]) == ("parked_stream", "ledger")
        assert (parked["link"], parked["opened_at"]) == (f"/v1/payouts/{stream}", "2026-01-01T00:00:00Z")
        assert "3 records wait" in parked["detail"]
        assert shown["counts"]["parked_stream"] == 1
        assert set(shown["counts"]) == set(Reason)


async def test_pages_show_every_item_once_however_many_share_an_instant(world: World) -> None:
    at = datetime(2020, 1, 1, tzinfo=UTC)
    planted = [uuid4() for _ in range(23)]
    for number, item_id in enumerate(planted):
        table = ("deposit_items_v1", "payout_items_v1", "transfer_items_v1")[number % 3]
        instant = at + timedelta(microseconds=number // 10)
        row = (item_id, "payout_unknown", uuid4(), uuid4(), 7, "JPY", instant)
        await world.execute(ROW.format(table=f"review.{table}"), *row)
    async with world.running():
        seen, cursor = [], ""
        while True:
            shown = await world.queue(f"currency=JPY&limit=4{f'&cursor={cursor}' if cursor else ''}")
            seen += [(datetime.fromisoformat(item["opened_at"]), item["review_id"]) for item in shown["items"]]
            cursor = shown["next_cursor"]
            if not cursor:
                break
        assert len(seen) == len(set(seen)) == 23
        assert seen == sorted(seen)
        assert shown["totals"] == [{"currency": "JPY", "amount_minor": 161, "amount_decimal": "161"}]
        assert shown["counts"]["payout_unknown"] == 23


async def test_the_money_of_a_transfer_counts_once_in_each_currency(world: World) -> None:
    transfer, at = uuid4(), datetime.now(UTC)
    for table, minor in (("transfer_items_v1", 500), ("payout_items_v1", 700)):
        row = (uuid4(), "overdue_state", uuid4(), transfer, minor, "KWD", at)
        await world.execute(ROW.format(table=f"review.{table}"), *row)
    async with world.running():
        shown = await world.queue("currency=KWD")
        assert len(shown["items"]) == 2
        assert shown["totals"] == [{"currency": "KWD", "amount_minor": 700, "amount_decimal": "0.700"}]
        assert shown["incomplete"] == []


@pytest.mark.parametrize(
    ("query", "status"),
    [("reason=nothing", 400), ("state=all", 400), ("limit=0", 400), ("cursor=abc", 400), ("other=1", 400)],
)
async def test_a_question_that_is_none_is_refused(world: World, query: str, status: int) -> None:
    async with world.running():
        assert (await world.get("/v1/reviews", query)).status == status


async def test_only_staff_of_the_installation_may_look(world: World) -> None:
    async with world.running():
        for bearer in (world.bearer("customer"), world.bearer("operator", tenant="another")):
            for path in ("/v1/reviews", f"/v1/reviews/{uuid4()}", f"/v1/reviews/transfers/{uuid4()}/timeline"):
                assert (await world.get(path, bearer=bearer)).status == 403
        assert (await world.get("/v1/reviews", bearer=world.bearer("admin"))).status == 200


async def test_an_item_says_what_to_do_and_tells_the_story_of_its_transfer(world: World) -> None:
    transfer = uuid4()
    async with world.running():
        await world.say("transfer", transfer, *of_transfer(transfer, t.OPEN, t.CANCEL, t.FUND))
        item = await world.item("late_funding", transfer)
        event = {
            "stream_id": str(transfer), "type": "corridor.transfer.opened.v1", "version": 1,
            "at": "2026-01-01T00:00:00Z", "from": None, "to": "AWAITING_FUNDING", "actor": "x", "reason": None,
        }  # fmt: skip
        world.owners.answers["transfer", f"/v1/transfers/{transfer}/timeline"] = {"events": [event]}
        world.owners.away = {"ledger"}
        whole = json.loads((await world.get(f"/v1/reviews/{item['review_id']}")).body)
        assert f"GET /v1/transfers/{transfer}" in whole["what_to_do"]
        assert (whole["state"], whole["subject_id"], whole["incomplete"]) == ("open", str(transfer), ["ledger"])
        assert [entry["type"] for entry in whole["timeline"]] == ["corridor.transfer.opened.v1"]
        assert whole["facts"]["received"] == {"minor": 10_020, "currency": "GBP"}


async def test_what_does_not_exist_is_not_found(world: World) -> None:
    async with world.running():
        assert (await world.get(f"/v1/reviews/{uuid4()}")).status == 404
        assert (await world.get(f"/v1/reviews/transfers/{uuid4()}/timeline")).status == 404


async def test_the_role_of_the_service_may_change_its_tables_and_the_on_call_only_look(world: World) -> None:
    await world.execute("SELECT count(*) FROM review.review_item", role="corridor_oncall")
    with pytest.raises(asyncpg.InsufficientPrivilegeError):
        await world.execute("DELETE FROM review.payout_items_v1", role="corridor_oncall")
    await world.execute("UPDATE review.payout_items_v1 SET detail = detail WHERE false", role="corridor_review")
    await world.execute("SELECT count(*) FROM review.review_item", role="corridor_review")
