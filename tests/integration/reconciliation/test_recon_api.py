"""The runs over HTTP: who may, with what reason, once for each key, one at a time; pages, CSV, the trail."""

from __future__ import annotations

import asyncio
import csv
import io
import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from typing import Any
from uuid import UUID, uuid4

from services.kernel import metrics
from services.kernel.cursors import Cursors
from services.kernel.http import create_app
from services.kernel.settings import Kernel, load
from services.kernel.tokens import Principal, Tokens
from services.reconciliation.adapters import gauges
from services.reconciliation.api import runs as api
from tests.integration.reconciliation.books import World
from tests.support.fakes import until
from tests.unit.kernel.door import Answer, send

SETTINGS = load(
    Kernel,
    "reconciliation",
    {
        "ENV": "test", "DATABASE_URL": "postgresql://a:b@c/d", "KAFKA_BOOTSTRAP_SERVERS": "k:1",
        "JWT_SECRET": "0f9d1c3b5a7e88420f9d1c3b5a7e8842",
    },
)  # fmt: skip
TOKENS = Tokens.from_settings(SETTINGS)
OLGA = UUID(int=77)
REASON = {"reason": "daily reconciliation"}


class Door:
    """The service's HTTP, asked by somebody."""

    def __init__(self, app: Any) -> None:
        self._app = app

    async def ask(
        self, method: str, path: str, body: Any = None, *, role: str = "operator", who: UUID = OLGA,
        key: str | None = None, accept: str = "*/*", query: str = "",
    ) -> Answer:  # fmt: skip
        token = TOKENS.issue(Principal(who, "corridor", frozenset({role})), 60)
        headers = [("content-type", "application/json"), ("authorization", f"Bearer {token}"), ("accept", accept)]
        if method == "POST":
            headers.append(("idempotency-key", key or str(uuid4())))
        content = b"" if body is None else json.dumps(body).encode()
        return await send(self._app, method, path, content, headers, query=query)

    async def post(self, body: Any = REASON, **options: Any) -> Answer:
        return await self.ask("POST", "/v1/recon/runs", body, **options)


@asynccontextmanager
async def door(world: World) -> AsyncIterator[Door]:
    async with world.conductor() as (conductor, commands, reads):
        runs = api.Runs(conductor, commands, reads, Cursors.from_settings(SETTINGS))
        yield Door(create_app(SETTINGS, [api.routes(runs, TOKENS, "corridor")]))


async def trail(world: World) -> list[tuple[Any, ...]]:
    rows = await world.sql(
        "SELECT event_type, d ->> 'code', d ->> 'requested_by', d ->> 'reason' FROM event, "
        "LATERAL (SELECT convert_from(data, 'UTF8')::jsonb AS d) AS read WHERE recorded_at >= $1 ORDER BY global_seq",
        world.now,
    )
    return [(row[0].split(".")[2], *row[1:]) for row in rows]


async def test_a_short_run_is_answered_when_it_is_done(world: World) -> None:
    await world.paid_out(3)
    async with door(world) as ops:
        done = await ops.post()
        assert done.status == 201
        told = done.json
        assert (told["status"], told["transfers"], told["issues_opened"], told["issues_open"]) == ("completed", 3, 0, 0)
        assert (told["reason"], told["actor"], told["issues_by_code"]) == ("daily reconciliation", str(OLGA), {})
        assert {"watermark", "started_at", "completed_at", "run_id", "totals", "error"} <= told.keys()
        assert (await ops.ask("GET", f"/v1/recon/runs/{told['run_id']}")).json == told


async def test_the_same_key_is_the_same_run_and_another_body_a_conflict(world: World) -> None:
    async with door(world) as ops:
        first, again = await ops.post(key="k-1"), await ops.post(key="k-1")
        assert (first.status, again.status) == (201, 201)
        assert first.json == again.json
        assert again.headers["idempotency-replayed"] == "true"
        other = await ops.post({"reason": "another reason altogether"}, key="k-1")
        assert (other.status, other.json["code"]) == (409, "IDEMPOTENCY_CONFLICT")
    assert len(await world.sql("SELECT 1 FROM reconciliation_run")) == 1


async def test_a_reason_is_needed_and_more_than_blanks(world: World) -> None:
    async with door(world) as ops:
        for body in ({}, {"reason": ""}, {"reason": "  1234567  "}):
            refused = await ops.post(body)
            assert (refused.status, refused.json["code"]) == (400, "REASON_REQUIRED")
        assert (await ops.post({"reason": "12345678"})).status == 201
        assert (await ops.post({"reason": 12345678})).status == 422
    assert len(await world.sql("SELECT 1 FROM reconciliation_run")) == 1


async def test_customers_may_not_and_that_they_tried_is_kept(world: World) -> None:
    async with door(world) as ops:
        for method, path in (("GET", "runs"), ("GET", "issues"), ("GET", f"runs/{uuid4()}"), ("POST", "runs")):
            body = REASON if method == "POST" else None
            assert (await ops.ask(method, f"/v1/recon/{path}", body, role="customer")).status == 403
        assert (await ops.post(role="admin")).status == 201
    assert (await trail(world))[0] == ("run_refused", "FORBIDDEN", str(OLGA), "daily reconciliation")


async def test_a_second_run_is_refused_while_one_is_under_way_and_kept_on_the_trail(world: World) -> None:
    reached, go_on = asyncio.Event(), asyncio.Event()

    async def hold() -> None:
        reached.set()
        await go_on.wait()

    world.book.hold = hold
    async with door(world) as ops:
        first = asyncio.create_task(ops.post(key="first"))
        await reached.wait()
        second = await ops.post()
        assert (second.status, second.json["code"], second.headers["retry-after"]) == (409, "RUN_UNDER_WAY", "10")
        same = asyncio.create_task(ops.post(key="first"))
        shown = (await ops.ask("GET", "/v1/recon/runs")).json["items"]
        assert [run["status"] for run in shown] == ["running"]
        go_on.set()
        assert ((await first).status, (await same).status) == (201, 201)
        assert (await first).json == (await same).json
    kinds = [(kind, code) for kind, code, _, _ in await trail(world)]
    assert ("run_refused", "RUN_UNDER_WAY") in kinds
    assert [kind for kind, _ in kinds].count("run_started") == 1


async def test_a_long_run_is_accepted_and_asked_for_later(world: World, monkeypatch: Any) -> None:
    monkeypatch.setattr(api, "WAIT_SECONDS", 0.05)
    go_on = asyncio.Event()
    world.book.hold = go_on.wait
    async with door(world) as ops:
        begun = await ops.post()
        assert (begun.status, begun.json["status"], begun.json["completed_at"]) == (202, "running", None)
        go_on.set()
        path = f"/v1/recon/runs/{begun.json['run_id']}"

        async def completed() -> bool:
            return bool((await ops.ask("GET", path)).json["status"] == "completed")

        await until(completed)


async def test_a_failed_run_is_told_as_failed(world: World) -> None:
    world.book.away = True
    async with door(world) as ops:
        told = (await ops.post()).json
        assert (told["status"], told["error"], told["issues_by_code"]) == ("failed", "BookUnavailable: HTTP 503", {})


async def test_issues_come_in_pages_and_as_csv(world: World) -> None:
    await world.paid_out(5)
    world.book.paid.clear()
    async with door(world) as ops:
        run = (await ops.post()).json
        assert run["issues_by_code"] == {"PROVIDER_MISSING": 5}
        path, seen, cursor = f"/v1/recon/runs/{run['run_id']}/issues", [], ""
        page: dict[str, Any] = {}
        for _ in range(3):
            page = (await ops.ask("GET", path, query=f"limit=2{cursor}")).json
            seen += page["items"]
            cursor = f"&cursor={page['next_cursor']}"
        assert page["next_cursor"] is None
        assert len({issue["issue_id"] for issue in seen}) == 5
        assert {(issue["code"], issue["state"], issue["expected_minor"]) for issue in seen} == {
            ("PROVIDER_MISSING", "open", 19_999_53)
        }
        sheet = await ops.ask("GET", path, accept="text/csv", query="limit=3")
        lines = list(csv.DictReader(io.StringIO(sheet.body.decode())))
        assert sheet.headers["content-type"].startswith("text/csv")
        assert [line["issue_id"] for line in lines] == [issue["issue_id"] for issue in seen[:3]]
        rest = await ops.ask("GET", path, accept="text/csv", query=f"limit=3&cursor={sheet.headers['x-next-cursor']}")
        assert rest.body.count(b"\n") == 3
        assert "x-next-cursor" not in rest.headers
        assert len((await ops.ask("GET", "/v1/recon/issues", query="state=open")).json["items"]) == 5
        assert (await ops.ask("GET", "/v1/recon/issues", query="state=cleared")).json["items"] == []
        assert (await ops.ask("GET", "/v1/recon/issues", query="state=lost")).status == 400


async def test_an_older_run_shows_what_was_open_at_its_end(world: World) -> None:
    await world.paid_out(1)
    kept = dict(world.book.paid)
    world.book.paid.clear()
    async with door(world) as ops:
        broken = (await ops.post()).json["run_id"]
        world.book.paid = kept
        healed = (await ops.post()).json
        assert (healed["issues_cleared"], healed["issues_open"]) == (1, 0)
        assert len((await ops.ask("GET", f"/v1/recon/runs/{broken}/issues")).json["items"]) == 1
        assert (await ops.ask("GET", f"/v1/recon/runs/{healed['run_id']}/issues")).json["items"] == []
        runs = (await ops.ask("GET", "/v1/recon/runs", query="limit=1")).json
        assert [run["run_id"] for run in runs["items"]] == [healed["run_id"]]
        older = (await ops.ask("GET", "/v1/recon/runs", query=f"limit=1&cursor={runs['next_cursor']}")).json
        assert [run["run_id"] for run in older["items"]] == [broken]


async def test_what_is_open_is_a_metric(world: World) -> None:
    await world.paid_out(2)
    world.book.paid.clear()
    async with world.conductor() as (_, _, reads), door(world) as ops:
        gauges.show(reads)
        assert sample(await metrics.scraped(), "corridor_recon_last_completed_run_timestamp_seconds") == 0
        assert (await ops.post()).json["issues_open"] == 2
        text = await metrics.scraped()
    assert sample(text, "corridor_recon_open_issues") == 2
    assert abs(sample(text, "corridor_recon_last_completed_run_timestamp_seconds") - world.now.timestamp()) < 60


def sample(exposition: bytes, name: str) -> float:
    """The value of a series without labels."""
    return float(next(line for line in exposition.decode().splitlines() if line.startswith(f"{name} ")).split()[1])


async def test_no_run_is_not_found(world: World) -> None:
    async with door(world) as ops:
        for path in (f"/v1/recon/runs/{uuid4()}", f"/v1/recon/runs/{uuid4()}/issues", "/v1/recon/runs/nothing"):
            assert (await ops.ask("GET", path)).status == 404


def test_a_cell_that_a_spreadsheet_would_compute_is_quoted() -> None:
    item = dict.fromkeys(api.CSV_COLUMNS, None) | {"details": '=HYPERLINK("x")\n+1', "expected_minor": -5}
    line = next(csv.DictReader(io.StringIO(api.csv_of([item]))))
    assert (line["details"], line["expected_minor"]) == ('\'=HYPERLINK("x") +1', "-5")
