"""Why something waits for a person: the one table. docs/review-queue.md is made of it, and the API answers from it."""

from __future__ import annotations

from dataclasses import dataclass
from enum import StrEnum


class Reason(StrEnum):
    """A closed list: metrics have a series for each, from the start."""

    UNMATCHED_DEPOSIT = "unmatched_deposit"
    DEPOSIT_MISMATCH = "deposit_mismatch"
    REFERENCE_MISMATCH = "reference_mismatch"
    PAYOUT_UNKNOWN = "payout_unknown"
    PAYOUT_IN_REVIEW = "payout_in_review"
    PAYOUT_CONTRADICTED = "payout_contradicted"
    OVERDUE_STATE = "overdue_state"
    LATE_FUNDING = "late_funding"
    PARKED_STREAM = "parked_stream"
    RECONCILIATION_ISSUE = "reconciliation_issue"


@dataclass(frozen=True, slots=True, kw_only=True)
class Guidance:
    """What a reason means, what opens and closes an item, what a person does today, and what they will be able to do.

    `{link}` is the path of the item in the API.
    """

    means: str
    opened_by: str
    closed_by: str
    do: str
    later: str


GUIDANCE: dict[Reason, Guidance] = {
    Reason.UNMATCHED_DEPOSIT: Guidance(
        means="Money arrived on a route that no transfer has",
        opened_by="`deposit.mismatched` without a transfer, after the grace",
        closed_by="`deposit.confirmed`, when the transfer turns up; with money that does not fit it becomes a mismatch",
        do="GET {link} shows the money and its reports. Ask the partner who sent it and with which reference; "
        "money of a transfer that is opened later is matched by itself.",
        later="linking it to a transfer, or a refund",
    ),
    Reason.DEPOSIT_MISMATCH: Guidance(
        means="Money on the route of a transfer that is not what it waits for: short, over, late, surplus, "
        "or in another currency",
        opened_by="`deposit.mismatched` with a transfer",
        closed_by="`deposit.confirmed`, when the sum on the route has become right",
        do="GET {link} shows what was expected and what came. If it is short, ask the customer to pay the rest on "
        "the same route: the sum confirms by itself. Everything else stays in suspense.",
        later="taking it as it is, a new quote, or a refund",
    ),
    Reason.REFERENCE_MISMATCH: Guidance(
        means="A partner used a reference again for another amount, currency or route; no money was counted for it",
        opened_by="`deposit.reference_mismatched`",
        closed_by="nothing yet",
        do="GET {link} shows the route. Ask the partner which of the two reports is right; a real second deposit "
        "comes again under a reference of its own.",
        later="resolving it with a note, or taking the second report as it is",
    ),
    Reason.PAYOUT_UNKNOWN: Guidance(
        means="A payout went out and its answer did not come: the money may have left",
        opened_by="`payout.unknown`",
        closed_by="`payout.sent`, `payout.confirmed` or `payout.not_known_to_partner`, when the bank has answered; "
        "at its deadline it becomes `payout_in_review`",
        do="Wait: the bank is asked by our reference, and GET {link} shows what it said. Never pay it a second time.",
        later="asking the bank at once",
    ),
    Reason.PAYOUT_IN_REVIEW: Guidance(
        means="A payout was refused, or nothing more happens by itself",
        opened_by="`payout.refused`, `payout.review_required`",
        closed_by="`payout.confirmed`",
        do="GET {link} shows why. Ask the bank by the payout id: if it has paid, its callback confirms the payout; "
        "if not, the money stays with the customer.",
        later="retry, another route, confirm as paid, or a refund, each with a reason",
    ),
    Reason.PAYOUT_CONTRADICTED: Guidance(
        means="The bank said something that cannot follow: refused after it was confirmed, or another amount",
        opened_by="`payout.contradicted`",
        closed_by="nothing yet",
        do="GET {link} shows the payout and what was said. Compare with the bank's statement; no state has changed.",
        later="resolving it with a note",
    ),
    Reason.OVERDUE_STATE: Guidance(
        means="A transfer or a payout waits longer than its state may",
        opened_by="`transfer.overdue`, `payout.overdue`",
        closed_by="the next event that moves it on",
        do="GET {link} shows the state and since when. The timeline says what it waits for: "
        "an approval, the bank, or somebody's decision in this queue.",
        later="approving, retrying, or cancelling",
    ),
    Reason.LATE_FUNDING: Guidance(
        means="Money was confirmed for a transfer that had ended",
        opened_by="`transfer.late_funding_recorded`",
        closed_by="nothing yet",
        do="GET {link} shows the transfer. The money is in suspense: "
        "GET /v1/ledger/transfers/{transfer_id}/entries. Tell the customer that it will be sent back.",
        later="a refund, or a transfer anew",
    ),
    Reason.PARKED_STREAM: Guidance(
        means="A service could not handle an event, or publish it, and keeps it with all that follow it in its stream",
        opened_by="a record that a consumer parked, or an event that no broker takes (`relay`); no event says so, the "
        "services are asked",
        closed_by="the retry of the stream",
        do="The error names the fault. Compare `event_type` with the release that runs (GET /version), and mend or "
        "roll it back; nothing of the stream is lost meanwhile, and nothing of it goes on.",
        later="retrying the stream in order, once the fault is mended",
    ),
    Reason.RECONCILIATION_ISSUE: Guidance(
        means="Our books and another's differ",
        opened_by="`recon.issue_opened`",
        closed_by="`recon.issue_cleared`, when a later run finds them equal",
        do="GET {link} shows both sides of every issue of that run. What is only late goes with the next run: "
        'ops-cli recon run --reason "..." starts one.',
        later="resolving it with a note",
    ),
}


def page() -> str:
    """The table as Markdown."""
    head = "| reason | what it means | opened by | closed by | what to do today | later |\n|---|---|---|---|---|---|"
    return "\n".join([head, *(_row(reason, GUIDANCE[reason]) for reason in Reason)])


def _row(reason: Reason, words: Guidance) -> str:
    cells = (f"`{reason}`", words.means, words.opened_by, words.closed_by, words.do, words.later)
    return f"| {' | '.join(cells)} |"


def advice(reason: Reason, link: str, transfer_id: object) -> str:
    """What a person can do about it today, with the call, and what will come."""
    words = GUIDANCE[reason]
    today = words.do.replace("{link}", link).replace("{transfer_id}", str(transfer_id or "{transfer_id}"))
    return f"{today} Still to come as an action of this queue: {words.later}."
