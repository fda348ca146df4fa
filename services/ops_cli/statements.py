"""A whole statement as CSV: written as it comes, to a file or to stdout, and known to be whole at its end."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.ops_cli.client import PAGES_MAX
from services.ops_cli.context import Context
from services.ops_cli.exits import Exit, OpsError

CSV = {"Accept": "text/csv"}
CLOSING, MORE = b"closing", b"more"  # what the last row of an answer begins with


def write_statement(ctx: Context, path: str, params: Mapping[str, str | None]) -> None:
    """The head once. Raises OpsError, and leaves no file, when the answer broke off before its closing."""
    file = ctx.out.take_file()
    try:
        with ctx.out.progress("writing") as step:
            for number, line in enumerate(lines_of(ctx, path, params)):
                if file:
                    file.write(line)
                else:
                    ctx.out.raw(line.decode())
                if number % 1_000 == 0:
                    step(number)
        if file:
            file.commit()
            ctx.out.note(f"wrote {file.path}")
    finally:
        if file:
            file.discard()  # nothing, once it is in its place


def lines_of(ctx: Context, path: str, params: Mapping[str, str | None]) -> Iterator[bytes]:
    """Every line of all answers, each answer's head but the first one's left out. Raises OpsError."""
    cursor, head = None, b""
    for _ in range(PAGES_MAX):
        line = b""
        for line in split(ctx.http.parts(path, {**params, "cursor": cursor}, headers=CSV)):
            if not head or (line != head and not line.startswith(MORE)):
                yield line
            head = head or line
        kind = line.partition(b",")[0]
        if kind == CLOSING:
            return
        if kind != MORE:
            break
        cursor = line.rpartition(b",")[2].strip().decode()
    raise OpsError(Exit.FAILED, "the statement broke off before its end", hint="nothing was kept; ask again")


def split(parts: Iterator[bytes]) -> Iterator[bytes]:
    """Whole lines, each with its end."""
    rest = b""
    for part in parts:
        *lines, rest = (rest + part).split(b"\n")
        yield from (line + b"\n" for line in lines)
    if rest:
        yield rest
