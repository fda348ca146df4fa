"""Refusals that only people who run the system can meet."""

from __future__ import annotations

from contracts.problems.kinds import ProblemType

TYPES = (
    ProblemType(
        slug="filter-invalid", status=400,
        meaning="The query does not say what to look for, or not in a form that can be read.",
        action="Compare the query with the reference of this route; `detail` says what is missing.",
    ),
    ProblemType(
        slug="review-not-found", status=404,
        meaning="There is no such item in the review queue, or it was closed long ago.",
        action="Use a `review_id` of `GET /v1/reviews`.",
    ),
    ProblemType(
        slug="reason-required", status=400,
        meaning="This needs a reason that is not blank, for the audit trail. Nothing was changed.",
        action="Send `reason`: who reads it later should understand why.",
    ),
    ProblemType(
        slug="kyc-already-decided", status=409,
        meaning="This person was rejected before, and a rejection stands.",
        action="The customer may apply anew, with a new profile.",
    ),
    ProblemType(
        slug="route-not-found", status=404,
        meaning="No money and no transfer is known on this route.",
        action="Use the `route_id` of `GET /v1/deposits/waiting` or of the transfer.",
    ),
    ProblemType(
        slug="run-under-way", status=409,
        meaning="The books are being compared already: there is one run at a time. The attempt was recorded.",
        action="Ask for that run: `GET /v1/recon/runs?limit=1`; or come back after `Retry-After`.",
    ),
    ProblemType(
        slug="run-not-found", status=404,
        meaning="There is no run of the reconciliation with this id.",
        action="Use a `run_id` of `GET /v1/recon/runs`.",
    ),
    ProblemType(
        slug="statement-not-found", status=404,
        meaning="There is no statement of a partner with this id.",
        action="Use a `statement_id` of `GET /v1/reconciliation/statements`.",
    ),
    ProblemType(
        slug="statement-unreadable", status=422,
        meaning="Nothing of the file can be used: it is of another format, of an account that is not ours, or says too "
        "little of itself. A single line that cannot be read is no reason: it is parked and the rest is taken.",
        action="`detail` says what is wrong. Compare with `deploy/statement-maps.json`, or have the file sent again.",
    ),
    ProblemType(
        slug="account-not-found", status=404,
        meaning="Nothing was ever posted to this account.",
        action="Use an `account_id` of `GET /v1/ledger/accounts`.",
    ),
    ProblemType(
        slug="entry-not-found", status=404,
        meaning="There is no such entry in the books.",
        action="Use an `entry_id` of `GET /v1/ledger/entries`; by the event that caused it: `?cause_id=`.",
    ),
    ProblemType(
        slug="moment-not-found", status=404,
        meaning="The books have no entry of this number, and none of this id or caused by this event.",
        action="Use an `entry_seq`, `entry_id` or `cause_id` of `GET /v1/ledger/entries`, or a time.",
    ),
    ProblemType(
        slug="entry-invalid", status=422,
        meaning="These names and amounts make no entry of this kind. Nothing was posted.",
        action="Compare them with the kind's lines in docs/money-flows.md; `detail` says what differs.",
    ),
    ProblemType(
        slug="hold-not-found", status=404,
        meaning="There is no hold with this id.",
        action="Use the `hold_id` of the answer that placed it.",
    ),
    ProblemType(
        slug="hold-id-reused", status=409,
        meaning="The Idempotency-Key is old and was used for another hold. The first one stands.",
        action="Send this request with a new Idempotency-Key.",
    ),
    ProblemType(
        slug="hold-resolved", status=409,
        meaning="The hold was refused, posted or voided before. A hold is resolved once.",
        action="Ask for the hold: its state says what became of it.",
    ),
    ProblemType(
        slug="hold-exceeded", status=422,
        meaning="More than is held cannot be posted. The hold stands as it was.",
        action="Post no more than `amount_minor` of the hold.",
    ),
    ProblemType(
        slug="adjustment-invalid", status=422,
        meaning="The lines are no journal entry: too few, an account that the chart does not have, or not in balance.",
        action="`detail` says which rule is broken. Debits equal credits in each currency.",
    ),
    ProblemType(
        slug="adjustment-not-found", status=404,
        meaning="There is no adjustment with this id.",
        action="Use the `adjustment_id` of the answer that proposed it.",
    ),
    ProblemType(
        slug="adjustment-decided", status=409,
        meaning="The adjustment was approved, rejected or expired before.",
        action="Ask for it: its state says what became of it. Propose another one if it is still needed.",
    ),
    ProblemType(
        slug="second-person-required", status=403,
        meaning="Who proposes something that moves money does not approve it. Nothing was posted.",
        action="Ask somebody else to approve it.",
    ),
    ProblemType(
        slug="account-overdrawn", status=409,
        meaning="A protected account would have less than nothing. Nothing was posted.",
        action="Look at the account's balance, then propose lines that it covers.",
    ),
    ProblemType(
        slug="match-not-found", status=404,
        meaning="There is no such match of statement lines, or it was undone before.",
        action="Look at the account's matches: the line may be part of another one.",
    ),
    ProblemType(
        slug="undo-reason-invalid", status=422,
        meaning="A match is undone with a reason of 8 to 500 characters. Nothing was undone.",
        action="Say why the match is wrong.",
    ),
    ProblemType(
        slug="key-twice", status=422,
        meaning="Two movements or two lines have one key: nothing was matched.",
        action="This is our bug: report it with the account and the day.",
    ),
)  # fmt: skip
