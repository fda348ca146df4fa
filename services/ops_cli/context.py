"""What a command is given: where to, as whom, how to show it; and what every command understands."""

from __future__ import annotations

import json
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from functools import cached_property
from typing import Annotated, Any

from cyclopts import Parameter
from rich.text import Text

from services.ops_cli.client import Client
from services.ops_cli.exits import Exit, OpsError, usage
from services.ops_cli.output import Format, Output, Wishes
from services.ops_cli.target import Target, Who, find
from services.ops_cli.values import seconds

TIMEOUT_SECONDS = 30.0


@Parameter(name="*")
@dataclass(frozen=True, kw_only=True)
class Globals:
    """Understood by every command, anywhere on the line."""

    context: str | None = None
    """Which system: `local` (var/run/system.json) or a name of ~/.config/corridor/contexts.toml. Also OPS_CONTEXT."""
    env: str | None = None
    """Go on only if the context is of this environment: dev, staging, prod."""
    who: Annotated[Who | None, Parameter(name=["--as"])] = None
    """Whose token, where the context has several. Otherwise the role that the command needs."""
    format: Annotated[Format | None, Parameter(name=["-o"])] = None
    """How to show it. A table, unless the name of --output says otherwise."""
    json: bool = False
    """The same as -o json."""
    fields: str | None = None
    """Only these members of each item: a,b."""
    output: str | None = None
    """Write the answer to this file, whole or not at all."""
    timeout: str | None = None
    """How long to wait for an answer: 30s, 5m."""
    quiet: Annotated[bool, Parameter(name=["-q", "--quiet"])] = False
    """Nothing but answers and errors."""
    verbose: Annotated[bool, Parameter(name=["-v", "--verbose"])] = False
    """Each request with its status and time."""
    trace: bool = False
    """The traceparent and the request id of each request."""
    yes: Annotated[bool, Parameter(name=["--yes", "-y"])] = False
    """Answer every question with yes."""
    no_input: bool = False
    """Ask nothing: what would be asked is refused."""
    no_color: bool = False
    """Without colour; NO_COLOR and FORCE_COLOR are honoured."""

    def wishes(self) -> Wishes:
        """For Output. Raises OpsError when they contradict each other."""
        if self.json and self.format not in {None, "json"}:
            raise usage(f"--json and -o {self.format} contradict each other")
        fields = tuple(name.strip() for name in (self.fields or "").split(",") if name.strip())
        return Wishes(
            format="json" if self.json else self.format,
            fields=fields,
            file=self.output,
            quiet=self.quiet,
            verbose=self.verbose,
            no_color=self.no_color,
        )


class Context:
    """One invocation."""

    def __init__(self, options: Globals) -> None:
        """Raises OpsError for options that contradict each other, and for a file that cannot be written."""
        self.options = options
        self.out = Output(options.wishes())
        self.timeout_seconds = float(seconds(options.timeout)) if options.timeout else TIMEOUT_SECONDS
        if self.timeout_seconds <= 0:
            raise usage("--timeout must be above 0")

    @cached_property
    def target(self) -> Target:
        """Which system. Raises OpsError, also when --env names another environment."""
        found = find(self.options.context)
        wanted = self.options.env
        if wanted is not None and wanted != found.env:
            raise OpsError(
                Exit.PRECONDITION,
                f"--env {wanted}, but the context {found.name} is of {found.env}",
                hint="nothing was done; name the context that you mean: --context NAME",
            )
        return found

    @cached_property
    def http(self) -> Client:
        """Requests to it."""
        return Client(
            self.target,
            self.options.who,
            self.timeout_seconds,
            trace=self.out.note if self.options.trace else None,
            verbose=self.out.note if self.options.verbose else None,
        )

    def would_send(self, method: str, path: str, body: Mapping[str, Any]) -> None:
        """--dry-run: the request, and nothing sent."""
        self.out.show(
            {"method": method, "url": self.target.base_url + path, "body": body},
            lambda: Text(f"would send: {method} {self.target.base_url}{path}\n{json.dumps(body, indent=2)}"),
        )

    def sure(self, question: str) -> None:
        """Asked before what cannot be taken back. Raises OpsError for a no, and when nobody can be asked."""
        if self.options.yes:
            return
        if self.options.no_input or not sys.stdin.isatty():
            raise OpsError(Exit.PRECONDITION, "this needs a yes and nobody can be asked", hint="give --yes")
        self.out.err.print(f"{question} [y/N] ", end="")
        if sys.stdin.readline().strip().lower() not in {"y", "yes"}:
            raise OpsError(Exit.PRECONDITION, "not done: the answer was no")

    def close(self, *, keep: bool) -> None:
        """Ends connections; puts the file of --output in its place, or (`keep` false) leaves none."""
        if "http" in self.__dict__:
            self.http.close()
        self.out.finish(keep=keep)


Ctx = Annotated[Context, Parameter(parse=False)]
