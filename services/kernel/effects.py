"""Side effects: the only timer, and the only way out. Intent, call, outcome; the queue is no truth, the stream is.

A wake asks its stream; one that has become stale decides nothing. A call writes its intent, calls in bulk outside of
any transaction, and writes an outcome for each. What is due is leased; the engine refuses a zombie's fence number.
"""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping, Sequence

from services.kernel import tracing
from services.kernel.decider import Again, Ask, Call, Due, EffectDone, Head, Meta, Outcome, Unit
from services.kernel.engine import Engine, Units
from services.kernel.pace import Pace
from services.kernel.store import ContentRefused, Store, Unavailable

BATCH_MAX = 500
PACE_SECONDS = 0.06  # a partner is called in bulk; what became due meanwhile goes in one call
POLL_SECONDS = 0.5  # the backstop: deadlines are coarse, and a commit wakes the worker at once

Result = Callable[[str, str, int], None]  # name, result, count


class Worker:
    """Takes what is due. One per process and kind; several processes share the queue by leases.

    `lease_seconds`: past it another worker takes over, so it is longer than all calls of a batch, one after another.
    """

    def __init__(
        self,
        store: Store,
        engine: Engine,
        actor: str,
        calls: Sequence[Call] = (),
        *,
        lease_seconds: int,
        batch_max: int = BATCH_MAX,
        counted: Result = lambda name, result, count: None,
        ran: Callable[[str], None] = lambda result: None,
    ) -> None:
        self._store = store
        self._engine = engine
        self._actor = actor
        self._calls: Mapping[str, Call] = {call.name: call for call in calls}
        self._lease_seconds = lease_seconds
        self._batch_max = batch_max
        self._tell = counted
        self._failed = False  # an item of this run
        self._ran = ran
        self._wake = asyncio.Event()

    def wake(self) -> None:
        """Something was committed that may be due."""
        self._wake.set()

    async def run(self, kind: str) -> None:
        """Work for ever; the store being away is waited for, anything else ends the process."""
        pace = Pace(PACE_SECONDS)
        while True:
            await pace.turn()
            self._wake.clear()
            try:
                busy = await self.step(kind)
            except Unavailable:
                self._ran("failed")
                busy = 0
            if busy >= self._batch_max:
                pace.hurry()
            if not busy:
                await self._idle()

    def _counted(self, name: str, result: str, count: int) -> None:
        self._failed = self._failed or result == "failed"
        self._tell(name, result, count)

    async def step(self, kind: str) -> int:
        """One run: a batch of that kind; how many were due."""
        self._failed = False
        worked = await self._work(kind)
        self._ran("failed" if self._failed else "success")
        return worked

    async def _work(self, kind: str) -> int:
        taken = await self._store.take_due(kind, self._batch_max, self._lease_seconds, self._engine.over)
        due = taken.due
        if taken.dropped:
            self._counted(kind, "dropped", taken.dropped)
        if not due:
            return taken.dropped
        if kind == "wake":
            await self._wakes(due)
        else:
            for name in sorted({each.name for each in due}):
                await self._calling(name, [each for each in due if each.name == name])
        return len(due) + taken.dropped

    async def _wakes(self, due: Sequence[Due]) -> None:
        """What cannot even be asked stays where it is: its lease ends, and it is tried again by a better release."""
        units: list[tuple[Due, Unit]] = []
        for each in due:
            try:
                units.append((each, self._wake_unit(each)))
            except Exception:  # noqa: BLE001 - a bug of one decider's `wake` is its own effects' alone
                self._counted(each.name, "failed", 1)
        await self._write([unit for _, unit in units], [each for each, _ in units])

    async def _calling(self, name: str, due: Sequence[Due]) -> None:
        call = self._calls.get(name)
        if call is None:  # planned by another release; its lease ends, and who knows it takes it
            self._counted(name, "failed", len(due))
            return
        await self._call(call, due)

    def _wake_unit(self, due: Due) -> Unit:
        decider = self._engine.decider(due.category)
        assert decider.wake is not None, f"{due.category} plans wakes and has no wake"
        command = decider.wake(due.name, due.stream_id)
        return Unit((Ask(due.stream_id, command),), self._meta(due), effect=EffectDone(due.effect_id, due.fence))

    async def _call(self, call: Call, due: Sequence[Due]) -> None:
        """Intent, call, outcome. Those whose intent says no are finished."""
        intents = await self._write(
            [Unit((call.intent(each),), self._meta(each), effect=self._hold(each)) for each in due], due
        )
        going = [(each, outcome) for each, outcome in zip(due, intents, strict=True) if _goes(call, outcome)]
        done = {each.effect_id for each, _ in going}
        over = [
            (each, outcome)
            for each, outcome in zip(due, intents, strict=True)
            if each.effect_id not in done and not outcome.stale and not outcome.error
        ]
        if over:
            units = [self._not_now(call, each, outcome) for each, outcome in over]
            await self._write(units, [each for each, _ in over])
        if going:
            await self._out(call, [(each, outcome.heads[0]) for each, outcome in going])

    async def _out(self, call: Call, items: Sequence[tuple[Due, Head]]) -> None:
        with tracing.joined(f"call {call.name}", [due.traceparent for due, _ in items], "client"):
            answers = await call.call(items)
        assert len(answers) == len(items), f"{call.name} answers each item"
        units = [self._outcome(due, answer) for (due, _), answer in zip(items, answers, strict=True)]
        await self._write(units, [due for due, _ in items])

    def _outcome(self, due: Due, answer: Ask | Again) -> Unit:
        if isinstance(answer, Ask):
            return Unit((answer,), self._meta(due), effect=EffectDone(due.effect_id, due.fence))
        return Unit((), self._meta(due), effect=EffectDone(due.effect_id, due.fence, again_after=answer.after_seconds))

    def _hold(self, due: Due) -> EffectDone:
        """Keep the lease while the call goes on: not done, and not due to anybody else before the lease ends."""
        return EffectDone(due.effect_id, due.fence, held=True)

    def _not_now(self, call: Call, due: Due, outcome: Outcome) -> Unit:
        """Its intent says no: for ever, or until later."""
        again = call.waits(due, outcome)
        seconds = again.after_seconds if again else None
        return Unit((), self._meta(due), effect=EffectDone(due.effect_id, due.fence, again_after=seconds))

    def _meta(self, due: Due) -> Meta:
        return Meta(
            tenant=due.tenant,
            actor=self._actor,
            correlation_id=due.correlation_id,
            causation_id=None,
            traceparent=due.traceparent,
        )

    async def _write(self, units: Sequence[Unit], due: Sequence[Due]) -> list[Outcome]:
        if not units:
            return []
        try:
            outcomes = await self._engine.run(Units(units))
        except ContentRefused:
            if len(units) == 1:
                return [Outcome(error=RuntimeError("the database refuses this effect's outcome"))]
            middle = len(units) // 2
            return await self._write(units[:middle], due[:middle]) + await self._write(units[middle:], due[middle:])
        for each, outcome in zip(due, outcomes, strict=True):
            self._counted(each.name, "stale" if outcome.stale else "failed" if outcome.error else "done", 1)
        return outcomes

    async def _idle(self) -> None:
        try:
            async with asyncio.timeout(POLL_SECONDS):
                await self._wake.wait()
        except TimeoutError:
            return


def _goes(call: Call, outcome: Outcome) -> bool:
    return not outcome.stale and outcome.error is None and outcome.refusal is None and call.proceeds(outcome)
