"""What became of a request key, how another request differed, and what is parked: asked by services of ours alone."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from dataclasses import dataclass
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import asyncpg
import pytest

from services.kernel import expiry
from services.kernel.decider import Ask, RequestKey, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.kernel.fingerprint import fingerprint
from services.kernel.http import App, create_app
from services.kernel.idempotency import item_key
from services.kernel.ids import new_id
from services.kernel.internal import lookup_routes
from services.kernel.settings import Kernel, load
from services.kernel.strict_json import canonical
from services.kernel.tokens import Principal, ServiceTokens, Tokens
from tests.support.builders import JAR, META, TENANT, TOPIC, AddOnce
from tests.unit.kernel.door import Answer, send

ANNA, BERT = "anna", "bert"
EMPTY = """SET session_replication_role = replica;
           TRUNCATE event, stream_state, claim, outbox, side_effect, request_key, request_conflict, parked_event,
           outbox_stuck"""
PARKED = """
    INSERT INTO parked_event (consumer, topic, partition, "offset", stream_id, version, event_type, error, fingerprint,
                              headers, value, parked_at, resolved_at)
    VALUES ($1, 'corridor.x.events.v1', 0, $2::int, $3, $2::int, $4, $5, $6, '', 'a secret',
            now() + $2::int * interval '1 s', $7)"""


@dataclass
class Quote:
    """The schema of a service, through its engine, its administrator and its door."""

    engine: Engine
    owner: asyncpg.Connection[Any]
    app: App
    settings: Kernel

    async def ask(self, body: dict[str, Any], key: str = "k", principal: str = ANNA, *, bulk: int | None = None) -> Any:
        made = fingerprint("POST", "/v1/jars", key, canonical(json.dumps(body).encode()))
        request = RequestKey(TENANT, principal, key, made)
        request = request if bulk is None else item_key(request, bulk)
        unit = Unit((Ask(uuid4(), AddOnce(1)),), META, request, answer=lambda _: (201, b'{"name":{"box":"c2VhbGVk"}}'))
        return (await self.engine.run(Units([unit])))[0]

    async def get(self, path: str, tokens: type[Tokens] = ServiceTokens, role: str = "service", **query: Any) -> Answer:
        principal = Principal(UUID(int=5), TENANT, frozenset({role}))
        token = tokens.from_settings(self.settings).issue(principal, 600)
        headers = [("authorization", f"Bearer {token}")]
        return await send(self.app, "GET", f"/internal/{path}", headers=headers, query=urlencode(query))

    async def keys(self, **query: Any) -> list[dict[str, Any]]:
        answer = await self.get("idempotency-keys", **query)
        assert answer.status == 200, answer.body
        items: list[dict[str, Any]] = answer.json["items"]
        return items


@pytest.fixture
async def quote(database: str) -> AsyncIterator[Quote]:
    owner = await asyncpg.connect(database, server_settings={"search_path": "quote"})
    await owner.execute(EMPTY)
    connect = connector(database, "quote", "test")

    async def as_quote() -> Any:
        session = await connect()
        await session.execute("SET SESSION AUTHORIZATION corridor_quote")
        return session

    store = PostgresStore(as_quote)
    environ = {"ENV": "test", "DATABASE_URL": database, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
               "JWT_SECRET": "0f9d1c3b5a7e88420f9d1c3b5a7e8842"}  # fmt: skip
    settings = load(Kernel, "quote", environ)
    app = create_app(settings, [lookup_routes(settings, store)])
    yield Quote(Engine(store, (JAR,), TOPIC, new_id), owner, app, settings)
    await store.drop()
    await owner.close()


async def test_a_key_shows_its_answer_and_its_request_in_digests(quote: Quote) -> None:
    await quote.ask({"send_minor": 100, "account": "GB29NWBK60161331926819"})
    (found,) = await quote.keys(key="k")
    assert (found["service"], found["tenant"], found["principal"], found["key"]) == ("quote", TENANT, ANNA, "k")
    assert (found["status"], found["answer"], found["item"]) == (201, {"name": {"box": "c2VhbGVk"}}, None)
    assert (found["request"]["method"], found["request"]["route"]) == ("POST", "/v1/jars")
    assert found["request"]["fields"].keys() == {"send_minor", "account"}
    assert found["request"]["fingerprint"] == found["fingerprint"]
    assert len(found["fingerprint"]) == 64
    assert found["conflict"] is None
    assert found["created_at"] < found["expires_at"]
    assert "GB29" not in str(found)


async def test_another_request_is_refused_with_names_and_its_digests_are_kept_once(quote: Quote) -> None:
    await quote.ask({"send_minor": 100, "corridor": "GB-ET"})
    for minor in (101, 102, 103):
        outcome = await quote.ask({"send_minor": minor, "corridor": "GB-ET"})
        assert (
            outcome.refusal.detail == "This Idempotency-Key was used for another request. They differ in: send_minor."
        )
    (found,) = await quote.keys(key="k")
    conflict = found["conflict"]
    assert (conflict["differs_in"], conflict["times"]) == (["send_minor"], 3)
    first, last = found["request"]["fields"], conflict["request"]["fields"]
    assert first["corridor"] == last["corridor"]
    assert first["send_minor"] != last["send_minor"]
    assert await quote.owner.fetchval("SELECT count(*) FROM request_conflict") == 1
    assert (await quote.ask({"send_minor": 100, "corridor": "GB-ET"})).replayed


async def test_keys_are_told_apart_by_principal_and_a_bulk_request_has_one_for_each_item(quote: Quote) -> None:
    for principal in (ANNA, BERT):
        await quote.ask({"a": 1}, principal=principal)
    for index in (10, 2, 0):
        await quote.ask({"a": 1}, "bulk", bulk=index)
    assert [each["principal"] for each in await quote.keys(key="k")] == [ANNA, BERT]
    assert [each["principal"] for each in await quote.keys(key="k", principal=BERT)] == [BERT]
    assert [(each["key"], each["item"]) for each in await quote.keys(key="bulk")] == [
        ("bulk", 0),
        ("bulk", 2),
        ("bulk", 10),
    ]
    assert len(await quote.keys(key="bulk", limit=2)) == 2
    assert await quote.keys(key="nobody's") == []


async def test_a_conflict_is_forgotten_when_its_key_is(quote: Quote) -> None:
    await quote.ask({"a": 1})
    await quote.ask({"a": 2})
    await expiry.delete_expired(quote.engine.store)  # type: ignore[arg-type]
    assert await quote.owner.fetchval("SELECT count(*) FROM request_conflict") == 1
    await quote.owner.execute("UPDATE request_conflict SET last_at = now() - interval '8 days'")
    await expiry.delete_expired(quote.engine.store)  # type: ignore[arg-type]
    assert await quote.owner.fetchval("SELECT count(*) FROM request_conflict") == 0
    assert len(await quote.keys(key="k")) == 1


async def test_parked_streams_are_told_oldest_first_without_what_they_hold(quote: Quote) -> None:
    one, two = uuid4(), uuid4()
    for values in (
        ("quote", 5, one, "corridor.x.a.v1", "KeyError: 'a secret'", "f1", None),
        ("quote", 6, one, "corridor.x.b.v1", "behind: KeyError", "f2", None),
        ("quote", 3, two, "corridor.x.a.v1", "services.x.Odd: a secret", "f1", None),
        ("quote", 7, None, None, "DecodeError: a secret", "f3", None),
        ("quote", 8, None, None, "DecodeError: another", "f3", None),
        ("quote", 1, uuid4(), "corridor.x.a.v1", "KeyError", "f1", await quote.owner.fetchval("SELECT now()")),
    ):
        await quote.owner.execute(PARKED, *values)
    answer = await quote.get("parked")
    assert b"secret" not in answer.body
    items = answer.json["items"]
    told = ("stream_id", "event_type", "error", "fingerprint", "count")
    assert [tuple(each[name] for name in told) for each in items] == [
        (str(two), "corridor.x.a.v1", "services.x.Odd", "f1", 1),
        (str(one), "corridor.x.a.v1", "KeyError", "f1", 2),
        (None, None, "DecodeError", "f3", 2),
    ]  # fmt: skip
    assert {each["service"] for each in items} == {"quote"}
    assert items[0]["parked_at"] < items[1]["parked_at"]
    assert len((await quote.get("parked", limit=1)).json["items"]) == 1


async def test_streams_that_no_broker_takes_wait_with_those_that_a_consumer_parked(quote: Quote) -> None:
    await quote.ask({"a": 1})
    await quote.ask({"a": 1}, "other")
    stuck = "INSERT INTO outbox_stuck SELECT global_seq, 'corridor.quote.events.v1', now() FROM event RETURNING 1"
    assert len(await quote.owner.fetch(stuck)) == 2
    await quote.owner.execute(PARKED, "quote", 5, uuid4(), "corridor.x.a.v1", "KeyError", "f1", None)
    first = await quote.owner.fetchrow("SELECT stream_id, event_type FROM event ORDER BY global_seq LIMIT 1")
    assert first is not None
    answer = await quote.get("parked")
    assert [each["consumer"] for each in answer.json["items"]] == ["relay", "relay", "quote"]
    (found,) = (each for each in answer.json["items"] if each["stream_id"] == str(first[0]))
    assert (found["topic"], found["event_type"], found["count"]) == ("corridor.quote.events.v1", first[1], 1)
    assert found["error"] == "Unpublishable"


@pytest.mark.parametrize("path", ["idempotency-keys", "parked"])
@pytest.mark.parametrize(("tokens", "role"), [(Tokens, "admin"), (Tokens, "service"), (ServiceTokens, "customer")])
async def test_nobody_but_a_service_asks(quote: Quote, path: str, tokens: type[Tokens], role: str) -> None:
    assert (await quote.get(path, tokens, role, key="k")).status in {401, 403}


@pytest.mark.parametrize(
    "query", [{}, {"key": ""}, {"key": "k" * 256}, {"key": "k", "limit": 502}, {"key": "k", "x": 1}]
)
async def test_what_cannot_be_looked_up_is_said(quote: Quote, query: dict[str, Any]) -> None:
    answer = await quote.get("idempotency-keys", **query)
    assert (answer.status, answer.json["code"]) == (400, "INVALID_QUERY")
