"""The root of the commands: their table, the options that all of them understand, and how any of them ends."""

from __future__ import annotations

import os
import sys
from collections.abc import Sequence
from contextlib import suppress
from dataclasses import fields
from difflib import get_close_matches
from typing import Annotated, Any

from cyclopts import App, CycloptsError, Group, Parameter
from cyclopts.exceptions import UnknownOptionError

from services.ops_cli.context import Context, Globals
from services.ops_cli.exits import Exit, OpsError
from services.ops_cli.output import Output, Wishes

KEEPS_FILE = {Exit.DONE, Exit.ANSWER_IS_NO, Exit.WAITS_FOR_SECOND, Exit.PARTLY_FAILED}  # there is an answer

# name -> what it is for; the command is `app` of commands/<name>.py, read only when it is used
COMMANDS = {
    "status": "Is money moving? One screen.\n\nExample: ops-cli status --watch",
    "triage": "The on-call's four questions, answered in order.\n\nExample: ops-cli triage",
    "doctor": "Is the set-up sound?\n\nExample: ops-cli doctor",
    "quote": "Prices: what a customer pays, what arrives, until when it is promised.",
    "transfer": "Transfers: open, find, follow, cancel.",
    "deposit": "Deposits: money that came in, and whether it found its transfer.",
    "payout": "Payouts: what we told a bank to pay, and what it said.",
    "ledger": "The books: accounts, entries, and whether they balance.",
    "recon": "Reconciliation: deposits, transfers, payouts, ledger and the provider's book, compared.",
    "review": "What waits for a person, from all services.",
    "stuck": "What should have moved on and has not, of everything that waits.",
    "event": "Events: list, get, follow, and prove that nothing was altered.",
    "projection": "Read tables: what there is, make one anew, prove that one is right.",
    "topic": "Topics: what there is, make what is missing, look into one.",
    "group": "Consumers: how far behind they are.",
    "webhook": "Signatures of partners: make, send, check, listen.",
    "idempotency": "Request keys: what was answered under an Idempotency-Key.",
    "config": "The settings of the services, secrets masked; which system this is.",
    "completion": "A script that lets your shell complete ops-cli.\n\nExample: ops-cli completion bash",
    "version": "What runs here and there.\n\nExample: ops-cli version",
}

HELP = """Operate Corridor: see whether money moves, and find out why where it does not.

Example: ops-cli status
"""
NEXT = (
    "`ops-cli NOUN --help` lists its verbs, `ops-cli NOUN VERB --help` shows an example. Exit codes: 0 done, 1 failed, "
    "2 usage, 3 precondition, 4 not allowed, 5 not found, 6 the answer is no, 7 waits for a second person, "
    "8 timed out or still pending, 9 partly failed, 10 unavailable and safe to try again, 130 interrupted."
)

app = App(
    name="ops-cli",
    help=HELP,
    help_epilogue=NEXT,
    help_format="plaintext",
    version_flags=[],
    default_parameter=Parameter(negative=(), show_default=False),
)
app.meta.group_parameters = Group("Options of every command", sort_key=10)
for _name, _help in COMMANDS.items():
    app.command(f"services.ops_cli.commands.{_name}:app", name=_name, help=_help)


@app.meta.default
def start(
    *tokens: Annotated[str, Parameter(show=False, allow_leading_hyphen=True)],
    options: Globals = Globals(),  # noqa: B008 - frozen
) -> int:
    """Every invocation: the options of all commands first, then the command."""
    command, bound, ignored = app.parse_args(tokens, exit_on_error=False, print_error=False)
    if "ctx" not in ignored:  # --help
        return int(command(*bound.args, **bound.kwargs) or 0)
    context = Context(options)
    code = Exit.FAILED
    try:
        code = Exit(command(*bound.args, **bound.kwargs, ctx=context) or 0)
    except OpsError as error:
        context.out.error(error)
        code = error.code
    finally:
        context.close(keep=code in KEEPS_FILE)
    return code


def run(argv: Sequence[str]) -> int:
    """The exit code; never a traceback, unless OPS_DEBUG is set."""
    try:
        code = int(app.meta(list(argv), exit_on_error=False, print_error=False, result_action="return_value") or 0)
        sys.stdout.flush()  # a pipe that is closed is learned here, not at the interpreter's end
    except CycloptsError as error:
        return _say(OpsError(Exit.USAGE, _words(error), hint=_help_of(error)))
    except OpsError as error:
        return _say(error)
    except KeyboardInterrupt:
        return Exit.INTERRUPTED
    except SystemExit as end:
        return end.code if isinstance(end.code, int) else Exit.FAILED
    except BrokenPipeError:  # the reader has seen enough, as `head` does
        with suppress(OSError):
            os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return Exit.DONE
    except Exception as error:  # a person reads this; the traceback is for us
        if os.environ.get("OPS_DEBUG"):
            raise
        words = f"unexpected: {type(error).__name__}: {error}"
        return _say(OpsError(Exit.FAILED, words, hint="a fault of ours; OPS_DEBUG=1 shows where"))
    else:
        return code


def _say(error: OpsError) -> int:
    Output(Wishes()).error(error)
    return error.code


def _words(error: CycloptsError) -> str:
    words = " ".join(str(error).split()).rstrip(".")
    if isinstance(error, UnknownOptionError) and "Did you mean" not in words:
        typed = (error.token.keyword or error.token.value).split("=")[0]
        known = [f"--{each.name.replace('_', '-')}" for each in fields(Globals)]
        if near := get_close_matches(typed, known, 1):
            words += f". Did you mean {near[0]}?"
    return words


def _help_of(error: CycloptsError) -> str:
    chain: Any = error.command_chain or ()
    return f"see {' '.join(['ops-cli', *chain, '--help'])}"
