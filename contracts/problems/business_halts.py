"""What is refused while the books are wrong in a currency, and on the way to let money move again."""

from __future__ import annotations

from contracts.problems.kinds import ProblemType

TYPES = (
    ProblemType(
        slug="currency-halted", status=503,
        meaning="Our books are being looked at in this currency, and no new transfer begins in it. Nothing was done. "
        "Transfers that were opened before are safe, deposits are booked, and everything can be read.",
        action="Send the same request again after `Retry-After`, with the same Idempotency-Key. Staff: `GET "
        "/v1/ledger/halts` says what was found.",
    ),
    ProblemType(
        slug="currency-not-halted", status=409,
        meaning="Money moves in this currency: there is no halt to lift.",
        action="Use a `currency` of `GET /v1/ledger/halts` whose state is not RESUMED.",
    ),
    ProblemType(
        slug="lift-not-requested", status=409,
        meaning="Nobody has asked to lift this halt, or something new was found after somebody did. It stands.",
        action="Look at what was found, `GET /v1/ledger/halts`; then ask: `POST "
        "/v1/ledger/halts/{currency}/lift-requests`. Another person approves.",
    ),
    ProblemType(
        slug="lift-already-requested", status=409,
        meaning="Another person has asked to lift this halt already. Nothing was changed.",
        action="If you agree, approve it: `POST /v1/ledger/halts/{currency}/lift-approvals`.",
    ),
)  # fmt: skip
