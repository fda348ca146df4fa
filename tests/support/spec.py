"""The test language of decisions: given(events).when(command).then(events)."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from typing import Any

import pytest

from services.kernel.decider import Decider
from services.kernel.rejected import Rejected


@dataclass(frozen=True)
class Spec:
    """A decider at a moment: `at` is the database's time of the batch."""

    decider: Decider[Any, Any, Any]
    at: datetime

    def given(self, *events: Any) -> Given:
        """The stream as it stands."""
        state = self.decider.initial
        for event in events:
            state = self.decider.evolve(state, event)
        return Given(self, state)


@dataclass(frozen=True)
class Given:
    """A folded state, waiting for a command."""

    spec: Spec
    state: Any

    def when(self, command: Any, at: datetime | None = None) -> When:
        """Ask `command`, at the spec's time or at `at`."""
        return When(self, command, at or self.spec.at)


@dataclass(frozen=True)
class When:
    """A question whose answer is compared, never its wording."""

    given: Given
    command: Any
    at: datetime

    def decide(self) -> tuple[Any, ...]:
        """The events, as decided; evolve must be able to take each of them."""
        decider = self.given.spec.decider
        events = tuple(decider.decide(self.given.state, self.command, self.at))
        state = self.given.state
        for event in events:
            assert isinstance(event, decider.events), f"{type(event).__name__} is not an event of {decider.category}"
            state = decider.evolve(state, event)
        return events

    def then(self, *expected: Any) -> None:
        """Exactly these events."""
        assert self.decide() == expected

    def then_nothing(self) -> None:
        """No event: it was done before, or it has no meaning here."""
        assert self.decide() == ()

    def then_rejected(self, refusal: type[Rejected]) -> Rejected:
        """Refused, for that reason; the refusal is returned for its data."""
        with pytest.raises(refusal) as caught:
            self.decide()
        assert type(caught.value) is refusal
        return caught.value

    def then_state(self, stage: type) -> Any:
        """The stage after the decision."""
        decider = self.given.spec.decider
        state = self.given.state
        for event in self.decide():
            state = decider.evolve(state, event)
        assert isinstance(state, stage), f"{type(state).__name__}, not {stage.__name__}"
        return state
