"""Is money moving? Asked of the door, of every process, of the books and of the queue of people."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable, Sequence
from datetime import UTC, datetime
from typing import Any

from services.ops_cli.checks import Check, run
from services.ops_cli.context import Context
from services.ops_cli.exits import Exit, OpsError
from services.ops_cli.reports import issues_of
from services.ops_cli.scrape import Process, highest, processes, total
from services.ops_cli.views import ago, span

UNPUBLISHED = "ops-cli review list --reason parked_stream"
OUTBOX_SECONDS_MAX = 30.0
LAG_SECONDS_MAX = 60.0
STUCK_SECONDS = 900.0  # paid in and not paid out for so long: somebody should look
OUTSIDE = "sandbox"  # the banks: they keep no events
LOOKED_AT = 200  # transfers of one page
ON_THEIR_WAY = ("FUNDING_CONFIRMED", "PAYOUT_INITIATED")


def look(ctx: Context) -> list[Check]:
    """Every row of the screen, in the order in which a person asks."""
    found = processes(ctx.target)
    return run(
        [
            ("door", lambda: door(ctx)),
            ("processes", lambda: running(found)),
            ("publishing", lambda: publishing(found)),
            ("consuming", lambda: consuming(found)),
            ("transfers", lambda: transfers(ctx)),
            ("deposits", lambda: deposits(ctx)),
            ("books", lambda: books(ctx)),
            ("halts", lambda: halts(ctx)),
            ("review", lambda: beside(lambda: reviews(ctx))),
            ("recon", lambda: beside(lambda: recon(ctx))),
        ]
    )


def beside(ask: Callable[[], Check]) -> Check:
    """Of a service that money does not pass through: that it is away is no reason to say that money stands still."""
    try:
        return ask()
    except OpsError as error:
        if error.code not in {Exit.UNAVAILABLE, Exit.TIMED_OUT, Exit.FAILED}:
            raise
        return Check("", "unknown", f"not answered: {error.message}", "ops-cli triage")


def door(ctx: Context) -> Check:
    """The public API with what it depends on."""
    report = ctx.http.get("/readyz", role=None)
    parts = [f"{name} {state}" for name, state in report.get("dependencies", {}).items() if state != "not_configured"]
    return Check("door", "ok", f"{ctx.target.base_url} is {report.get('status', 'ready')}; {', '.join(parts)}")


def running(found: Sequence[Process]) -> Check:
    """Those that the context lists."""
    if not found:
        return Check("processes", "unknown", "the context lists none, so only the door was asked")
    away = [each.name for each in found if not each.ready]
    if away:
        return Check("processes", "bad", f"not ready: {', '.join(away)}", "ops-cli triage names their logs")
    return Check("processes", "ok", f"{len(found)} of {len(found)} ready")


def publishing(found: Sequence[Process]) -> Check:
    """From the database to Kafka."""
    if not any(each.samples for each in found):
        return Check("publishing", "unknown", "no metrics to look at")
    waiting, oldest = total(found, "corridor_outbox_backlog"), highest(found, "corridor_outbox_oldest_seconds")
    words = (
        f"{waiting:,.0f} events wait for Kafka, the oldest {span(oldest)}" if waiting else "every event is published"
    )
    if stuck := total(found, "corridor_outbox_stuck"):
        return Check("publishing", "bad", f"{stuck:,.0f} events can never be published; {words}", UNPUBLISHED)
    if oldest > OUTBOX_SECONDS_MAX:
        return Check("publishing", "bad", words, "is Kafka up? ops-cli doctor")
    return _as_far_as_told("publishing", words, found, "corridor_outbox_backlog")


def consuming(found: Sequence[Process]) -> Check:
    """From Kafka into each service, and what stands still because a person is needed."""
    if not any(each.samples for each in found):
        return Check("consuming", "unknown", "no metrics to look at")
    behind, parked = total(found, "corridor_consumer_lag_records"), total(found, "corridor_parked_streams")
    seconds = highest(found, "corridor_consumer_lag_seconds")
    if seconds > LAG_SECONDS_MAX:
        return Check("consuming", "bad", f"{behind:,.0f} records behind, {span(seconds)}", "ops-cli group lag")
    if away := [each.name for each in found if each.lacks("kafka")]:
        return Check("consuming", "bad", f"without Kafka: {', '.join(away)}", "is Kafka up? ops-cli doctor")
    if parked:
        return Check("consuming", "attention", f"{parked:,.0f} streams are parked and wait for a person", UNPUBLISHED)
    words = f"{behind:,.0f} records behind" if behind else "nobody is behind"
    return _as_far_as_told("consuming", words, found, "corridor_parked_streams")


def _as_far_as_told(name: str, words: str, found: Sequence[Process], metric: str) -> Check:
    """Good only when everybody said so. What does not answer, or has not measured yet, may be what stands still."""
    silent = [each.name for each in found if each.name != OUTSIDE and not each.values(metric)]
    if silent:
        return Check(name, "unknown", f"{words}, but nothing is known of {', '.join(silent)}", "ops-cli group lag")
    return Check(name, "ok", words)


def transfers(ctx: Context) -> Check:
    """The newest of them by state; what was paid in long ago and is not out yet."""
    page = ctx.http.get("/v1/transfers", {"limit": LOOKED_AT})
    items, more = page["items"], page.get("next_cursor")
    if not items:
        return Check("transfers", "ok", "none yet")
    counts = Counter(item["state"] for item in items)
    words = (
        f"{'newest ' if more else ''}{len(items)}: {said(counts)}; the last was opened {_ago(items[0]['opened_at'])}"
    )
    stuck = [each for each in items if each["state"] in ON_THEIR_WAY and _age(each["opened_at"]) > STUCK_SECONDS]
    if stuck:
        return Check(
            "transfers", "attention", f"{words}; {len(stuck)} are on their way for more than {span(STUCK_SECONDS)}",
            f"ops-cli transfer inspect {stuck[-1]['transfer_id']}",
        )  # fmt: skip
    return Check("transfers", "ok", words)


def deposits(ctx: Context) -> Check:
    """Money that came in and fits nothing."""
    waiting = ctx.http.get("/v1/deposits/waiting")["deposits"]
    persons = [each for each in waiting if each["needs_a_person"]]
    if persons:
        return Check(
            "deposits",
            "attention",
            f"money on {len(persons)} routes fits no transfer",
            "ops-cli deposit list --waiting",
        )
    grace = f"{len(waiting)} routes may still find their transfer" if waiting else "no route waits for its transfer"
    return Check("deposits", "ok", grace)


def reviews(ctx: Context) -> Check:
    """What waits for a person, by reason."""
    page = ctx.http.get("/v1/reviews", {"limit": 1})
    items = page["items"]
    if not items:
        return Check("review", "ok", "nothing waits for a person")
    counts = Counter({reason: number for reason, number in page["counts"].items() if number})
    words = f"{counts.total()} wait for a person: {said(counts)}; the oldest for {ago(items[0]['opened_at'])}"
    return Check("review", "attention", words, "ops-cli review list")


def books(ctx: Context) -> Check:
    """Both sides of every currency."""
    currencies = ctx.http.get("/v1/ledger/trial-balance")["currencies"]
    wrong = [each["currency"] for each in currencies if each["difference_minor"] != 0]
    if wrong:
        return Check("books", "bad", f"do not balance: {', '.join(wrong)}", "ops-cli ledger trial-balance")
    return Check("books", "ok", f"balance in {', '.join(each['currency'] for each in currencies) or 'no currency yet'}")


def halts(ctx: Context) -> Check:
    """Currencies in which no new money moves."""
    found = [each for each in ctx.http.get("/v1/ledger/halts")["halts"] if each["state"] != "RESUMED"]
    if found:
        names = ", ".join(each["currency"] for each in found)
        return Check("halts", "bad", f"no new money moves in {names}: the books are wrong", "ops-cli ledger halt list")
    return Check("halts", "ok", "money moves in every currency")


def recon(ctx: Context) -> Check:
    """The last run."""
    runs = ctx.http.get("/v1/recon/runs", {"limit": 1})["items"]
    if not runs:
        return Check("recon", "attention", "never run", 'ops-cli recon run --reason "first reconciliation"')
    last = runs[0]
    issues = issues_of(last)
    when = _ago(last.get("completed_at") or last.get("started_at"))
    if last["status"] == "failed":
        return Check("recon", "attention", f"the last run failed, {when}", f"ops-cli recon get {last['run_id']}")
    if issues:
        return Check("recon", "attention", f"{issues} differences, {when}", f"ops-cli recon get {last['run_id']}")
    return Check("recon", "ok", f"no difference, {when}")


def said(counts: Counter[str]) -> str:
    """`3 PAYOUT_INITIATED, 1 CANCELLED`."""
    return ", ".join(f"{number} {name}" for name, number in counts.most_common())


def _ago(text: str | None) -> str:
    return f"{ago(text)} ago" if text else "not finished"


def _age(text: str, now: Callable[[Any], datetime] = datetime.now) -> float:
    return (now(UTC) - datetime.fromisoformat(text)).total_seconds()
