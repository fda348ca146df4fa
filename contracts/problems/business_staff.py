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
        slug="account-not-found", status=404,
        meaning="Nothing was ever posted to this account.",
        action="Use an `account_id` of `GET /v1/ledger/trial-balance`.",
    ),
)  # fmt: skip
