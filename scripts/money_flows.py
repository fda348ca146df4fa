"""docs/money-flows.md: what each story posts, computed by the quote's prices and the ledger's own handlers.

python -m scripts.money_flows write
python -m scripts.money_flows check    exit 1 when the page is not what the code posts
"""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from contracts.deposit.v1 import DepositObserved
from contracts.ledger.v1 import Posting
from contracts.payout.v1 import PayoutConfirmed
from contracts.transfer.v1 import FundingConfirmed, PayoutInitiated
from scripts import generated
from services.kernel.decider import Cause
from services.kernel.money import Money, Rate, RateText, iso4217, zero
from services.kernel.sealed import Sealed
from services.ledger.domain.chart import CHART
from services.ledger.domain.templates import POSTINGS, lines
from services.ledger.handlers import CONSUMES
from services.quote.adapters import corridors
from services.quote.domain import Offer, price

PAGE = Path(__file__).parents[1] / "docs" / "money-flows.md"
CORRIDORS = Path(__file__).parents[1] / "deploy" / "corridors.json"
AT = datetime(2026, 1, 1, 12, tzinfo=UTC)
ANY = UUID(int=1)
SEALED = Sealed(ANY, 1, "")
RATE = "205.1234"
SEND_MINOR = 10_000
HEAD = """\
<!-- Generated: python -m scripts.money_flows write -->

# Money flows, with numbers

What the ledger posts for one transfer of {send} on `GB-ET`, and for what goes otherwise. Every line is computed by the
code that posts: prices by `services/quote/domain.py`, entries by `services/ledger/handlers.py`. Debits equal credits in
each currency of each entry, or the entry does not exist.

## The price

| | | how |
|---|---|---|
| send | {send} | what the customer pays |
| fee | {fee} | {flat} and {fee_percent} of send, at least {least}; rounded up |
| spread | {spread} | {spread_percent} of send, rounded up |
| converted | {converted} | send less fee less spread |
| rate | {rate} | published; a rate older than {age} s promises nothing |
| receive | {receive} | converted at the rate, rounded down; the remainder stays in `fx_position` |

Fee and spread are two lines for ever, so that what we charge and what the exchange earns can be told apart.

## The accounts

"""
TAIL = """\
## What posts nothing

- A quote, a transfer that waits for money, an expiry: no money has moved.
- A payout whose outcome is unknown: it was initiated, and `payout_clearing` holds it until the bank says.
- A repeated report, a repeated callback: the entry of a cause is made once.
- What is marked "no event yet" above. Such money stays where the last entry put it, in `suspense:deposits` or
  `customer:<id>:held`, and a person sees it in the review queue.

By hand: `ops-cli ledger adjust` posts what one person proposes and another one approves, as `ledger.adjusted`.
"""
EVERY = """\
## Every posting

One line for each leg of `services/ledger/domain/templates.py`, which is what the ledger posts by; a leg of nothing is
left out. The numbers are those of the price above. "No event yet": nothing that happens today posts it.

| cause | account | debit | credit | |
|---|---|---|---|---|
"""
HOLDS: dict[str, str] = {  # what an account of a kind has; the chart says the rest
    "safeguarding": "customers' money at the bank that collects",
    "partner_float": "our money at the partner that pays out",
    "suspense:deposits": "arrived, not explained yet",
    "suspense:payouts": "paid out, not explained yet",
    "customer": "theirs: `available`, or `held` until it is paid out",
    "payout_clearing": "initiated, not confirmed yet",
    "fx_position": "what we took in one currency and gave in the other",
    "revenue": "ours",
    "loss": "what we bear",
}
BY_US = ("hold.", "treasury.")  # asked of the ledger by services of ours


@dataclass(frozen=True, slots=True)
class Story:
    """A title, a sentence, and the facts in the order in which the ledger hears them."""

    title: str
    words: str
    facts: tuple[Any, ...]


def stories(offer: Offer) -> tuple[Story, ...]:
    """What can happen to one transfer, as far as it moves money today."""
    short, over = (Money(offer.send.minor + by, offer.send.currency) for by in (-40, 30))
    other = Money(12_345, offer.send.currency)
    return (
        Story(
            "Paid in exactly, paid out",
            "Four entries. At the end the customer's money is used, and ours are fee and spread.",
            (observed(offer.send), funded(offer, offer.send), initiated(offer), confirmed(offer)),
        ),
        Story(
            f"{short} arrive instead of {offer.send}",
            "Inside the tolerance: the transfer goes on, and the difference is our loss. Payout as above.",
            (observed(short), funded(offer, short)),
        ),
        Story(
            f"{over} arrive instead of {offer.send}",
            "Inside the tolerance: the difference is ours. Payout as above.",
            (observed(over), funded(offer, over)),
        ),
        Story(
            f"{other} arrive, for whatever reason",
            "A wrong amount, another currency than expected, too late, or on a route that nobody knows: it is booked\n"
            "as it is, stays in suspense, and a person looks.",
            (observed(other),),
        ),
    )


def observed(amount: Money) -> DepositObserved:
    """Cash arrived."""
    return DepositObserved(
        route_id=ANY, route="", transfer_id=ANY, arrival_id=ANY, partner="bank", reference="", amount=amount,
        booked_at=AT, observed_at=AT,
    )  # fmt: skip


def funded(offer: Offer, received: Money) -> FundingConfirmed:
    """It is what was expected."""
    return FundingConfirmed(
        transfer_id=ANY, customer_id=ANY, route_id=ANY, received=received, send=offer.send, receive=offer.receive,
        rail=offer.rail, partner="bank", creditor_name=SEALED, creditor_account=SEALED, confirmed_at=AT,
    )  # fmt: skip


def initiated(offer: Offer) -> PayoutInitiated:
    """The payout was sent, or nobody knows whether it was."""
    return PayoutInitiated(
        transfer_id=ANY, customer_id=ANY, payout_id=ANY, send=offer.send, fee=offer.fee, spread=offer.spread,
        converted=offer.converted, receive=offer.receive, initiated_at=AT,
    )  # fmt: skip


def confirmed(offer: Offer) -> PayoutConfirmed:
    """The bank has paid."""
    return PayoutConfirmed(
        payout_id=ANY, transfer_id=ANY, customer_id=ANY, amount=offer.receive, partner="bank", partner_reference="",
        settled_at=AT, confirmed_at=AT,
    )  # fmt: skip


def entry(fact: Any) -> tuple[str, tuple[Posting, ...]]:
    """The kind and the lines that the ledger's own handler makes of a fact."""
    cause = Cause(ANY, fact.type, ANY, 1, "corridor", ANY, AT)
    (ask,) = CONSUMES[type(fact)](fact, cause)
    return ask.command.kind, ask.command.lines


def page() -> str:
    """The whole page."""
    offer = offered()
    told = (line for story in stories(offer) for line in _story(story))
    return "\n".join([_head(offer), *_chart(), *told, EVERY + "\n".join(_every(offer)), "", TAIL])


def _chart() -> Iterator[str]:
    yield "| account | what it holds | class | grows on | may be overdrawn | who is asked |"
    yield "|---|---|---|---|---|---|"
    for line in CHART:
        overdrawn = "never" if line.protected else "yes"
        yield (
            f"| `{line.kind}:…:<currency>` | {HOLDS[line.kind]} | {line.account_class} | {line.normal} | {overdrawn} | "
            f"{line.owner} |"
        )
    yield ""


def _every(offer: Offer) -> Iterator[str]:
    names = {"partner": "<partner>", "customer": "<id>"}
    types: list[str] = [vars(event)["type"] for event in CONSUMES]
    known = {each.removeprefix("corridor.").removesuffix(".v1") for each in types}
    for kind in POSTINGS:
        posted = kind in known or kind.startswith(BY_US)
        for number, line in enumerate(lines(kind, names, sample(kind, offer))):
            amounts = (str(line.amount), "") if line.side == "debit" else ("", str(line.amount))
            first = (f"`{kind}`", "" if posted else "no event yet") if number == 0 else ("", "")
            yield f"| {first[0]} | `{line.account}` | {amounts[0]} | {amounts[1]} | {first[1]} |"


def sample(kind: str, offer: Offer) -> dict[str, Money]:
    """An amount for each name that a leg may have; those of one kind balance."""
    send, short = offer.send, Money(40, offer.send.currency)
    nothing, earned = zero(send.currency), offer.fee + offer.spread + short
    return {
        "amount": send, "send": send, "received": send - short, "short": short, "over": short,
        "fee": offer.fee, "spread": offer.spread, "converted": offer.converted, "receive": offer.receive,
        "position": offer.converted, "fees": offer.fee, "swept": offer.converted + earned,
    } | ({"over": nothing} if kind == "transfer.funding_confirmed" else {})  # fmt: skip


def offered() -> Offer:
    """The example's price."""
    corridor = corridors.load(CORRIDORS).named("GB-ET")
    rate = Rate(iso4217("GBP"), iso4217("ETB"), RateText(RATE), "example", AT)
    return price(corridor, Money(SEND_MINOR, iso4217("GBP")), rate, AT)


def _head(offer: Offer) -> str:
    corridor = corridors.load(CORRIDORS).named("GB-ET")
    return HEAD.format(
        send=offer.send, fee=offer.fee, spread=offer.spread, converted=offer.converted, receive=offer.receive,
        rate=f"1 GBP = {RATE} ETB", tolerance=corridor.tolerance, flat=corridor.fee_flat, least=corridor.fee_min,
        fee_percent=percent(corridor.fee_basis_points), spread_percent=percent(corridor.spread_basis_points),
        age=corridor.rate_max_age_seconds,
    )  # fmt: skip


def percent(basis_points: int) -> str:
    """50 -> 0.5 %"""
    whole, rest = divmod(basis_points, 100)
    return f"{whole}.{rest:02d}".rstrip("0").rstrip(".") + " %"


def _story(story: Story) -> Iterator[str]:
    yield f"## {story.title}\n"
    yield f"{story.words}\n"
    yield "| cause | account | debit | credit |"
    yield "|---|---|---|---|"
    balances: Counter[str] = Counter()
    for fact in story.facts:
        kind, postings = entry(fact)
        for number, line in enumerate(postings):
            balances[line.account] += line.amount.minor if line.side == "debit" else -line.amount.minor
            amounts = (str(line.amount), "") if line.side == "debit" else ("", str(line.amount))
            yield f"| {f'`{kind}`' if number == 0 else ''} | `{shown(line.account)}` | {amounts[0]} | {amounts[1]} |"
    yield f"\nWhat is left: {', '.join(_left(balances)) or 'nothing'}.\n"


def _left(balances: Counter[str]) -> Iterator[str]:
    for account, minor in balances.items():
        if minor:
            amount = Money(abs(minor), iso4217(account.rpartition(":")[2]))
            yield f"`{shown(account)}` {amount} {'debit' if minor > 0 else 'credit'}"


def shown(account: str) -> str:
    """Without the id of the example's customer."""
    return account.replace(str(ANY), "<id>")


if __name__ == "__main__":
    sys.exit(generated.run(sys.argv[1:], PAGE, page, __doc__ or ""))
