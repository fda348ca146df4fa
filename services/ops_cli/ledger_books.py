"""The ledger's books, for `ledger verify`: which checks there are, where facts come from, where a finding is shown."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from services.kernel.book_audit import Books
from services.kernel.book_check import Chart, Finding
from services.kernel.book_missing import Inflow
from services.kernel.migrations.run import SCHEMAS
from services.kernel.operations import operating
from services.ledger.domain.chart import CHART
from services.ops_cli import ledger_own
from services.ops_cli.ledger_judge import HEARD

CHECKS: Mapping[str, str] = {
    "numbers": "entries are numbered from 1 to the head of the book without a gap",
    "chart": "chart, accounts and balances are as the chart of accounts of this release says",
    "L1": "each entry's debits are its credits, in each currency",
    "L2": "all debits are all credits, in each currency",
    "L3": "an entry has two lines or more, each above zero and in the currency of its account",
    "L4": "no protected account was overdrawn after any entry",
    "L5": "each hold is resolved once at most; open holds are what their postings have left in the accounts",
    "L6": "what is settled in blocks has the digests and sums that were published then",
    "L7": "one cause, one entry of a kind",
    "L8": "what a customer's money became is what the locked rate and the documented rounding say",
    "L9": "each balance is the sum of its postings",
    "L10a": "the ledger's own events, replayed into an empty book, give these entries, byte for byte",
    "L10b": "the facts of other services, put through the ledger again, give these entries: none missing, none more",
}
LINKS = "SELECT entry_seq::text, transfer_id::text, cause_id::text FROM entry WHERE entry_seq = ANY($1)"
SEQ_MAX = 2**63


def books(dsn: str, bootstrap: str | None, epoch: int) -> Books:
    """Those of this system."""
    return Books(
        dsn=dsn,
        schema=SCHEMAS["ledger"],
        judge="services.ops_cli.ledger_judge:judge",
        chart=Chart(kinds={line.kind: (line.account_class, line.protected) for line in CHART}),
        inflow=Inflow(
            topics={SCHEMAS[topic.writer]: topic.name for topic in HEARD}, consumer="ledger", bootstrap=bootstrap,
            epoch=epoch,
        ),
        own={"chart": (ledger_own.chart,), "L5": (ledger_own.holds,), "L6": (ledger_own.blocks,)},
    )  # fmt: skip


async def links(target: Books, examples: Iterable[Finding]) -> Mapping[Finding, str]:
    """By finding, the command that shows more of it."""
    examples = list(examples)
    seqs = [seq for each in examples if each.of == "entry" and abs(seq := int(each.id)) < SEQ_MAX]
    entries = {}
    if seqs:
        async with operating(target.dsn, target.schema) as session:
            entries = {row[0]: row for row in await session.connection.fetch(LINKS, seqs)}
    return {each: command for each in examples if (command := _command(each, entries))}


def _command(finding: Finding, entries: Mapping[str, Any]) -> str | None:
    match finding.of:
        case "account":
            return f"ops-cli ledger account get {finding.id}"
        case "event":
            return f"ops-cli event get {finding.id}"
        case "stream":
            return f"ops-cli event list --stream {finding.id}"
        case "currency":
            return "ops-cli ledger trial-balance"
        case "entry" if finding.id in entries:
            _, transfer_id, cause_id = entries[finding.id]
            return f"ops-cli ledger entries {transfer_id}" if transfer_id else f"ops-cli event get {cause_id}"
        case _:
            return None
