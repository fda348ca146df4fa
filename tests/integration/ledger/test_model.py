"""Random work on a real ledger, and a model of plain dicts that judges the books after each step.

In the suite the same work each time. CORRIDOR_MODEL_EXAMPLES=2000 makes so many stories, new ones each time: for
nights. CORRIDOR_MODEL_SHRINK=0 stops at the first failure as it is.
"""

from __future__ import annotations

import asyncio
import os
from collections import Counter
from collections.abc import Coroutine, Iterator, Sequence
from copy import deepcopy
from itertools import count
from pathlib import Path
from typing import Any, TypeVar
from uuid import uuid4

import asyncpg
import pytest
from hypothesis import HealthCheck, Phase, settings
from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, rule, run_state_machine_as_test

from contracts.ledger.v1 import BOOKED
from services.kernel import book
from services.kernel.book_balances import balances
from services.kernel.book_moments import Moment
from services.kernel.decider import Meta, Unit
from services.kernel.engine import Engine, Units
from services.kernel.event_store import PostgresStore, connector
from services.kernel.store import ContentRefused
from services.ledger.__main__ import service
from tests.support.ledger_asks import answer, ask
from tests.support.ledger_model import Fact, Model, Op, totals
from tests.support.ledger_story import CURRENCIES, WORK, Seed, Story

SQL = Path(__file__).parents[3] / "services"
KERNEL = ("kernel.sql", "checkpoint.sql", "expiry.sql", "lookups.sql", "book.sql", "books.sql")
SCRIPTS = (*(f"kernel/sql/{name}" for name in KERNEL), "ledger/sql/blocks.sql", "ledger/sql/reads.sql")
NIGHT = os.environ.get("CORRIDOR_MODEL_EXAMPLES")
SECONDS = 30.0  # of one step
REFUSED = "the batch was refused"
T = TypeVar("T")
Done = Sequence[tuple[Sequence[Op], list[str]]]  # batches with their answers
SEEDS = st.lists(
    st.builds(Seed, st.sampled_from(WORK), st.integers(0, 30), st.integers(0, 30), st.integers(1, 10_000)),
    min_size=1, max_size=8,
)  # fmt: skip
CONTENT = """
    SELECT entry_seq, kind, cause_id, account_id, currency,
           CASE side WHEN 'debit' THEN -amount_minor ELSE amount_minor END
    FROM entry LEFT JOIN posting USING (entry_seq) WHERE entry_seq > $1 ORDER BY entry_seq, line"""
EVENTS = "SELECT count(*) FROM event WHERE event_type = ANY($1)"
WRITTEN = {
    "EntryPosted", "HoldPlaced", "HoldRefused", "HoldPosted", "HoldVoided", "AdjustmentProposed", "Adjusted",
    "AdjustmentRejected",
}  # fmt: skip
TYPES = [each.type for each in BOOKED]


class Books:
    """A scratch schema, two lanes of the ledger on it, and the model of what is in it."""

    def __init__(self, dsn: str) -> None:
        self.runner = asyncio.Runner()
        self.dsn, self.name, self.model = dsn, f"model_{uuid4().hex}", Model()
        self.do(self._sql(f"CREATE SCHEMA {self.name}", *((SQL / script).read_text() for script in SCRIPTS)))
        ledger = service()
        self.stores = [
            PostgresStore(connector(dsn, self.name, "test_model"), ledger.parts, ledger.read_accounts) for _ in range(2)
        ]
        self.lanes = [
            Engine(store, ledger.deciders, ledger.topic, uuid4, also_of=ledger.also_of, moved=ledger.moved)
            for store in self.stores
        ]
        self.sound = True

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """To its end, which comes. Until somebody has judged the books they are not sound."""
        self.sound = False
        return self.runner.run(asyncio.wait_for(work, SECONDS))

    async def _sql(self, *scripts: str) -> None:
        connection = await asyncpg.connect(self.dsn, server_settings={"search_path": self.name})
        for script in scripts:
            await connection.execute(script)
        await connection.close()

    def close(self) -> None:
        for store in self.stores:
            self.do(store.drop())
        self.do(self._sql(f"DROP SCHEMA {self.name} CASCADE"))
        self.runner.close()

    async def run(self, lane: int, ops: Sequence[Op], story: Story) -> list[str]:
        """One batch, all of it or nothing."""
        proposals = {wish.wish: wish for wish in story.wishes}
        units = [Unit((ask(op, proposals),), Meta("corridor", "test", uuid4())) for op in ops]
        try:
            return [answer(outcome) for outcome in await self.lanes[lane].run(Units(units))]
        except ContentRefused:
            return [REFUSED]

    async def judge(self, since: int, look_at: int) -> None:
        """The books are those of the model: entries behind `since`, all balances, and those as of an earlier entry."""
        db, model = self.stores[0], self.model
        numbers: list[int] = []
        found: list[tuple[str, Any, Counter[Any]]] = []
        for number, kind, cause, account, currency, minor in await db.fetch(CONTENT, since):
            if number not in numbers:
                numbers.append(number)
                found.append((kind, cause, Counter()))
            assert account.endswith(f":{currency}")
            found[-1][2][account, minor] += 1
        assert numbers == list(range(since + 1, len(model.entries) + 1)), "entries are numbered without gaps"
        assert found == [(kind, cause, Counter(lines)) for kind, cause, lines in model.entries[since:]]
        trial = await book.trial_balance(db)
        assert {each.account_id: (each.debit_minor, each.credit_minor) for each in trial.accounts} == model.sides
        assert all(each.debit_minor == each.credit_minor for each in trial.totals), "each currency is at zero"
        assert not any(totals(model.sides.items()).values())
        assert await book.drift(db) == ()
        assert (await db.fetch(EVENTS, TYPES))[0][0] == len(model.entries), "each entry is an event, and the reverse"
        then = await balances(db, list(model.sides), Moment(entry_seq=look_at, posted_at=None))
        had = {name: (each.debit_minor, each.credit_minor) for name, each in then.items()}
        assert {name: both for name, both in had.items() if any(both)} == model.as_of(look_at)


def followed(model: Model, first: Model, op: Op, got: str) -> str:
    """What the model says of an operation. A decision that writes nothing may be one of the moment of its read, before
    the batch that came in between (docs/decisions/0013): `first` has only what was there, and this batch."""
    tried = model.fork()
    said, early = tried.tell(op), first.tell(op)
    if said != got == early and got not in WRITTEN:
        return got
    return model.tell(op)


class Work(RuleBasedStateMachine):
    """One story on books that other stories are in already."""

    shelf: Shelf

    def __init__(self) -> None:
        super().__init__()
        self.books = self.shelf.open()
        self.story = Story(next(self.shelf.numbers))

    @rule(seeds=SEEDS, back=st.integers(0, 40))
    def one_batch(self, seeds: list[Seed], back: int) -> None:
        ops = [self.story.op(seed) for seed in seeds]
        self._expect([(ops, self.books.do(self.books.run(0, ops, self.story)))], back)

    @rule(seeds=SEEDS, others=SEEDS, back=st.integers(0, 40))
    def two_batches_at_once(self, seeds: list[Seed], others: list[Seed], back: int) -> None:
        batches = [[self.story.op(seed, lane, 2) for seed in each] for lane, each in enumerate((seeds, others))]
        self._expect(list(zip(batches, self.books.do(self._both(batches)), strict=True)), back)

    @rule(seeds=SEEDS, at=st.integers(0, 8), which=st.integers(0, 3))
    def one_batch_that_takes_too_much(self, seeds: list[Seed], at: int, which: int) -> None:
        """A fact that cannot be: nothing of its batch is in the books."""
        story = deepcopy(self.story)
        ops = [story.op(seed) for seed in seeds]
        names = {"customer": str(story.customer(which)), "bank": "chase"}
        ops.insert(at, Fact("transfer.refunded", story.new(), names, {"send": (10**9, CURRENCIES[which])}))
        answers = self.books.do(self.books.run(1, ops, story))
        assert answers == [REFUSED]
        self._expect([(ops, answers)], 0)

    @rule()
    def the_same_batch_again(self) -> None:
        """A redelivery of the last records."""
        ops = [op for op in self.story.told if isinstance(op, Fact)][-8:]
        self._expect([(ops, self.books.do(self.books.run(0, ops, self.story)))], 0)

    async def _both(self, batches: list[list[Op]]) -> list[list[str]]:
        return await asyncio.gather(*(self.books.run(lane, each, self.story) for lane, each in enumerate(batches)))

    def _expect(self, done: Done, back: int) -> None:
        """What was answered is what the model says of these batches in one order or in the other."""
        before = len(self.books.model.entries)
        orders = [self._told(order) for order in (done, done[::-1])]
        entries = self.books.do(self.entries_since(before))
        fits = [model for model, answers in orders if answers and self._made(model, before) == entries]
        assert fits, f"answered {[answers for _, answers in done]} and booked {entries}"
        self.books.model = fits[0]
        self.books.do(self.books.judge(before, max(len(fits[0].entries) - back, 0)))
        self._held()
        self.books.sound = True

    def _told(self, order: Done) -> tuple[Model, bool]:
        """The model after these batches, and whether it answered as the ledger did."""
        model = self.books.model
        for ops, answers in order:
            tried, first = model.fork(), self.books.model.fork()
            said = [followed(tried, first, op, got) for op, got in zip(ops, answers * len(ops), strict=False)]
            refused = tried.overdrawn()
            if answers != ([REFUSED] if refused else said):
                return model, False
            model = model if refused else tried
        return model, True

    async def entries_since(self, number: int) -> list[Any]:
        rows = await self.books.stores[0].fetch(
            "SELECT kind, cause_id FROM entry WHERE entry_seq > $1 ORDER BY entry_seq", number
        )
        return [tuple(row) for row in rows]

    def _made(self, model: Model, since: int) -> list[Any]:
        return [(kind, cause) for kind, cause, _ in model.entries[since:]]

    def _held(self) -> None:
        """What is held for a customer is what their holds and transfers have, told another way than by entries."""
        for customer in map(self.story.customer, range(3)):
            for currency in CURRENCIES:
                mine = [
                    hold.minor
                    for state, hold, *_ in self.books.model.holds.values()
                    if (state, hold.customer, hold.currency) == ("held", customer, currency)
                ]
                held = self.books.model.balance(f"customer:{customer}:held:{currency}")
                assert held == sum(mine) + self.story.waiting(customer, currency)

    def teardown(self) -> None:
        self.shelf.put_back(self.books)


class Shelf:
    """Books that are sound go on with the next story; behind a failure there are new ones, so that it can be shrunk."""

    def __init__(self, dsn: str) -> None:
        self.dsn, self.numbers, self.at_hand = dsn, count(1), list[Books]()

    def open(self) -> Books:
        return self.at_hand.pop() if self.at_hand else Books(self.dsn)

    def put_back(self, books: Books) -> None:
        if books.sound:
            self.at_hand.append(books)
        else:
            books.close()


@pytest.fixture
def machine(postgres_dsn: str) -> Iterator[type[Work]]:
    shelf = Shelf(postgres_dsn)
    yield type("WorkHere", (Work,), {"shelf": shelf})
    for books in shelf.at_hand:
        books.close()


@pytest.mark.slow
@pytest.mark.timeout(120 if NIGHT is None else 12 * 3600)
def test_the_books_are_those_of_the_model_whatever_is_asked(machine: type[Work]) -> None:
    shrinks = os.environ.get("CORRIDOR_MODEL_SHRINK", "1") == "1"
    phases = (Phase.generate, Phase.shrink) if shrinks else (Phase.generate,)
    bounded = settings(
        max_examples=int(NIGHT or 25), derandomize=not NIGHT, database=None, stateful_step_count=12, deadline=None,
        phases=phases, suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    run_state_machine_as_test(machine, settings=bounded)
