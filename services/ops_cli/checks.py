"""A check has a name, a verdict and words; the worst verdict is the answer of a page of them."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import asdict, dataclass, replace
from typing import Any, Literal

from rich.console import Group, RenderableType
from rich.table import Table
from rich.text import Text

from services.ops_cli.exits import Exit, OpsError
from services.ops_cli.tables import BAD, GOOD, WAITING, cell

Verdict = Literal["ok", "attention", "bad", "unknown"]
MARKS: dict[Verdict, tuple[str, str]] = {
    "ok": ("ok", GOOD), "attention": ("look", WAITING), "bad": ("BAD", BAD), "unknown": ("?", "dim"),
}  # fmt: skip
AT_ONCE = 8


@dataclass(frozen=True)
class Check:
    """`attention`: somebody should look, nothing is broken. `unknown`: could not be found out. `hint`: what to do."""

    name: str
    verdict: Verdict
    words: str
    hint: str = ""


Ask = Callable[[], "Check | Sequence[Check]"]


def run(asks: Iterable[tuple[str, Ask]]) -> list[Check]:
    """All at once, in order; a check that fails to find out is a check too."""
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool:
        answers = list(pool.map(lambda each: _ask(*each), asks))
    return [check for answer in answers for check in answer]


def _ask(name: str, ask: Ask) -> Sequence[Check]:
    try:
        found = ask()
    except OpsError as error:
        if error.code == Exit.NOT_FOUND:
            return [Check(name, "unknown", "this system does not tell")]
        verdict: Verdict = "bad" if error.code in {Exit.UNAVAILABLE, Exit.TIMED_OUT, Exit.FAILED} else "unknown"
        return [Check(name, verdict, error.message, error.hint)]
    checks = [found] if isinstance(found, Check) else found
    return [check if check.name else replace(check, name=name) for check in checks]


def verdict_of(checks: Sequence[Check]) -> Verdict:
    """The worst, where unknown is no worse than attention."""
    verdicts = {check.verdict for check in checks}
    if "bad" in verdicts:
        return "bad"
    return "attention" if verdicts & {"attention", "unknown"} else "ok"


def exit_of(checks: Sequence[Check]) -> Exit:
    """6 when something is bad."""
    return Exit.ANSWER_IS_NO if verdict_of(checks) == "bad" else Exit.DONE


def as_items(checks: Sequence[Check]) -> list[dict[str, Any]]:
    """For programs."""
    return [asdict(check) for check in checks]


def page(checks: Sequence[Check], title: Text) -> RenderableType:
    """For people: the headline, a line for each check, hints below those that have one."""
    grid = Table.grid(padding=(0, 2))
    grid.add_column(no_wrap=True)
    grid.add_column(no_wrap=True)
    grid.add_column(overflow="fold")
    for check in checks:
        mark, style = MARKS[check.verdict]
        grid.add_row(Text(f"{mark:>4}", style=style), Text(check.name, style="bold"), cell(check.words))
        if check.hint and check.verdict != "ok":
            grid.add_row("", "", Text(check.hint, style="cyan"))
    return Group(title, "", grid)
