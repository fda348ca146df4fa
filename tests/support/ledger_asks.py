"""The ledger's asks for the operations of a story, and what it says of them, in the words of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

from contracts.deposit.v1 import DepositObserved
from contracts.ledger.v1 import Posting
from contracts.payout.v1 import PayoutConfirmed
from contracts.transfer.v1 import FundingConfirmed, PayoutInitiated
from services.kernel.decider import Ask, Cause, Outcome
from services.kernel.ids import derive
from services.kernel.money import Money, Rate, RateText, iso4217
from services.kernel.sealed import Sealed
from services.ledger.domain.adjustments import ApproveAdjustment, ProposeAdjustment, RejectAdjustment
from services.ledger.domain.entries import PostEntry
from services.ledger.domain.holds import PlaceHold, PostHold, VoidHold, available_of
from services.ledger.domain.templates import lines
from services.ledger.handlers import CONSUMES
from tests.support.ledger_model import Fact, Judge, Line, Op, Place, Propose, Resolve

AT = datetime(2026, 3, 1, 12, tzinfo=UTC)
OF_THE_BANK = {"deposit.refunded", "deposit.reversed", "transfer.refunded", "treasury.swept"}  # not of the payer
ROUTE, PAYOUT = UUID(int=3), UUID(int=4)
BOX = Sealed(subject=UUID(int=5), key_version=1, box="00")


def ask(op: Op, proposals: Mapping[UUID, Propose]) -> Ask:
    """What the ledger is asked; a judgement reads the accounts of its proposal."""
    match op:
        case Fact():
            return _fact(op)
        case Place():
            place = PlaceHold(
                hold_id=op.hold, customer_id=op.customer, amount=Money(op.minor, iso4217(op.currency)),
                cause_id=op.cause, transfer_id=None, caused_at=AT, due_at=AT + timedelta(days=1),
            )  # fmt: skip
            return Ask(op.hold, place, reads=(available_of(op.customer, op.currency),))
        case Resolve(void=True):
            return Ask(op.hold, VoidHold(hold_id=op.hold, cause_id=op.cause))
        case Resolve():
            return Ask(op.hold, PostHold(hold_id=op.hold, minor=op.minor, cause_id=op.cause))
        case Propose():
            propose = ProposeAdjustment(
                adjustment_id=op.wish, lines=_postings(op.lines), transfer_id=None, reason="r", evidence="T-1",
                proposed_by=op.by, due_at=AT,
            )  # fmt: skip
            return Ask(op.wish, propose)
        case Judge(yes=True):
            accounts = tuple(sorted({account for account, _ in proposals[op.wish].lines}))
            approve = ApproveAdjustment(adjustment_id=op.wish, approved_by=op.by, reason="r")
            return Ask(op.wish, approve, reads=accounts)
        case Judge():
            return Ask(op.wish, RejectAdjustment(adjustment_id=op.wish, rejected_by=op.by, reason="r"))


def answer(outcome: Outcome) -> str:
    """The name of the event or of the refusal; nothing where nothing was to be done."""
    assert outcome.error is None, outcome.error
    if outcome.refusal is not None:
        return type(outcome.refusal).__name__
    return type(outcome.events[0].event).__name__ if outcome.events else ""


def _postings(lines_: tuple[Line, ...]) -> tuple[Posting, ...]:
    return tuple(
        Posting(
            account=account, side="debit" if minor < 0 else "credit",
            amount=Money(abs(minor), iso4217(account.rpartition(":")[2])),
        )
        for account, minor in lines_
    )  # fmt: skip


def _fact(op: Fact) -> Ask:
    """As the handlers of the ledger make it where they hear of it, else by template."""
    money = {name: Money(minor, iso4217(code)) for name, (minor, code) in op.amounts.items()}
    if op.kind in HEARD:
        event = HEARD[op.kind](op, money)
        cause = Cause(op.cause, type(event).type, op.cause, 1, "tenant", op.cause, AT)
        (heard,) = CONSUMES[type(event)](event, cause)
        return heard
    names = op.names | {"partner": op.names["bank"]} if op.kind in OF_THE_BANK else op.names
    postings = _topped_up(op) if op.kind == "wallet.topped_up" else lines(op.kind, names, money)
    entry_id = derive("entry", op.cause, op.kind)
    command = PostEntry(
        entry_id=entry_id, kind=op.kind, cause_id=op.cause, transfer_id=None, lines=postings, caused_at=AT
    )
    return Ask(entry_id, command)


def _topped_up(op: Fact) -> tuple[Posting, ...]:
    """No template of ours puts money into a wallet yet."""
    minor, code = op.amounts["amount"]
    return _postings(
        ((f"suspense:deposits:{code}", -minor), (f"customer:{op.names['customer']}:available:{code}", minor))
    )


def _observed(op: Fact, money: dict[str, Money]) -> DepositObserved:
    return DepositObserved(
        route_id=ROUTE, route="RF18", transfer_id=op.cause, arrival_id=op.cause, partner=op.names["bank"],
        reference=str(op.cause), amount=money["amount"], booked_at=AT, observed_at=AT,
    )  # fmt: skip


def _funded(op: Fact, money: dict[str, Money]) -> FundingConfirmed:
    return FundingConfirmed(
        transfer_id=op.cause, customer_id=UUID(op.names["customer"]), route_id=ROUTE, received=money["received"],
        send=money["send"], receive=money["receive"], rail="bank", partner=op.names["partner"], creditor_name=BOX,
        creditor_account=BOX, confirmed_at=AT,
    )  # fmt: skip


def _initiated(op: Fact, money: dict[str, Money]) -> PayoutInitiated:
    """`receive` is what the rate makes of the rest, not what the model says."""
    converted = money["converted"]
    rate = Rate(converted.currency, money["receive"].currency, RateText(op.rate), "test", AT)
    return PayoutInitiated(
        transfer_id=op.cause, customer_id=UUID(op.names["customer"]), payout_id=PAYOUT, send=money["send"],
        fee=money["fee"], spread=money["spread"], converted=converted, receive=rate.convert(converted), initiated_at=AT,
    )  # fmt: skip


def _confirmed(op: Fact, money: dict[str, Money]) -> PayoutConfirmed:
    return PayoutConfirmed(
        payout_id=PAYOUT, transfer_id=op.cause, customer_id=UUID(op.names["customer"]), amount=money["receive"],
        partner=op.names["partner"], partner_reference=str(op.cause), settled_at=AT, confirmed_at=AT,
    )  # fmt: skip


HEARD: dict[str, Callable[[Fact, dict[str, Money]], Any]] = {
    "deposit.observed": _observed,
    "transfer.funding_confirmed": _funded,
    "transfer.payout_initiated": _initiated,
    "payout.confirmed": _confirmed,
}
