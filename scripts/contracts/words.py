"""What the reference says before it names a route: how to begin, and under which heading each route is shown."""

from __future__ import annotations

from collections.abc import Mapping

from services.kernel.webhook import HEADER

VERSION = "1.0.0"  # of the contract: additions only, within a first number
ABOUT = f"""\
Corridor sends money across borders: a customer asks for a **quote**, opens a **transfer** with it, pays in on the
transfer's **route**, and a **payout** reaches the receiver. What happens is an event that can be read, too: see
[the events](/docs/events).

**Money** is a whole number of minor units with its ISO 4217 currency: `10000` `GBP` is 100.00 pounds. There is no
fraction anywhere; an exchange rate is a decimal text.

**Tokens.** `POST /v1/auth/login` gives a bearer token; send it as `Authorization: Bearer TOKEN`. A route names the
roles that may call it. Partners sign the bytes of a report instead (`{HEADER.title()}`).

**Idempotency-Key.** What changes something needs one: choose a key for each wish and send it with every repetition. The
first answer is kept and repeated with `Idempotency-Replayed: true`; another request under the same key is refused
with `IDEMPOTENCY_CONFLICT`.

**Problems.** Whatever is refused is answered as `application/problem+json` (RFC 9457). `type` and `code` are the
contract, `detail` is for people. [Every type](/problems) has a page that says what to do.

**Unknown members** of an answer are to be ignored: answers may grow. Unknown members of a request are refused.
"""
TAGS: Mapping[str, tuple[str, str]] = {  # the step after /v1/: where it is shown, and what is there
    "auth": ("Sign in", "Tokens and who they belong to."),
    "me": ("Sign in", ""),
    "profiles": ("Profiles", "Senders and receivers, and whether they passed KYC."),
    "corridors": ("Quotes", "What it costs and what arrives, promised for some seconds."),
    "quotes": ("Quotes", ""),
    "transfers": ("Transfers", "From an accepted quote to the receiver's account."),
    "payouts": ("Payouts", "The way out: what a partner was told to pay."),
    "webhooks": ("Partners", "What partners report to us, signed over the raw bytes."),
    "deposits": ("Deposits", "For operators: money that came in."),
    "routes": ("Deposits", ""),
    "ledger": ("Ledger", "For operators: double entry, every number from the postings."),
    "reviews": ("Review", "For operators: everything that needs a person."),
    "recon": ("Reconciliation", "For operators: our books against the partners'."),
    "reconciliation": ("Statements", "For operators: what partners say of our accounts with them."),
    "admin": ("Administration", "For administrators."),
    "health": ("Operations", "How the system is, and what runs."),
}
