"""Trouble of HTTP itself: the same on every route, whatever is asked."""

from __future__ import annotations

from contracts.problems.kinds import ProblemType

SAME_KEY = "Send the same request again with the same Idempotency-Key: it takes effect once, however often it comes."
NOTHING_DONE = "Nothing was done."

BODIES = (
    ProblemType(
        slug="malformed-json", status=400,
        meaning="The body is empty, is not JSON, or goes on after its end. " + NOTHING_DONE,
        action="Send one JSON document in UTF-8, without a byte order mark.",
    ),
    ProblemType(
        slug="duplicate-member", status=400,
        meaning="An object of the body names a member twice, so nobody can say which value is meant. " + NOTHING_DONE,
        action="Name each member once.",
    ),
    ProblemType(
        slug="json-too-deep", status=400,
        meaning="The body nests deeper than 16 levels. " + NOTHING_DONE,
        action="Send the documented form; none of ours is deeper than four levels.",
    ),
    ProblemType(
        slug="json-too-large", status=400,
        meaning="An object has more than 200 members or an array more than 1,000 items. " + NOTHING_DONE,
        action="Split the request; a bulk request takes up to 500 items.",
    ),
    ProblemType(
        slug="body-incomplete", status=400,
        meaning="The connection ended before the whole body had come. " + NOTHING_DONE,
        action="Send the request again on a new connection.",
    ),
    ProblemType(
        slug="request-timeout", status=408,
        meaning="The body did not arrive within 10 seconds. " + NOTHING_DONE,
        action="Send the request again on a new connection, without pauses in the body.",
    ),
    ProblemType(
        slug="body-too-large", status=413,
        meaning="The body is larger than this route reads: 64 KiB, for webhooks 256 KiB, for bulk requests 1 MiB. "
        + NOTHING_DONE,
        action="Split the request. `detail` names the limit in bytes.",
    ),
    ProblemType(
        slug="unsupported-media-type", status=415,
        meaning="The body is not declared as JSON. " + NOTHING_DONE,
        action="Send `Content-Type: application/json`.",
    ),
    ProblemType(
        slug="unsupported-content-coding", status=415,
        meaning="The body is compressed, which is not read here. " + NOTHING_DONE,
        action="Send the body as it is, without Content-Encoding.",
    ),
    ProblemType(
        slug="invalid-body", status=422,
        meaning="The body is JSON, but not in the documented form: a member is missing, unknown, of another type or "
        "out of its range. `errors` says where (`pointer`, a JSON pointer) and what (`code`). " + NOTHING_DONE,
        action="Correct the members that `errors` names and send the request with a new Idempotency-Key.",
    ),
    ProblemType(
        slug="invalid-request", status=422,
        meaning="A part of the request other than its body has a form that cannot be read. " + NOTHING_DONE,
        action="Compare the request with its description in the reference.",
    ),
)  # fmt: skip

HEADS = (
    ProblemType(
        slug="header-malformed", status=400,
        meaning="A header holds a line break. " + NOTHING_DONE,
        action="Send each header on one line.",
    ),
    ProblemType(
        slug="token-in-query", status=400,
        meaning="The address holds what looks like a token. Addresses end up in logs, so it is not accepted there. "
        + NOTHING_DONE,
        action="Send the token as `Authorization: Bearer <token>`, and treat the one that was sent as published.",
    ),
    ProblemType(
        slug="invalid-query", status=400,
        meaning="A parameter of the address is unknown, repeated, or not in its documented form. `errors` says which "
        "(`pointer`) and what (`code`).",
        action="Compare the parameters with the reference of this route; times need an offset: `2026-03-02T09:30:00Z`.",
    ),
    ProblemType(
        slug="cursor-invalid", status=400,
        meaning="This cursor is not of this list with these filters and this caller, or too old.",
        action="Begin again without `cursor`; go on with the `next_cursor` of the page before, and the same filters.",
    ),
    ProblemType(
        slug="idempotency-key-missing", status=400,
        meaning="This request changes something and has no Idempotency-Key, so a repetition could not be told from a "
        "second wish. " + NOTHING_DONE,
        action="Choose a key for each wish (a UUID is a good one), keep it, and send it with every repetition.",
    ),
    ProblemType(
        slug="idempotency-key-malformed", status=400,
        meaning="The Idempotency-Key is empty, longer than 255 characters, not visible ASCII, sent twice, or an "
        "unusual spelling of a UUID. " + NOTHING_DONE,
        action="Send one header of 1 to 255 visible ASCII characters; a UUID in lower case without braces.",
    ),
    ProblemType(
        slug="not-found", status=404,
        meaning="There is no such thing, or it belongs to somebody else: the two are not told apart.",
        action="Check the address and the id; ids are UUIDs in lower case with hyphens.",
    ),
    ProblemType(
        slug="method-not-allowed", status=405,
        meaning="The address exists, but not with this method. `Allow` lists those that it has.",
        action="Use a method that `Allow` lists.",
    ),
    ProblemType(
        slug="uri-too-long", status=414,
        meaning="Path and query are longer than 4 KiB together.",
        action="Shorten the query; ask for pages instead of listing ids.",
    ),
    ProblemType(
        slug="headers-too-large", status=431,
        meaning="There are more than 100 headers, or they are larger than 16 KiB together.",
        action="Send fewer or shorter headers.",
    ),
)  # fmt: skip

CALLERS = (
    ProblemType(
        slug="token-invalid", status=401,
        meaning="There is no bearer token, or it is not valid (any more). Which fault it has is not said: it would "
        "only help a forger.",
        action="Log in again and send the new token as `Authorization: Bearer <token>`.",
    ),
    ProblemType(
        slug="refresh-token-invalid", status=401,
        meaning="The refresh token is unknown, used before, or its session is over.",
        action="Log in again with login and password.",
    ),
    ProblemType(
        slug="credentials-invalid", status=401,
        meaning="Login and password do not belong together. An unknown login gets the same answer.",
        action="Check both. Nothing is locked by a wrong password, but many of them are slowed down.",
    ),
    ProblemType(
        slug="webhook/invalid-signature", status=401,
        meaning="`X-Webhook-Signature` is missing, malformed, made with another secret or over other bytes, or its "
        "time is more than 300 seconds from ours. The report was not acted upon; its bytes are kept as evidence.",
        action="Sign exactly the bytes that are sent, with the current secret and time: "
        "`t=<unix seconds>,kid=<key id>,v1=<hex HMAC-SHA256(secret, \"<t>.\" + body)>`. Then send again.",
    ),
    ProblemType(
        slug="forbidden", status=403,
        meaning="The token is valid, but its role does not allow this request.",
        action="Ask with a user who has one of the roles that the reference names for this route.",
    ),
)  # fmt: skip

OURS = (
    ProblemType(
        slug="internal-error", status=500,
        meaning="An error on our side; it was recorded under `trace_id`. Whether something was done is not known.",
        action=SAME_KEY + " If it stays, tell us the `trace_id`.",
    ),
    ProblemType(
        slug="rate-limited", status=429,
        meaning="More requests came from this user or address within a minute than are taken. " + NOTHING_DONE,
        action="Wait for as many seconds as `Retry-After` says; `RateLimit` and `RateLimit-Policy` on every answer say "
        "how many are left. " + SAME_KEY,
    ),
    ProblemType(
        slug="db-pool-exhausted", status=503,
        meaning="All database sessions of a service are busy, and were for as long as a request may wait. "
        + NOTHING_DONE,
        action="Wait for as many seconds as `Retry-After` says. " + SAME_KEY,
    ),
    ProblemType(
        slug="overloaded", status=503,
        meaning="A process works on as many requests as it takes at once. " + NOTHING_DONE,
        action="Wait for as many seconds as `Retry-After` says, longer each time. " + SAME_KEY,
    ),
    ProblemType(
        slug="maintenance", status=503,
        meaning="We are in maintenance: nothing that customers would change is taken. Reading goes on, and so do the "
        "reports of partners. " + NOTHING_DONE,
        action="Wait for as many seconds as `Retry-After` says. " + SAME_KEY,
    ),
    ProblemType(
        slug="not-configured", status=503,
        meaning="This installation does not run the service that owns this address. " + NOTHING_DONE,
        action="Ask the people who run it; repeating does not help.",
    ),
    ProblemType(
        slug="temporarily-unavailable", status=503,
        meaning="Something that we need is away for the moment, or too many requests wait. "
        "Nothing was done, unless it failed at the very end: then it was done, and only the answer is missing.",
        action="Wait for as many seconds as `Retry-After` says. " + SAME_KEY,
    ),
    ProblemType(
        slug="gateway-timeout", status=504,
        meaning="The answer did not come within 30 seconds. The request may still be done.",
        action=SAME_KEY,
    ),
)  # fmt: skip

TYPES = (*BODIES, *HEADS, *CALLERS, *OURS)
