"""Every state machine of every service, and which of its states need a rule: read from the services' own tables."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from functools import cache
from importlib import import_module
from typing import Any

from services.ops_cli import catalog
from services.ops_cli.stuck.rules import RULES, Rests, Wait

Step = tuple[str, type, str, str]  # state, event, next state, deadline of the next state and where it falls
Rules = Mapping[type, Wait | Rests]


@dataclass(frozen=True, kw_only=True)
class Machine:
    """One kind of stream: its stages as they are stored, and its table of transitions."""

    service: str
    category: str
    stages: tuple[type, ...]
    steps: tuple[Step, ...]

    def unfinished(self) -> tuple[type, ...]:
        """Stages that something can still lead out of, or whose rows name a deadline."""
        leads_on = {state for state, _, after, _ in self.steps if state != after}
        limited = {after for _, _, after, text in self.steps if text}
        return tuple(stage for stage in self.stages if _name(stage) in leads_on | limited)

    def without_rule(self, rules: Rules = RULES) -> tuple[type, ...]:
        """Unfinished stages of which nobody has said what they wait for."""
        return tuple(stage for stage in self.unfinished() if stage not in rules)

    def quiet(self, rules: Rules = RULES) -> tuple[type, ...]:
        """Stages in which nothing has to happen."""
        waiting = {stage for stage in self.stages if isinstance(rules.get(stage), Wait)} | set(self.without_rule(rules))
        return tuple(stage for stage in self.stages if stage not in waiting)


@cache
def machines() -> tuple[Machine, ...]:
    """Of all services."""
    return tuple(_of_all())


def _of_all() -> Iterator[Machine]:
    for service in catalog.DECIDERS:
        for decider in catalog.deciders(service):
            steps = _steps(decider.stages[0])
            yield Machine(service=service, category=decider.category, stages=decider.stages, steps=steps)


def _steps(stage: type) -> tuple[Step, ...]:
    """TRANSITIONS stands beside the stages."""
    found: tuple[Step, ...] = import_module(stage.__module__).TRANSITIONS
    return found


def _name(stage: Any) -> str:
    return str(stage.state)
