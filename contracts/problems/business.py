"""Refusals that a customer or a partner can meet: the request was understood, and the answer is no."""

from __future__ import annotations

from contracts.problems.kinds import ProblemType

NEW_KEY = "with a new Idempotency-Key"

REPEATED = (
    ProblemType(
        slug="idempotency-conflict", status=409,
        meaning="This Idempotency-Key was used before for another request: another route, path or value. The first one "
        "stands as it is, this one was not done.",
        action="Send the first request again to see its answer, or this one " + NEW_KEY + ".",
    ),
    ProblemType(
        slug="transfer-id-reused", status=409,
        meaning="The Idempotency-Key is old and was used for another transfer: another quote or other people.",
        action="Send this request " + NEW_KEY + ".",
    ),
    ProblemType(
        slug="quote-id-reused", status=409,
        meaning="The Idempotency-Key is old and was used for a quote of other terms or of somebody else.",
        action="Send this request " + NEW_KEY + ".",
    ),
    ProblemType(
        slug="profile-id-reused", status=409,
        meaning="The Idempotency-Key is old and was used for another profile.",
        action="Send this request " + NEW_KEY + ".",
    ),
)  # fmt: skip

QUOTES = (
    ProblemType(
        slug="corridor-unsupported", status=422,
        meaning="We do not send from this country to that one, or not in this currency.",
        action="Choose one of `GET /v1/corridors`.",
    ),
    ProblemType(
        slug="currency-unsupported", status=422,
        meaning="This is no ISO 4217 currency, or one that we do not serve.",
        action="Send the three capital letters of a currency of `GET /v1/corridors`.",
    ),
    ProblemType(
        slug="amount-outside-limits", status=422,
        meaning="The amount is below the least or above the most that this corridor takes."
        ,
        action="Choose an amount between `send_minor_min` and `send_minor_max` of the corridor.",
    ),
    ProblemType(
        slug="amount-out-of-range", status=422,
        meaning="An amount is negative, or larger than any that can be booked.",
        action="Send a whole number of minor units: 10000 is 100.00 GBP.",
    ),
    ProblemType(
        slug="currency-mismatch", status=422,
        meaning="Two amounts that belong together are in different currencies.",
        action="Send the amount in the currency that the corridor, quote or transfer names.",
    ),
    ProblemType(
        slug="rate-invalid", status=422,
        meaning="An exchange rate is not a positive decimal number, or is not between these currencies.",
        action="Ask for a quote again; if it stays, tell us the `trace_id`.",
    ),
    ProblemType(
        slug="rate-stale", status=503,
        meaning="The newest published exchange rate is too old to promise anything by. No quote was made.",
        action="Ask again in a minute with the same Idempotency-Key.",
    ),
    ProblemType(
        slug="rate-unavailable", status=503,
        meaning="No published exchange rate can be had at the moment. No quote was made.",
        action="Ask again in a minute with the same Idempotency-Key.",
    ),
    ProblemType(
        slug="quote-not-found", status=404,
        meaning="There is no such quote, or it belongs to somebody else.",
        action="Use the `quote_id` that `POST /v1/quotes` gave to this customer.",
    ),
)  # fmt: skip

TRANSFERS = (
    ProblemType(
        slug="quote-expired", status=409,
        meaning="The quote is dead: its `expires_at` has passed. No transfer was opened.",
        action="Ask for a new quote and open the transfer with it, " + NEW_KEY + ".",
    ),
    ProblemType(
        slug="quote-used", status=409,
        meaning="Another transfer has this quote: a price is promised for one transfer.",
        action="Ask for a new quote and open the transfer with it, " + NEW_KEY + ".",
    ),
    ProblemType(
        slug="sender-not-found", status=404,
        meaning="There is no such sender, or the profile is a receiver or belongs to somebody else.",
        action="Use a profile of kind `sender` of this customer.",
    ),
    ProblemType(
        slug="receiver-not-found", status=404,
        meaning="There is no such receiver, or the profile is a sender or belongs to somebody else.",
        action="Use a profile of kind `receiver` of this customer.",
    ),
    ProblemType(
        slug="sender-kyc-required", status=409,
        meaning="The sender has not passed KYC (yet). No transfer was opened.",
        action="Wait until `kyc` of the profile is `approved`, then send the request " + NEW_KEY + ".",
    ),
    ProblemType(
        slug="receiver-kyc-required", status=409,
        meaning="The receiver has not passed KYC (yet). No transfer was opened.",
        action="Wait until `kyc` of the profile is `approved`, then send the request " + NEW_KEY + ".",
    ),
    ProblemType(
        slug="route-taken", status=409,
        meaning="Another transfer has this deposit route. No transfer was opened.",
        action="Send the request again " + NEW_KEY + ".",
    ),
    ProblemType(
        slug="transfer-not-found", status=404,
        meaning="There is no such transfer, or it belongs to somebody else.",
        action="Use the `transfer_id` that `POST /v1/transfers` gave to this customer.",
    ),
    ProblemType(
        slug="illegal-transition", status=409,
        meaning="The transfer has gone too far for this, or is over. `detail` names its state; it stays as it is.",
        action="Look at the transfer. Money that has arrived can only be returned by an operator.",
    ),
    ProblemType(
        slug="payout-not-found", status=404,
        meaning="There is no such payout, or it belongs to somebody else.",
        action="Use the `payout_id` that the transfer names once its payout has begun.",
    ),
)  # fmt: skip

PEOPLE = (
    ProblemType(
        slug="profile-not-found", status=404,
        meaning="There is no such profile, or it belongs to somebody else.",
        action="Use the `profile_id` that `POST /v1/profiles` gave.",
    ),
    ProblemType(
        slug="account-required", status=422,
        meaning="A receiver needs an account to be paid on.",
        action="Send `account`: an IBAN or local number, without blanks, " + NEW_KEY + ".",
    ),
    ProblemType(
        slug="account-unexpected", status=422,
        meaning="A sender has no account with us: money comes in by its route.",
        action="Leave `account` out, " + NEW_KEY + ".",
    ),
    ProblemType(
        slug="login-taken", status=409,
        meaning="Somebody has this login already.",
        action="Choose another login.",
    ),
    ProblemType(
        slug="user-registered-otherwise", status=409,
        meaning="This login is registered already, with another password or role. It stays as it is.",
        action="Log in with the password of then, or choose another login.",
    ),
    ProblemType(
        slug="role-required", status=422,
        meaning="A user needs at least one role.",
        action="Name one of `customer`, `operator`, `admin`.",
    ),
)  # fmt: skip

PARTNERS = (
    ProblemType(
        slug="webhook/reference-mismatch", status=409, code="REFERENCE_MISMATCH",
        title="This reference was used before for another deposit",
        meaning="The same reference was reported before with another amount, currency or route. The first report "
        "stands; this one is kept with all its bytes, and a person looks at both.",
        action="Do not repeat it. If both deposits are real, report the second under a reference of its own; if one "
        "was a mistake, tell us which.",
    ),
    ProblemType(
        slug="webhook-body-invalid", status=422,
        meaning="The signature is right, but the report cannot be read. `errors` says where (`pointer`) and what "
        "(`code`). Its bytes are kept; no money was taken note of.",
        action="Correct the members that `errors` names, sign the new bytes and send them.",
    ),
    ProblemType(
        slug="callback-unreadable", status=422,
        meaning="One item of a callback cannot be read. It is kept with the bytes; its neighbours are taken.",
        action="Compare the item with the reference: an unknown status or a wrong `end_to_end_id` is not taken.",
    ),
)  # fmt: skip

TYPES = (*REPEATED, *QUOTES, *TRANSFERS, *PEOPLE, *PARTNERS)
