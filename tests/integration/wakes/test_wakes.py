"""Every wake of every service: it fires at its deadline, not before, and one that has become stale does nothing.

The whole way is walked: a commit plans the wake, the worker takes it when it is due, the real decider judges it. Only
the store is in memory, and the clock is ours.
"""

from __future__ import annotations

import ast
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, fields, replace
from datetime import datetime, timedelta
from fractions import Fraction
from pathlib import Path
from typing import Any, TypeVar
from uuid import UUID

import pytest

from contracts.deposit.v1 import DepositMismatched
from contracts.payout.v1 import PayoutOverdue, PayoutReviewRequired, PayoutUnknown
from contracts.quote.v1 import QuoteExpired
from contracts.transfer.v1 import TransferExpired, TransferOverdue
from services.deposit_watcher import handlers as deposit
from services.deposit_watcher.domain.states import Deadlines as DepositDeadlines
from services.kernel.decider import Ask, Decider, Meta, Unit
from services.kernel.effects import Worker
from services.kernel.engine import Engine, Units
from services.kernel.memory import MemoryStore
from services.payout_orchestrator import handlers as payout
from services.payout_orchestrator.domain.policy import Deadlines as PayoutDeadlines
from services.payout_orchestrator.domain.policy import rules
from services.quote import handlers as quote
from services.transfer import handlers as transfer
from services.transfer.domain.states import Deadlines as TransferDeadlines
from tests.support.fakes import Ids
from tests.unit.deposit_watcher import samples as d
from tests.unit.payout_orchestrator import samples as p
from tests.unit.quote import samples as q
from tests.unit.transfer import samples as t

SERVICES = Path(__file__).parents[3] / "services"
TICK = timedelta(microseconds=1)
BY_RULE, BY_NOBODY = rules({"ETB": 2_000_000}), rules({"ETB": 0})
Configured = TypeVar("Configured", TransferDeadlines, DepositDeadlines, PayoutDeadlines)


class Clock:
    """Stands still until it is set."""

    def __init__(self, now: datetime) -> None:
        self.now = now

    def __call__(self) -> datetime:
        return self.now


@dataclass(frozen=True)
class Stream:
    """A stream of a service's samples, whose time begins at `at`."""

    service: str
    decider: Decider[Any, Any, Any]
    stream_id: UUID
    at: datetime


@dataclass(frozen=True, kw_only=True)
class Wake:
    """What begins the wait, how long it is, what its end says, and what ends it in time."""

    on: Stream
    name: str
    begins: tuple[object, ...]
    after: timedelta
    says: type[Any]
    ended_by: object | None  # None: only a person's decision ends it, and none is built yet

    @property
    def deadline(self) -> datetime:
        """The first instant at which it is due."""
        return self.on.at + self.after


QUOTE = Stream("quote", quote.decider(), q.QUOTE_ID, q.AT)
TRANSFER = Stream("transfer", transfer.decider(TransferDeadlines()), t.TRANSFER_ID, t.AT)
DEPOSIT = Stream("deposit_watcher", deposit.decider(DepositDeadlines()), d.ROUTE_ID, d.AT)
PAYOUT = Stream("payout_orchestrator", payout.decider(BY_RULE, PayoutDeadlines()), p.PAYOUT, p.AT)
BY_HAND = Stream("payout_orchestrator", payout.decider(BY_NOBODY, PayoutDeadlines()), p.PAYOUT, p.AT)

# The times stand here as states.md and the configuration say them: a default that is changed by accident is seen.
WAKES = (
    Wake(
        on=QUOTE, name="expire", begins=(q.CREATE,), after=timedelta(seconds=90 + 60), says=QuoteExpired,
        ended_by=q.ACCEPT,
    ),
    Wake(
        on=TRANSFER, name="funding_deadline", begins=(t.OPEN,), after=timedelta(hours=1, minutes=1),
        says=TransferExpired, ended_by=t.FUND,
    ),
    Wake(
        on=TRANSFER, name="payout_overdue", begins=(t.OPEN, t.FUND), after=timedelta(minutes=10), says=TransferOverdue,
        ended_by=t.INITIATE,
    ),
    Wake(
        on=TRANSFER, name="settlement_overdue", begins=(t.OPEN, t.FUND, t.INITIATE), after=timedelta(days=1),
        says=TransferOverdue, ended_by=t.COMPLETE,
    ),
    Wake(
        on=TRANSFER, name="review_overdue", begins=(t.OPEN, t.FUND, t.REVIEW), after=timedelta(hours=4),
        says=TransferOverdue, ended_by=t.COMPLETE,
    ),
    Wake(
        on=TRANSFER, name="late_funding_overdue", begins=(t.OPEN, t.CANCEL, t.FUND), after=timedelta(days=1),
        says=TransferOverdue, ended_by=None,
    ),
    Wake(
        on=DEPOSIT, name="grace", begins=(d.observe(1, d.gbp(100_00)),), after=timedelta(minutes=15),
        says=DepositMismatched, ended_by=d.EXPECT,
    ),
    Wake(
        on=BY_HAND, name="approval", begins=(p.REQUEST,), after=timedelta(hours=1), says=PayoutOverdue, ended_by=None,
    ),
    Wake(
        on=PAYOUT, name="submission", begins=(p.REQUEST,), after=timedelta(hours=4), says=PayoutReviewRequired,
        ended_by=p.BEGIN,
    ),
    Wake(
        on=PAYOUT, name="lease", begins=(p.REQUEST, p.BEGIN), after=timedelta(seconds=60), says=PayoutUnknown,
        ended_by=p.ACCEPT,
    ),
    Wake(
        on=PAYOUT, name="settlement", begins=(p.REQUEST, p.BEGIN, p.ACCEPT), after=timedelta(hours=24),
        says=PayoutReviewRequired, ended_by=p.CONFIRM,
    ),
    Wake(
        on=PAYOUT, name="unknown_deadline", begins=(p.REQUEST, p.BEGIN, p.LOSE), after=timedelta(hours=1),
        says=PayoutReviewRequired, ended_by=p.CONFIRM,
    ),
)  # fmt: skip


class World:
    """One service in memory."""

    def __init__(self, wake: Wake) -> None:
        self.wake = wake
        self.clock = Clock(wake.on.at)
        self.store = MemoryStore(self.clock)
        self.engine = Engine(self.store, (wake.on.decider,), "events.v1", Ids())
        self.counted: dict[tuple[str, str], int] = {}
        self.worker = Worker(self.store, self.engine, "worker", lease_seconds=90, counted=self._count)

    def restart(self, decider: Decider[Any, Any, Any]) -> None:
        """The process again, with another configuration."""
        self.engine = Engine(self.store, (decider,), "events.v1", Ids())
        self.worker = Worker(self.store, self.engine, "worker", lease_seconds=90, counted=self._count)

    def _count(self, name: str, result: str, count: int) -> None:
        self.counted[name, result] = self.counted.get((name, result), 0) + count

    async def ask(self, *commands: object) -> None:
        """Each in a batch of its own, as one after the other they come."""
        for command in commands:
            meta = Meta(tenant="main", actor="tester", correlation_id=UUID(int=7))
            (outcome,) = await self.engine.run(Units([Unit((Ask(self.wake.on.stream_id, command),), meta)]))
            assert outcome.error is None, outcome.error
            assert outcome.refusal is None, outcome.refusal
            assert outcome.events, f"{command} changed nothing"

    async def wait(self, until: datetime) -> list[str]:
        """The types of what the wakes say until then; they come in the order in which they are due."""
        self.clock.now = until
        before = len(self.store.tables.events)
        while await self.worker.step("wake"):
            pass
        return [each.event_type for each in self.store.tables.events[before:]]

    def due(self) -> list[datetime]:
        """When wakes of that name will be due."""
        effects = self.store.tables.effects.values()
        return [each.due.due_at for each in effects if (each.kind, each.due.name) == ("wake", self.wake.name)]


def _name(wake: Wake) -> str:
    return f"{wake.on.service}-{wake.name}"


@pytest.mark.parametrize("wake", WAKES, ids=_name)
async def test_a_wake_fires_at_its_deadline_once_and_not_before(wake: Wake) -> None:
    world = World(wake)
    await world.ask(*wake.begins)
    assert world.due() == [wake.deadline]
    assert await world.wait(wake.deadline - TICK) == []
    assert await world.wait(wake.deadline) == [wake.says.type]
    assert world.counted[wake.name, "done"] == 1
    assert world.due() == []


@pytest.mark.parametrize("asked", [True, False], ids=["asked", "as it runs"])
@pytest.mark.parametrize("wake", [wake for wake in WAKES if wake.ended_by is not None], ids=_name)
async def test_a_stale_wake_is_taken_and_does_nothing(wake: Wake, *, asked: bool) -> None:
    """Whether its stream is over and it is dropped, or is asked: dropping saves time and decides nothing."""
    world = World(wake)
    if asked:
        world.engine.over = []
    await world.ask(*wake.begins, wake.ended_by)
    events = len(world.store.tables.events)
    (deadline,) = world.due()
    only = [each for each in world.store.tables.effects.values() if each.due.name == wake.name]
    world.store.tables.effects = {each.due.effect_id: each for each in only}  # what ended it has its own wakes
    assert await world.wait(deadline) == []
    assert len(world.store.tables.events) == events
    assert world.counted == {(wake.name, "done") if asked or not _over(world) else ("wake", "dropped"): 1}
    assert world.due() == []


def _over(world: World) -> bool:
    head = world.store.tables.heads[world.wake.on.stream_id]
    return (head.category, head.stage, head.fold) in world.engine.over


async def test_the_lease_of_an_attempt_that_was_deferred_does_not_end_the_next_attempt() -> None:
    """The same stage again: the wake of the earlier stay comes too early for the later one."""
    wake = next(each for each in WAKES if each.name == "lease")
    world = World(wake)
    await world.ask(p.REQUEST, p.BEGIN, p.DEFER)
    world.clock.now += timedelta(seconds=5)
    await world.ask(p.BEGIN)
    first, second = sorted(world.due())
    assert await world.wait(first) == []
    assert await world.wait(second) == [PayoutUnknown.type]


@pytest.mark.parametrize("by", [Fraction(2), Fraction(1, 2)], ids=["lengthened", "shortened"])
@pytest.mark.parametrize("wake", [wake for wake in WAKES if wake.on.service != "quote"], ids=_name)
async def test_a_wait_that_has_begun_ends_when_it_was_to_end_whatever_is_configured_since(
    wake: Wake, by: Fraction
) -> None:
    """An early wake that said nothing would leave the stream waiting for ever; quotes carry their own `expires_at`."""
    world = World(wake)
    await world.ask(*wake.begins)
    world.restart(reconfigured(wake.on, by))
    assert await world.wait(wake.deadline - TICK) == []
    assert await world.wait(wake.deadline) == [wake.says.type]


def reconfigured(stream: Stream, by: Fraction) -> Decider[Any, Any, Any]:
    """The stream's decider under deadlines `by` times as long."""
    match stream.service:
        case "transfer":
            return transfer.decider(scaled(TransferDeadlines(), by))
        case "deposit_watcher":
            return deposit.decider(scaled(DepositDeadlines(), by))
        case _:
            return payout.decider(BY_NOBODY if stream is BY_HAND else BY_RULE, scaled(PayoutDeadlines(), by))


def scaled(deadlines: Configured, by: Fraction) -> Configured:
    """Every wait in it `by` times as long."""
    changed = {each.name: _times(getattr(deadlines, each.name), by) for each in fields(deadlines)}
    return replace(deadlines, **changed)


def _times(wait: Any, by: Fraction) -> Any:
    match wait:
        case timedelta():
            return wait * by.numerator / by.denominator
        case Mapping():
            return {name: _times(each, by) for name, each in wait.items()}
        case _:
            return int(wait * by)


@pytest.mark.parametrize("wake", WAKES, ids=_name)
async def test_a_wake_whose_worker_died_fires_when_its_lease_is_over(wake: Wake) -> None:
    world = World(wake)
    await world.ask(*wake.begins)
    world.clock.now = wake.deadline
    taken = (await world.store.take_due("wake", 500, 90)).due
    assert wake.name in {each.name for each in taken}
    assert await world.wait(world.clock.now + timedelta(seconds=90)) == []
    assert await world.wait(world.clock.now + TICK) == [wake.says.type]


def test_the_table_covers_every_wake_that_a_service_plans() -> None:
    planned = {(service, name) for service, name, kind in _planned() if kind == "wake"}
    assert {(wake.on.service, wake.name) for wake in WAKES} | OF_THE_LEDGER == planned


OF_THE_LEDGER = {("ledger", "hold_overdue"), ("ledger", "adjustment_expiry")}  # its unit tests have what they say


def test_only_a_persons_decisions_are_missing() -> None:
    """When issue 6 builds them, their rows get what ends them."""
    assert {wake.name for wake in WAKES if wake.ended_by is None} == {"late_funding_overdue", "approval"}


def _planned() -> Iterator[tuple[str, str, str]]:
    """(service, name, kind) of every side effect that the code of a service makes, as it is written there."""
    for path in sorted(SERVICES.glob("*/**/*.py")):
        service = path.relative_to(SERVICES).parts[0]
        if service in ("kernel", "sandbox"):
            continue
        tree = ast.parse(path.read_text(encoding="utf-8"))
        makers = {"SideEffect", *_makers(tree)}
        for call in _calls(tree, makers):
            match call.args[:1]:
                case [ast.Constant(value=str(name))]:
                    yield service, name, _kind(call)
                case _:
                    assert _in_a_maker(tree, call), f"{path}:{call.lineno}: name the side effect where it is planned"


def _makers(tree: ast.Module) -> set[str]:
    """Functions whose first parameter is the name of the side effect that they make."""
    functions = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.args.args]
    return {each.name for each in functions if any(_names(call, each) for call in _calls(each, {"SideEffect"}))}


def _in_a_maker(tree: ast.Module, call: ast.Call) -> bool:
    functions = [each for each in tree.body if isinstance(each, ast.FunctionDef) and each.args.args]
    return any(_names(call, each) for each in functions if call in ast.walk(each))


def _names(call: ast.Call, function: ast.FunctionDef) -> bool:
    first = call.args[0] if call.args else None
    return isinstance(first, ast.Name) and first.id == function.args.args[0].arg


def _calls(tree: ast.AST, names: set[str]) -> list[ast.Call]:
    calls = [each for each in ast.walk(tree) if isinstance(each, ast.Call)]
    return [each for each in calls if isinstance(each.func, ast.Name) and each.func.id in names]


def _kind(call: ast.Call) -> str:
    """As SideEffect(name, due_at, kind) says; "wake" unless told."""
    given = [each.value for each in call.keywords if each.arg == "kind"] + call.args[2:3]
    return str(given[0].value) if given and isinstance(given[0], ast.Constant) and given[0].value == "call" else "wake"
