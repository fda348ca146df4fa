"""Refusals that only people who run the system can meet."""

from __future__ import annotations

from contracts.problems.kinds import ProblemType

TYPES = (
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
        slug="account-not-found", status=404,
        meaning="Nothing was ever posted to this account.",
        action="Use an `account_id` of `GET /v1/ledger/trial-balance`.",
    ),
)  # fmt: skip
