"""What a command shows: a table on a terminal, the same without colour elsewhere, or JSON, JSON lines, CSV.

Answers go to stdout, or to the file of --output, which is written whole or not at all. Everything else goes to stderr.
"""

from __future__ import annotations

import csv
import io
import json
import os
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import AbstractContextManager
from dataclasses import dataclass
from difflib import get_close_matches
from typing import Any, Literal, TextIO

from rich.console import Console, RenderableType
from rich.padding import Padding
from rich.table import Table
from rich.text import Text

from services.ops_cli.exits import OpsError, usage
from services.ops_cli.files import AtomicFile
from services.ops_cli.progress import Step, progress
from services.ops_cli.tables import Column, cell, pairs, plain, table

Format = Literal["table", "json", "jsonl", "csv"]
PLAIN_COLUMNS = 4_000  # the width of what no terminal reads: nothing is cut or wrapped
SUFFIXES: Mapping[str, Format] = {".csv": "csv", ".json": "json", ".jsonl": "jsonl"}
ONLY_VERBOSE = frozenset({"type"})  # facts of an error that a person needs rarely
FACT_COLUMNS = 9
Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class Wishes:
    """How somebody wants to see it."""

    format: Format | None = None
    fields: tuple[str, ...] = ()
    file: str | None = None  # None or "-": stdout
    quiet: bool = False
    verbose: bool = False
    no_color: bool = False


class Output:
    """One command's. Whoever has made it calls `finish` when the command is over."""

    def __init__(self, wishes: Wishes, stdout: TextIO | None = None, stderr: TextIO | None = None) -> None:
        """Raises OpsError when the file of --output cannot be written: before anything else happens."""
        self.wishes = wishes
        self._file = AtomicFile(wishes.file) if wishes.file not in {None, "-"} else None
        stdout = self._stdout = stdout or sys.stdout
        self._stream: TextIO = io.StringIO() if self._file else stdout
        self.console = _console(self._stream, wishes)
        self.err = _console(stderr or sys.stderr, wishes)
        self.format: Format = wishes.format or (self._file and SUFFIXES.get(self._file.suffix)) or "table"

    @property
    def machine(self) -> bool:
        """Whether a program reads it."""
        return self.format != "table"

    @property
    def live(self) -> bool:
        """Whether a person watches stdout and sees what moves."""
        return self.console.is_terminal and not self.console.is_dumb_terminal and self.format == "table"

    def take_file(self) -> AtomicFile | None:
        """For a command that writes something of its own there: the file; its other output goes to stdout."""
        taken, self._file = self._file, None
        if taken:
            self._stream = self._stdout
            self.console = _console(self._stream, self.wishes)
            self.format = self.wishes.format or "table"
        return taken

    def finish(self, *, keep: bool) -> None:
        """Put the file in its place, or leave nothing of it behind."""
        if self._file and isinstance(self._stream, io.StringIO):
            if keep:
                self._file.write(self._stream.getvalue().encode())
                self._file.commit()
            else:
                self._file.discard()

    # -- answers

    def rows(self, items: Sequence[Json], columns: Sequence[Column], *, more: str | None = None, none: str) -> None:
        """A list. `more` is the cursor of the next page; `none` is said to a person when there is nothing."""
        items = [self._narrow(item) for item in items]
        if self.format == "json":
            self._json({"items": items, "next_cursor": more})
        elif self.format == "jsonl":
            self._lines(items)
        elif self.format == "csv":
            self._csv(items, columns)
        elif items:
            self.print(self.table(items, columns))
        else:
            self.note(none)
        if more and self.format in {"table", "csv"}:
            self.note(f"there is more: --cursor {more}, or --all")

    def table(self, items: Sequence[Json], columns: Sequence[Column]) -> RenderableType:
        """As `rows` shows them to a person, to be put beside something else."""
        wanted = self._columns(columns)
        return table(items, wanted, self.console) if self.console.is_terminal else plain(items, wanted)

    def record(self, value: Json, columns: Sequence[Column], *, title: str = "") -> None:
        """One thing: its members below each other."""
        narrowed = self._narrow(value)
        self.show(narrowed, lambda: pairs(narrowed, self._columns(columns), title), columns)

    def show(self, value: Json, render: Callable[[], RenderableType], columns: Sequence[Column] = ()) -> None:
        """Whatever has a form of its own: `value` for programs, `render()` for people."""
        if self.format == "json":
            self._json(value)
        elif self.format == "jsonl":
            self._lines([value])
        elif self.format == "csv":
            self._csv([value], columns)
        else:
            self.print(render())

    def line(self, value: Json, text: str | Text) -> None:
        """One of many that come one by one; seen at once."""
        if self.machine:
            self._stream.write(json.dumps(self._narrow(value), default=str) + "\n")
        else:
            self.print(text if isinstance(text, Text) else cell(text))
        self._stream.flush()

    def print(self, what: RenderableType) -> None:
        """For people; where no terminal is, without the blanks that fill a line up."""
        if self.console.is_terminal:
            self.console.print(what)
            return
        with self.console.capture() as captured:
            self.console.print(what)
        self._stream.write("\n".join(line.rstrip() for line in captured.get().split("\n")))

    def raw(self, text: str) -> None:
        """As it is, in every format: a header's value, a script."""
        self._stream.write(text if text.endswith("\n") else text + "\n")

    # -- beside the answers

    def note(self, text: str) -> None:
        """For a person, on stderr; not with -q."""
        if not self.wishes.quiet:
            self.err.print(Text(text, style="dim"))

    def progress(self, words: str, total: int | None = None) -> AbstractContextManager[Step]:
        """Around long work; call what it gives with how much is done."""
        return progress(self.err, words, total, quiet=self.wishes.quiet, lines=self.format == "jsonl")

    def warn(self, text: str) -> None:
        """For a person, on stderr."""
        self.err.print(Text.assemble(("warning: ", "yellow"), text))

    def error(self, error: OpsError) -> None:
        """Why the command ended: for a program one JSON object, else words. On stderr."""
        if self.format in {"json", "jsonl"}:
            told = {"error": error.message, "detail": error.detail, "exit": int(error.code), "hint": error.hint}
            self.err.file.write(json.dumps({**told, **error.facts}, default=str) + "\n")
            return
        self.err.print(Text.assemble(("error: ", "bold red"), (_clean(error.message), "bold")))
        if error.detail:
            self.err.print(Padding(Text(_clean(error.detail)), (0, 0, 0, 2), expand=False))
        for name, value in error.facts.items():
            if name in ONLY_VERBOSE and not self.wishes.verbose:
                continue
            self._fact(name, "dim", str(value))
        if error.hint:
            self._fact("hint", "cyan", error.hint)

    def _fact(self, name: str, style: str, value: str) -> None:
        row = Table.grid(padding=(0, 1))
        row.add_column(width=FACT_COLUMNS, no_wrap=True)
        row.add_column(overflow="fold")
        row.add_row(Text(f"  {name}", style=style), Text(_clean(value)))
        self.err.print(row)

    # -- forms

    def _narrow(self, item: Json) -> Json:
        """The members of --fields. Raises OpsError for one that there is not."""
        for name in self.wishes.fields:
            if name not in item:
                near = get_close_matches(name, item, 1)
                hint = f"did you mean {near[0]}?" if near else f"there are: {', '.join(item)}"
                raise usage(f"no field {name!r} in this answer", hint)
        return {name: item[name] for name in self.wishes.fields} if self.wishes.fields else item

    def _columns(self, columns: Sequence[Column]) -> Sequence[Column]:
        return [Column(name, name) for name in self.wishes.fields] if self.wishes.fields else columns

    def _json(self, value: Json) -> None:
        self._stream.write(json.dumps(value, indent=2, default=str, ensure_ascii=False) + "\n")

    def _lines(self, items: Iterable[Json]) -> None:
        for item in items:
            self._stream.write(json.dumps(item, default=str, ensure_ascii=False) + "\n")

    def _csv(self, items: Sequence[Json], columns: Sequence[Column]) -> None:
        """Members that have members are JSON inside their field; without items the names of the table's columns."""
        known = [column.value for column in self._columns(columns) if isinstance(column.value, str)]
        names = list(dict.fromkeys(name for item in items for name in item)) or known
        writer = csv.writer(self._stream, lineterminator="\n")
        writer.writerow(names)
        for item in items:
            writer.writerow([_field(item.get(name)) for name in names])


def _field(value: object) -> object:
    return json.dumps(value, default=str) if isinstance(value, dict | list) else value


def _clean(text: str) -> str:
    return "".join(letter if letter.isprintable() else "�" for letter in text)


def _console(stream: TextIO, wishes: Wishes) -> Console:
    """NO_COLOR and --no-color take colour away, FORCE_COLOR gives it also to a file; a terminal has it otherwise."""
    terminal = stream.isatty()
    refused = wishes.no_color or bool(os.environ.get("NO_COLOR"))
    coloured = not refused and (terminal or bool(os.environ.get("FORCE_COLOR")))
    return Console(
        file=stream,
        force_terminal=terminal or coloured,
        color_system=("auto" if terminal else "standard") if coloured else None,
        no_color=not coloured,
        width=None if terminal else PLAIN_COLUMNS,
        highlight=False, markup=False, emoji=False,
    )  # fmt: skip
