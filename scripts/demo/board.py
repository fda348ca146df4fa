"""What the audience sees: transfers by state, kills and faults, as a live table or as plain lines."""

import time
from collections import Counter
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass, field
from typing import Any

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.table import Table
from rich.text import Text

STATES = (
    "AWAITING_FUNDING", "FUNDING_CONFIRMED", "PAYOUT_INITIATED", "PAYOUT_REVIEW_REQUIRED", "PAYOUT_COMPLETED",
    "EXPIRED", "CANCELLED",
)  # fmt: skip
FINAL = frozenset({"PAYOUT_COMPLETED", "EXPIRED", "CANCELLED"})
NOTES_SHOWN = 14
PLAIN_EVERY_SECONDS = 2.0


@dataclass
class Board:
    """`states` are as GET /v1/transfers/{id} last said; `corridors` where each transfer goes."""

    console: Console
    states: dict[str, str] = field(default_factory=dict)
    corridors: dict[str, str] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    retries: int = 0
    live: bool = False  # a table is on the screen and shows the notes itself
    began: float = field(default_factory=time.monotonic)
    _printed: float = 0.0
    _line: str = ""

    def opened(self, transfer_id: str, state: str, corridor: str) -> None:
        self.states[transfer_id] = state
        self.corridors[transfer_id] = corridor

    def open_transfers(self) -> list[str]:
        """Acknowledged, and not ended as far as we know."""
        return [one for one, state in self.states.items() if state not in FINAL]

    def note(self, text: str) -> None:
        """Something happened that the audience should know."""
        self.notes.append(f"{self.seconds():5.1f} s  {text}")
        if not self.live:
            print(self.notes[-1], flush=True)

    def tick(self) -> None:
        """Without a live table, a line when something has changed, not more often than every two seconds."""
        counts = Counter(self.states.values())
        line = ", ".join(f"{counts[state]} {state}" for state in STATES if counts[state])
        if not self.live and line != self._line and time.monotonic() - self._printed > PLAIN_EVERY_SECONDS:
            self._line, self._printed = line, time.monotonic()
            print(f"{self.seconds():5.1f} s  {line}", flush=True)

    def seconds(self) -> float:
        return time.monotonic() - self.began

    @contextmanager
    def shown(self) -> Iterator[None]:
        """On a terminal a table that moves; otherwise lines."""
        if not self.console.is_terminal:
            yield
            return
        self.live = True
        with Live(get_renderable=self._render, console=self.console, refresh_per_second=4, screen=False):
            yield
        self.live = False

    def _render(self) -> RenderableType:
        pairs = sorted(set(self.corridors.values()))
        table = Table("state", *pairs, "all", title=f"transfers after {self.seconds():.0f} s", title_justify="left")
        counts = Counter((state, self.corridors[one]) for one, state in self.states.items())
        for state in STATES:
            row = [counts[state, pair] for pair in pairs]
            if sum(row):
                table.add_row(state, *map(str, row), str(sum(row)))
        retries = Text(f"requests asked again while something was down: {self.retries}", style="dim")
        return Group(table, retries, *map(Text, self.notes[-NOTES_SHOWN:]))


def show_proof(console: Console, report: Mapping[str, Any]) -> None:
    """Every check with what it found."""
    if not console.is_terminal:
        for check in report["checks"]:
            print(f"{'ok  ' if check['ok'] else 'FAIL'}  {check['name']}: {check['detail']}")
        return
    table = Table("", "proof", "found", title_justify="left")
    for check in report["checks"]:
        mark = Text("ok", style="green") if check["ok"] else Text("FAIL", style="bold red")
        table.add_row(mark, check["name"], check["detail"])
    console.print(table)
