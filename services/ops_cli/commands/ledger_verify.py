"""ops-cli ledger verify: the proof of the books."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Annotated, Any

from cyclopts import Parameter
from rich.console import Group, RenderableType
from rich.text import Text

from services.kernel.book_audit import audit
from services.kernel.book_check import Finding, Verdict, Verdicts
from services.kernel.store import Unavailable
from services.ops_cli.context import Context, Ctx
from services.ops_cli.exits import Exit, OpsError, usage
from services.ops_cli.ledger_books import CHECKS, books, links
from services.ops_cli.past_http import done
from services.ops_cli.phases import phases
from services.ops_cli.tables import BAD, GOOD, WAITING, Column

Only = Annotated[str | None, Parameter(name=["--only"])]


def _mark(item: Mapping[str, Any]) -> Text:
    if item["wrong"]:
        return Text("WRONG", BAD)
    return Text("right", WAITING if item["waiting"] else GOOD)


COLUMNS = [
    Column("", _mark),
    Column("check", "check"),
    Column("what holds", "rule", fold=True),
    Column("looked at", lambda item: f"{item['looked']:,}", right=True),
    Column("wrong", lambda item: f"{item['wrong']:,}", right=True),
    Column("seconds", lambda item: f"{item['seconds']:.1f}", right=True, drop=1),
]


def verify(*, only: Only = None, ctx: Ctx) -> int:
    """Prove the books: every invariant anew, and all entries again from events. Ends with 6 when one does not hold.

    In one snapshot of the database, which is only read: it may run at any time, also while the ledger is down. What is
    on its way to the ledger is counted as waiting and is no difference. Ends with 10 when it could not be made.

    Example: ops-cli ledger verify

    Parameters
    ----------
    only
        Some of the checks: `L1,L9`, or `L10` for both of its parts.
    """
    names = chosen(only)
    with phases(ctx.out, "verify") as reports:
        found, urls = done(_prove(ctx, names, reports))
    items = [_item(name, verdict, urls) for name, verdict in found.of.items()]
    answer = {"right": found.is_clean, "counts": dict(found.counts), "checks": items}
    if ctx.out.format in {"csv", "jsonl"}:
        ctx.out.rows(items, COLUMNS[1:], none="")
    else:
        ctx.out.show(answer, lambda: _page(ctx, found, items))
    return Exit.DONE if found.is_clean else Exit.ANSWER_IS_NO


def chosen(only: str | None) -> list[str]:
    """In their order. Raises OpsError for a check that there is not."""
    if only is None:
        return list(CHECKS)
    wanted = [word.strip() for word in only.split(",") if word.strip()]
    names = [name for name in CHECKS if any(_is_called(name, word) for word in wanted)]
    unknown = [word for word in wanted if not any(_is_called(name, word) for name in CHECKS)]
    if unknown or not names:
        raise usage(f"no check {', '.join(unknown) or only!r}", f"there are: {', '.join(CHECKS)}")
    return names


def _is_called(name: str, word: str) -> bool:
    return word.lower() in {name.lower(), name.lower().rstrip("ab")}


async def _prove(ctx: Context, names: list[str], reports: Any) -> tuple[Verdicts, Mapping[Finding, str]]:
    if ctx.target.database_url is None:
        raise OpsError(
            Exit.PRECONDITION,
            f"the context {ctx.target.name} does not say where the database is",
            hint="add database_url (the role corridor_oncall) to it, or set OPS_DATABASE_URL",
        )
    target = books(ctx.target.database_url, ctx.target.kafka_bootstrap, ctx.target.epoch)
    try:
        found = await audit(target, names, reports)
    except Unavailable as error:
        hint = "only reading was tried; safe to try again"
        raise OpsError(Exit.UNAVAILABLE, f"the books could not be checked: {error}", hint=hint) from error
    examples = [finding for verdict in found.of.values() for finding in verdict.examples]
    return found, await links(target, examples)


def _item(name: str, verdict: Verdict, urls: Mapping[Finding, str]) -> dict[str, Any]:
    return {
        "check": name,
        "rule": CHECKS[name],
        "right": not verdict.wrong,
        "looked": verdict.looked,
        "wrong": verdict.wrong,
        "waiting": verdict.waiting,
        "seconds": round(verdict.seconds, 3),
        "examples": [
            {"of": each.of, "id": each.id, "what": each.what, "see": urls.get(each)} for each in verdict.examples
        ],
        "notes": verdict.notes,
    }  # fmt: skip


def _page(ctx: Context, found: Verdicts, items: list[dict[str, Any]]) -> RenderableType:
    parts: list[RenderableType] = [ctx.out.table(items, COLUMNS)]
    for item in items:
        if item["examples"] or item["waiting"] or item["notes"]:
            parts += [Text(), _details(item)]
    counts = ", ".join(f"{count:,} {name}" for name, count in found.counts.items())
    verdict = Text("the books are proven", "bold green") if found.is_clean else Text("the books are wrong", "bold red")
    return Group(*parts, Text(), Text.assemble(verdict, f": {counts}"))


def _details(item: Mapping[str, Any]) -> Text:
    text = Text(item["check"], style="bold")
    if item["waiting"]:
        text.append(f"\n  {item['waiting']:,} facts are on their way to the ledger", style="not bold")
    for note in item["notes"]:
        text.append(f"\n  {note}", style="not bold yellow")
    for each in item["examples"]:
        text.append(f"\n  {each['of']} {each['id']}  {each['what']}", style="not bold")
        if each["see"]:
            text.append(f"\n      {each['see']}", style="not bold cyan")
    left = item["wrong"] - len(item["examples"])
    if left > 0:
        text.append(f"\n  and {left:,} more", style="not bold")
    return text
