"""ops-cli past HTTP: its answers, its exit codes, and what a program reads of it."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from typing import Any

import pytest

from contracts import topics
from services.kernel.operations import operating
from services.ops_cli.app import run
from tests.integration.kernel.backends import make_topic
from tests.support.town import PARTITIONS, TERMS, Town, town, wrong

pytestmark = pytest.mark.timeout(240)


@pytest.fixture
async def place(new_database: Callable[[], str], broker: str, monkeypatch: pytest.MonkeyPatch) -> AsyncIterator[Town]:
    await make_topic(broker, topics.QUOTE.name, PARTITIONS, fresh=True)
    async with town(new_database(), broker) as found:
        monkeypatch.setenv("OPS_BASE_URL", "http://127.0.0.1:1")
        monkeypatch.setenv("OPS_OPERATIONS_DATABASE_URL", found.operations)
        monkeypatch.setenv("OPS_KAFKA_BOOTSTRAP_SERVERS", broker)
        yield found


class Cli:
    def __init__(self, capsys: pytest.CaptureFixture[str]) -> None:
        self._capsys = capsys
        self.err = ""

    async def __call__(self, *argv: str) -> tuple[int, Any]:
        """The exit code, and the JSON on stdout."""
        self._capsys.readouterr()
        code = await asyncio.to_thread(run, [*argv, "--json"])
        out, self.err = self._capsys.readouterr()
        assert code not in {1, 2}, self.err
        return code, json.loads(out) if out.strip() else None


@pytest.fixture
def cli(capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(capsys)


async def test_a_wrong_table_is_told_and_made_right(place: Town, cli: Cli) -> None:
    made = await place.create(100)
    await place.publish()
    async with place.process(wrong(TERMS)):
        await place.caught_up(1)
    bad = sum(1 for each in made if each.int % 4 == 0)
    code, found = await cli("projection", "verify", "quote_terms")
    assert (code, found["right"], found["version"], found["rows"]) == (6, False, 1, 100)
    assert found["differences"]["topic"]["changed"] == found["differences"]["store"]["changed"] == bad
    code, found = await cli("projection", "rebuild", "transfer.quote_terms")
    assert (code, found["version"], found["previous"], found["followed"]) == (0, 2, 1, False)
    lines = [json.loads(line) for line in cli.err.splitlines()]
    assert {"fold", "swap"} <= {line["phase"] for line in lines}
    assert all(line["done"] <= line["total"] for line in lines)
    assert (await cli("projection", "verify", "quote_terms", "--source", "topic"))[0] == 0


async def test_each_way_to_end_has_its_code(place: Town, cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    await place.create(3)
    await place.publish()
    assert (await cli("projection", "rebuild", "nothing"))[0] == 5
    async with operating(place.operations, "transfer") as other:
        await other.exclusively("quote_terms")
        assert (await cli("projection", "rebuild", "quote_terms"))[0] == 3
    assert (await cli("projection", "rebuild", "quote_terms", "--to-version", "9", "--yes"))[0] == 5
    assert (await cli("projection", "rebuild", "quote_terms", "--dry-run"))[0] == 0
    assert await place.status() == {1: "live"}
    assert (await cli("projection", "verify", "profiles"))[0] == 5  # its topic is not there
    monkeypatch.setenv("OPS_OPERATIONS_DATABASE_URL", "postgresql://nobody@127.0.0.1:1/corridor")
    assert (await cli("projection", "rebuild", "quote_terms"))[0] == 10
    monkeypatch.delenv("OPS_OPERATIONS_DATABASE_URL")
    assert (await cli("projection", "rebuild", "quote_terms"))[0] == 3


async def test_events_are_found_and_one_that_was_altered_is_told(place: Town, cli: Cli) -> None:
    made = await place.create(5)
    await place.accept(made[:1])
    await place.publish()
    code, found = await cli("event", "verify", "--service", "quote")
    assert (code, found["right"]) == (0, True)
    assert found["services"][0]["counts"] == {"records": 6, "streams": 5, "events": 6}
    assert (await cli("event", "verify", "--from-topic", "--service", "quote"))[0] == 0
    _, listed = await cli("event", "list", "--stream", str(made[0]))
    assert [item["type"] for item in listed["items"]] == ["corridor.quote.created.v1", "corridor.quote.accepted.v1"]
    for asked, count in (
        (("--type", "quote.accepted"), 1), (("--type", "quote.*"), 6), (("--type", "quote_accepted"), 0),
        (("--correlation", str(made[1])), 1), (("--since", "-1h"), 6), (("--until", "-1h"), 0), (("--limit", "2"), 2),
    ):  # fmt: skip
        _, some = await cli("event", "list", "--service", "quote", *asked)
        assert len(some["items"]) == count, asked
    event = listed["items"][1]
    assert (await cli("event", "get", event["event_id"]))[1] == event
    assert (await cli("event", "get", str(made[0])))[0] == 5
    alter = "UPDATE event SET occurred_at = now() WHERE version = 2"
    await place.fetch(f"DO $$ BEGIN SET session_replication_role = replica; {alter}; END $$", schema="quote")
    code, found = await cli("event", "verify", "--service", "quote")
    assert (code, found["services"][0]["wrong"]["wrong_hash"]) == (6, 1)
    assert str(made[0]) in found["services"][0]["examples"][-1]["where"]


async def test_topics_are_made_and_consumers_are_behind_by_records_and_seconds(place: Town, cli: Cli) -> None:
    code, found = await cli("topic", "list")
    assert code == 6
    assert {item["topic"]: item["status"] for item in found["items"]}[topics.TRANSFER.name] == "is missing"
    code, found = await cli("topic", "ensure")
    assert code == 0
    assert topics.TRANSFER.name in found["made"]
    assert (await cli("topic", "ensure"))[1]["made"] == []
    code, found = await cli("topic", "list")
    assert code == 0
    assert {item["partitions"] for item in found["items"]} == {PARTITIONS}
    async with place.process():
        await place.create(10)
        await place.publish()
        await place.caught_up(1)
    await place.create(7)
    await place.publish()
    code, found = await cli("group", "lag")
    assert code == 0, cli.err
    (item,) = found["items"]
    assert (item["consumer"], item["lag_records"]) == ("transfer.quote_terms.v1", 7)
    assert 0 < item["lag_seconds"] < 200
    _, listed = await cli("projection", "list")
    behind = {item["projection"]: item["lag_records"] for item in listed["items"]}
    assert behind["quote_terms"] == 7
