"""What is open, as metrics say it: counted in the table of the issues when somebody scrapes."""

from __future__ import annotations

from services.kernel import metrics
from services.kernel.book import Reader

OPEN = "SELECT count(*) FROM reconciliation_issue WHERE cleared_at IS NULL"
COMPARED = """
    SELECT coalesce(extract(epoch FROM started_at), 0)::bigint FROM reconciliation_run
    WHERE status = 'completed' ORDER BY started_at DESC, seq DESC LIMIT 1"""


def show(db: Reader) -> None:
    """`corridor_recon_open_issues`, and when the books were last compared to the end (0: never)."""

    async def open_issues() -> float:
        return float((await db.fetch(OPEN))[0][0])

    async def compared() -> float:
        found = await db.fetch(COMPARED)
        return float(found[0][0]) if found else 0.0

    metrics.count_at_scrape("corridor_recon_open_issues", "Differences between the books that are open", open_issues)
    metrics.count_at_scrape(
        "corridor_recon_last_completed_run_timestamp_seconds",
        "When the last run that was completed had begun, since 1970; 0 when there was none",
        compared,
    )
