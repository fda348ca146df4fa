"""docs/states.md: the life of every stream, from the TRANSITIONS tables that the deciders are tested against.

python -m scripts.states write
python -m scripts.states check    exit 1 when the page is not what the tables say
"""

from __future__ import annotations

import sys
from collections.abc import Iterator
from dataclasses import dataclass
from importlib import import_module
from pathlib import Path
from typing import Any

from scripts import generated

PAGE = Path(__file__).parents[1] / "docs" / "states.md"
Step = tuple[str, Any, str, str]  # state, event class, next state, deadline of the next state and where it falls


@dataclass(frozen=True, slots=True)
class Life:
    """One kind of stream: where its table stands, and how its records are keyed."""

    title: str
    module: str
    stream: str

    @property
    def path(self) -> str:
        """Where to look, from the top of the project."""
        return Path(str(import_module(self.module).__file__)).relative_to(PAGE.parents[1]).as_posix()

    @property
    def steps(self) -> tuple[Step, ...]:
        """The table."""
        found: tuple[Step, ...] = import_module(self.module).TRANSITIONS
        return found


LIVES = (
    Life("User", "services.core_api.domain.users", "stream and key: user id"),
    Life("Profile", "services.core_api.domain.profiles", "stream and key: profile id"),
    Life("Session", "services.core_api.domain.sessions", "stream and key: session id"),
    Life("Maintenance", "services.core_api.domain.maintenance", "stream and key: derived, one per installation"),
    Life("Quote", "services.quote.domain", "stream and key: quote id"),
    Life("Transfer", "services.transfer.domain.states", "stream and key: transfer id"),
    Life("Deposit route", "services.deposit_watcher.domain.states", "stream and key: route id"),
    Life("Payout", "services.payout_orchestrator.domain.states", "stream: payout id; key: transfer id"),
    Life("Reconciliation run", "services.reconciliation.domain.runs", "stream and key: run id"),
    Life("Reconciliation issue", "services.reconciliation.domain.issues", "stream and key: issue id"),
    Life("Statement", "services.reconciliation.domain.statements.heads", "stream and key: statement id"),
    Life(
        "Statement line", "services.reconciliation.domain.statements.entries", "stream: line id; key: the statement's"
    ),
    Life("Journal entry", "services.ledger.domain.entries", "stream: entry id; key: its transfer's id, if it has one"),
    Life("Hold", "services.ledger.domain.holds", "stream: hold id; key: its customer's id"),
    Life("Adjustment", "services.ledger.domain.adjustments", "stream and key: adjustment id"),
    Life("Blocks of the book", "services.ledger.domain.blocks", "stream and key: derived, one per installation"),
    Life("Halt of a currency", "services.ledger.domain.halts", "stream and key: derived from the currency"),
)
HEAD = """\
<!-- Generated: python -m scripts.states write -->

# States

What can follow what. Each table is data in its service's domain, and a test compares it with what `decide` and `evolve`
do. `-` is a stream without events. The last column says what ends the waiting in the next state, or who
is called. An event that changes no state is left out of the picture.
"""


def page() -> str:
    """The whole page."""
    return "\n".join([HEAD, *("\n".join(_life(life)) + "\n" for life in LIVES)])


def _life(life: Life) -> Iterator[str]:
    yield f"## {life.title} · {life.stream}\n"
    yield f"`{life.path}`; ends in {_ends(life.steps)}.\n"
    yield "| state | event | next | deadline → where it falls |"
    yield "|---|---|---|---|"
    for state, event, after, text in life.steps:
        yield f"| {state} | `{short(event)}` | {after} | {text} |"
    yield ""
    yield from _picture(life.steps)


def short(event: Any) -> str:
    """corridor.transfer.opened.v1 -> transfer.opened"""
    return str(event.type).removeprefix("corridor.").rpartition(".")[0]


def terminal(steps: tuple[Step, ...]) -> list[str]:
    """The states that no event leaves for another."""
    states = dict.fromkeys(after for _, _, after, _ in steps)
    left = {state for state, _, after, _ in steps if state != after}
    return [state for state in states if state not in left and state != "-"]


def _ends(steps: tuple[Step, ...]) -> str:
    return ", ".join(terminal(steps)) or "nothing: it is never over"


def _picture(steps: tuple[Step, ...]) -> Iterator[str]:
    yield "```mermaid"
    yield "stateDiagram-v2"
    for state, event, after, _ in steps:
        if state != after:
            yield f"    {'[*]' if state == '-' else state} --> {after}: {short(event).partition('.')[2]}"
    for state in terminal(steps):
        yield f"    {state} --> [*]"
    yield "```"


if __name__ == "__main__":
    sys.exit(generated.run(sys.argv[1:], PAGE, page, __doc__ or ""))
