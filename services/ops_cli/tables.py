"""Tables and pairs. A column that does not fit a terminal is left out whole: an id that is cut is no id."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from rich.box import SIMPLE_HEAD
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

GOOD, WAITING, BAD = "green", "yellow", "red"
_GOOD = ("COMPLETED", "CONFIRMED", "OK", "LIVE", "MATCHED", "ACCEPTED", "APPROVED", "RESOLVED")
_BAD = ("FAILED", "REFUSED", "REJECTED", "RETURNED", "MISMATCH", "UNMATCHED", "REVIEW", "PARKED", "EXPIRED", "UNKNOWN")
GAP = 2  # blanks between columns
WORD = 24  # what folds gets no narrower


@dataclass(frozen=True)
class Column:
    """`value`: the member's name, or a function of the item. Those with the highest `drop` go first; 0 stays."""

    title: str
    value: str | Callable[[Mapping[str, Any]], object]
    right: bool = False
    drop: int = 0
    style: Callable[[str], str] | None = None
    fold: bool = False  # it may go on in the next line; no other may: an amount that is cut is another amount

    def cell(self, item: Mapping[str, Any]) -> Text:
        """Its text for `item`."""
        found = item.get(self.value) if isinstance(self.value, str) else self.value(item)
        text = cell(found)
        if self.style:
            text.stylize(self.style(text.plain))
        return text


def cell(value: object) -> Text:
    """Any value as one line without anything that a terminal would obey."""
    if isinstance(value, Text):
        return value
    words = "-" if value is None else ("yes" if value else "no") if isinstance(value, bool) else str(value)
    return Text("".join(letter if letter.isprintable() else " " for letter in words))


def state_style(state: str) -> str:
    """Green: over and well. Red: a person is needed, or it is over and not well. Yellow: on its way."""
    words = state.upper()
    if any(each in words for each in _BAD):
        return BAD
    return GOOD if any(each in words for each in _GOOD) else WAITING


def state(title: str = "state", value: str = "state") -> Column:
    """A state in its colour."""
    return Column(title, value, style=state_style)


def table(items: Sequence[Mapping[str, Any]], columns: Sequence[Column], console: Console) -> RenderableType:
    """For a terminal, with a line below the head. What does not fit is named below it."""
    kept, dropped, widths = _fitting(items, columns, console)
    if sum(_least(each, widths) + GAP for each in kept) - GAP > console.width:  # below each other: nothing is cut
        return Group(*(part for item in items for part in (pairs(item, columns), "")))
    rich = Table(box=SIMPLE_HEAD, pad_edge=False, header_style="bold", show_edge=False, padding=(0, 1, 0, 0))
    for column in kept:
        rich.add_column(
            column.title, justify="right" if column.right else "left", overflow="fold",
            min_width=_least(column, widths),
        )  # fmt: skip
    for item in items:
        rich.add_row(*(column.cell(item) for column in kept))
    if not dropped:
        return rich
    names = ", ".join(column.title for column in dropped)
    return Group(rich, Text(f"too narrow for: {names} (-o json has everything)", style="dim"))


def _least(column: Column, widths: Mapping[str, int]) -> int:
    width = widths[column.title]
    return min(width, WORD) if column.fold else width


def plain(items: Sequence[Mapping[str, Any]], columns: Sequence[Column]) -> RenderableType:
    """For a file or a pipe: every column, blanks between them, none at the end of a line."""
    rows = [[Text(column.title) for column in columns], *([column.cell(item) for column in columns] for item in items)]
    widths = [max(row[index].cell_len for row in rows) for index in range(len(columns))]
    lines = []
    for row in rows:
        line = Text()
        for text, column, width in zip(row, columns, widths, strict=True):
            room = " " * (width - text.cell_len)
            line += Text.assemble(room, text, " " * GAP) if column.right else Text.assemble(text, room, " " * GAP)
        line.rstrip()
        lines.append(line)
    return Group(*lines)


def _fitting(
    items: Sequence[Mapping[str, Any]], columns: Sequence[Column], console: Console
) -> tuple[list[Column], list[Column], dict[str, int]]:
    """(the columns that fit, those that do not, the width of each)."""
    widths = {
        column.title: max([len(column.title), *(column.cell(item).cell_len for item in items)]) for column in columns
    }
    kept, dropped = list(columns), []
    while sum(widths[each.title] + GAP for each in kept) - GAP > console.width:
        droppable = [each for each in kept if each.drop]
        if not droppable:
            break
        first = max(droppable, key=lambda each: each.drop)
        kept.remove(first)
        dropped.append(first)
    return kept, dropped, widths


def pairs(item: Mapping[str, Any], columns: Sequence[Column], title: str = "") -> RenderableType:
    """Name and value below each other."""
    rich = Table.grid(padding=(0, GAP))
    rich.add_column(style="dim", no_wrap=True)
    rich.add_column(overflow="fold")
    for column in columns:
        rich.add_row(column.title, column.cell(item))
    return Group(Text(title, style="bold"), rich) if title else rich
