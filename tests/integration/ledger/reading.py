"""The ledger's reads over a schema of its own, with entries that the engine has posted."""

from __future__ import annotations

from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from urllib.parse import urlencode
from uuid import UUID, uuid4

import asyncpg

from contracts.ledger.v1 import Posting, Side
from services.kernel.cursors import Cursors
from services.kernel.decider import Ask, Meta, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.kernel.http import App, create_app
from services.kernel.ids import new_id
from services.kernel.internal import Callers
from services.kernel.money import Money, iso4217
from services.kernel.settings import Kernel, load
from services.kernel.tokens import Principal, Tokens
from services.ledger import api
from services.ledger.__main__ import service
from services.ledger.api import lists
from services.ledger.domain.entries import PostEntry
from tests.unit.kernel.door import Answer, send

TENANT = "main"
PEOPLE = {
    "olga": Principal(UUID(int=73), TENANT, frozenset({"operator"})),
    "adam": Principal(UUID(int=74), TENANT, frozenset({"admin"})),
    "anna": Principal(UUID(int=71), TENANT, frozenset({"customer"})),
}
BANK, SUSPENSE, FX = "safeguarding:bank:GBP", "suspense:deposits:GBP", "fx_position:GBP"
HELD, AVAILABLE = "customer:c:held:GBP", "customer:c:available:GBP"
CAUSED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)


def settings_of(dsn: str) -> Kernel:
    environ = {"ENV": "test", "DATABASE_URL": dsn, "KAFKA_BOOTSTRAP_SERVERS": "127.0.0.1:1",
               "JWT_SECRET": "0f9d1c3b5a7e88420f9d1c3b5a7e8842"}  # fmt: skip
    return load(Kernel, "ledger", environ)


def line(side: Side, account: str, minor: int) -> Posting:
    return Posting(account=account, side=side, amount=Money(minor, iso4217(account[-3:])))


def deposit(minor: int) -> tuple[Posting, ...]:
    return line("debit", BANK, minor), line("credit", SUSPENSE, minor)


def funded(customer: str, minor: int, side: str = "held") -> tuple[Posting, ...]:
    return line("debit", SUSPENSE, minor), line("credit", f"customer:{customer}:{side}:GBP", minor)


def lines_of(move: str, minor: int) -> tuple[Posting, ...]:
    match move:
        case "deposit":
            return deposit(minor)
        case "use":
            return line("debit", FX, minor), line("credit", BANK, minor)
        case "many":  # one account four times in an entry
            return (*deposit(minor), *deposit(minor + 1), line("credit", BANK, 1), line("debit", BANK, 1))
        case _:
            return funded("c", minor, move)


@dataclass
class Desk:
    """The service's HTTP over a schema, and what is posted in it."""

    store: PostgresStore
    engine: Engine
    app: App
    books: lists.Books
    settings: Kernel

    async def post(
        self, *postings: Sequence[Posting], kind: str = "deposit.observed", cause: UUID | None = None,
        transfer: UUID | None = None,
    ) -> list[UUID]:  # fmt: skip
        """An entry for each, all in one batch; their ids."""
        made = []
        for lines in postings:
            entry_id = uuid4()
            wish = PostEntry(
                entry_id=entry_id, kind=kind, cause_id=cause or uuid4(), transfer_id=transfer, lines=tuple(lines),
                caused_at=CAUSED_AT,
            )  # fmt: skip
            meta = Meta(TENANT, "service:ledger", transfer or uuid4(), wish.cause_id, None, None)
            made.append(Unit((Ask(entry_id, wish),), meta))
        for outcome in await self.engine.run(Units(made)):
            assert outcome.error is outcome.refusal is None, outcome
        return [unit.asks[0].stream_id for unit in made]

    async def get(self, path: str, who: str = "olga", accept: str = "application/json", **query: Any) -> Answer:
        headers = [("authorization", f"Bearer {self.token(who)}"), ("accept", accept)]
        return await send(self.app, "GET", f"/v1/ledger{path}", headers=headers, query=urlencode(query, doseq=True))

    def token(self, who: str) -> str:
        return Tokens.from_settings(self.settings).issue(PEOPLE[who], 600)

    async def stream(self, path: str, **query: Any) -> list[bytes]:
        """The parts of a CSV, as they are sent."""
        headers = [(b"authorization", f"Bearer {self.token('olga')}".encode()), (b"accept", b"text/csv")]
        scope = {
            "type": "http", "method": "GET", "path": f"/v1/ledger{path}", "raw_path": b"/", "headers": headers,
            "query_string": urlencode(query).encode(), "scheme": "http", "server": ("x", 1), "client": ("y", 2),
            "root_path": "", "http_version": "1.1", "asgi": {"version": "3.0", "spec_version": "2.4"},
        }  # fmt: skip
        sent: list[dict[str, Any]] = []

        async def receive() -> dict[str, Any]:
            return {"type": "http.request", "body": b"", "more_body": False}

        async def take(message: Any) -> None:
            sent.append(message)

        await self.app(scope, receive, take)
        head = dict(sent[0]["headers"])
        assert (sent[0]["status"], head[b"content-type"]) == (200, b"text/csv; charset=utf-8"), sent
        assert b"content-length" not in head
        return [each["body"] for each in sent[1:]]

    async def json(self, path: str, **query: Any) -> Any:
        answer = await self.get(path, **query)
        assert answer.status == 200, answer.body
        return answer.json

    async def walk(self, path: str, **query: Any) -> list[Any]:
        """The items of all pages."""
        found: list[Any] = []
        cursor: dict[str, str] = {}
        for _ in range(200):
            page = await self.json(path, **query, **cursor)
            assert len(page["items"]) <= query.get("limit", 50)
            found += page["items"]
            if page["next_cursor"] is None:
                return found
            cursor = {"cursor": page["next_cursor"]}
        raise AssertionError("no end")


EMPTY = """
    SET session_replication_role = replica;
    ALTER TABLE account DISABLE TRIGGER ALL; ALTER TABLE entry DISABLE TRIGGER ALL;
    ALTER TABLE posting DISABLE TRIGGER ALL; ALTER TABLE balance DISABLE TRIGGER ALL;
    ALTER TABLE block DISABLE TRIGGER ALL; ALTER TABLE balance_at DISABLE TRIGGER ALL;
    ALTER TABLE book_head DISABLE TRIGGER ALL;
    TRUNCATE account, entry, posting, balance, block, balance_at, event, stream_state, outbox;
    UPDATE book_head SET entry_seq = 0;
    ALTER TABLE account ENABLE TRIGGER ALL; ALTER TABLE entry ENABLE TRIGGER ALL;
    ALTER TABLE posting ENABLE TRIGGER ALL; ALTER TABLE balance ENABLE TRIGGER ALL;
    ALTER TABLE book_head ENABLE TRIGGER ALL"""


@asynccontextmanager
async def opened(dsn: str) -> AsyncIterator[Desk]:
    """On empty tables."""
    await owner(dsn, EMPTY)
    ledger = service()
    store = PostgresStore(connector(dsn, "ledger", "test"), ledger.parts, ledger.read_accounts)
    engine = Engine(store, ledger.deciders, "ledger", new_id, also_of=ledger.also_of, moved=ledger.moved)
    settings = settings_of(dsn)
    callers = Callers.from_settings(settings)
    books = lists.Books(store, Cursors.from_settings(settings))
    app = create_app(settings, [api.routes(store, callers), lists.list_routes(books, callers)])
    try:
        yield Desk(store, engine, app, books, settings)
    finally:
        await store.drop()


async def owner(dsn: str, *statements: str) -> None:
    """Run them past all rights and triggers."""
    connection = await asyncpg.connect(dsn, server_settings={"search_path": "ledger"})
    for statement in statements:
        await connection.execute(statement)
    await connection.close()


async def close_block(dsn: str) -> None:
    """What the blocks write at a checkpoint: both sides of every account that has moved since the last one."""
    await owner(
        dsn,
        """INSERT INTO balance_at (account_id, entry_seq, debit_minor, credit_minor)
           SELECT account_id, (SELECT entry_seq FROM book_head), debit_minor, credit_minor FROM balance
           WHERE account_id IN (SELECT account_id FROM posting
                                WHERE entry_seq > (SELECT coalesce(max(entry_seq), 0) FROM balance_at))""",
    )
