"""One transfer in all books: which of them differ. Pure; what it is given had come to rest before it is judged."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from services.reconciliation.domain.codes import STRAY, Code
from services.reconciliation.domain.expected import (
    CONFIRMED,
    FEES,
    FUNDED,
    INITIATED,
    OBSERVED,
    SAFEGUARDING,
    by_currency,
    deposited,
    expected_entries,
    without_nothing,
)
from services.reconciliation.domain.facts import (
    COMPLETED,
    REJECTED,
    SETTLED,
    Amounts,
    Cutoffs,
    Facts,
    Issue,
    Payment,
    PayoutSaid,
    Route,
    TransferSaid,
)

OF_ENTRY = {
    OBSERVED: Code.LEDGER_DEPOSIT_DIFFERS,
    FUNDED: Code.LEDGER_FUNDING_DIFFERS,
    INITIATED: Code.LEDGER_INITIATION_DIFFERS,
    CONFIRMED: Code.LEDGER_SETTLEMENT_DIFFERS,
}


def compare(facts: Facts, cutoffs: Cutoffs) -> tuple[Issue, ...]:
    """The differences of one transfer, each said once: what follows from another difference is not said again."""
    if facts.transfer is None:
        return tuple(unknown_transfer(facts, cutoffs))
    return (
        *funding(facts, facts.transfer),
        *ledger(facts),
        *payouts(facts, facts.transfer),
        *provider(facts, cutoffs),
    )


def unknown_transfer(facts: Facts, cutoffs: Cutoffs) -> Iterator[Issue]:
    """Somebody speaks of a transfer that the transfer service does not have."""
    books = [("deposits", facts.deposit), ("payouts", facts.payouts), ("ledger", facts.booked)]
    speaking = [name for name, said in books if said]
    if speaking:
        yield _issue(Code.TRANSFER_UNKNOWN, facts, details=f"known to {', '.join(speaking)} alone")
    else:
        yield from unknown_payments(facts, cutoffs)


def funding(facts: Facts, transfer: TransferSaid) -> Iterator[Issue]:
    """What the deposit watcher confirmed is what the transfer was funded with."""
    deposit = facts.deposit
    confirmed = (deposit.confirmed_minor, deposit.confirmed_currency) if deposit else (None, None)
    received = (transfer.received_minor, transfer.received_currency)
    if confirmed != received:
        yield _issue(
            Code.FUNDING_DIFFERS, facts, confirmed[1] or received[1], confirmed[0] or 0, received[0] or 0,
            f"confirmed in {confirmed[1]}, funded in {received[1]}",
        )  # fmt: skip


def ledger(facts: Facts) -> Iterator[Issue]:
    """Each kind of entry as it follows from the others' facts."""
    wanted = expected_entries(facts)
    for kind in sorted({*wanted, *facts.booked}):
        expected, actual = wanted.get(kind, {}), without_nothing(facts.booked.get(kind, {}))
        if crooked := without_nothing(by_currency(actual)):
            currency, minor = max(crooked.items())
            yield _issue(Code.LEDGER_UNBALANCED, facts, currency, 0, minor, f"{kind}: debits less credits")
        elif expected != actual:
            yield entry_differs(facts, kind, expected, actual)


def entry_differs(facts: Facts, kind: str, expected: Amounts, actual: Amounts) -> Issue:
    """The largest difference of an account is the issue's amount; all of them are its details."""
    differing = {account for account in {*expected, *actual} if expected.get(account, 0) != actual.get(account, 0)}
    told = sorted(differing, key=lambda each: (-abs(expected.get(each, 0) - actual.get(each, 0)), each))
    code = OF_ENTRY.get(kind, Code.LEDGER_UNEXPECTED_ENTRY)
    if actual and any(account.startswith(FEES) for account in differing):
        code = Code.LEDGER_FEES_DIFFER
        told.sort(key=lambda each: not each.startswith(FEES))
    first = told[0]
    details = "; ".join(f"{each} {expected.get(each, 0)} expected, {actual.get(each, 0)} booked" for each in told)
    amounts = (abs(expected.get(first, 0)), abs(actual.get(first, 0)))
    return _issue(code, facts, first.rpartition(":")[2], *amounts, f"{kind}: {details}")


def payouts(facts: Facts, transfer: TransferSaid) -> Iterator[Issue]:
    """A payout for each funded transfer, of what the creditor is to get, as far as the transfer says."""
    promised = (transfer.receive_minor, transfer.receive_currency)
    if transfer.funded and not facts.payouts:
        yield _issue(Code.PAYOUT_MISSING, facts, promised[1], promised[0], 0, "funded, and no payout was requested")
    if facts.payouts and not transfer.funded:
        first = facts.payouts[0]
        yield _issue(Code.PAYOUT_NOT_FUNDED, facts, first.currency, 0, first.amount_minor, f"payout {first.payout_id}")
    for payout in facts.payouts:
        for minor, currency in (payout.amount_minor, payout.currency), _settled(payout):
            if (minor, currency) != promised:
                yield _issue(
                    Code.PAYOUT_AMOUNT_DIFFERS, facts, currency, promised[0], minor, f"payout {payout.payout_id}"
                )
                break
    yield from progress(facts, transfer)


def _settled(payout: PayoutSaid) -> tuple[int, str]:
    """What was confirmed; what was asked for, until then."""
    if payout.confirmed_minor is None or payout.confirmed_currency is None:
        return payout.amount_minor, payout.currency
    return payout.confirmed_minor, payout.confirmed_currency


def progress(facts: Facts, transfer: TransferSaid) -> Iterator[Issue]:
    """The transfer knows whether money may have left, and whether it has arrived."""
    sent = [payout for payout in facts.payouts if payout.sent]
    if len(sent) > 1:
        paid = sum(payout.amount_minor for payout in sent)
        told = ", ".join(sorted(str(payout.payout_id) for payout in sent))
        yield _issue(Code.PAYOUT_TWICE, facts, transfer.receive_currency, transfer.receive_minor, paid, told)
    completed = any(payout.confirmed_minor is not None for payout in facts.payouts)
    theirs = (bool(sent), completed)
    own = (transfer.payout_id is not None, transfer.state == COMPLETED)
    if theirs != own and facts.payouts:
        states = ", ".join(sorted(payout.state for payout in facts.payouts))
        yield _issue(Code.PAYOUT_STATE_DIFFERS, facts, details=f"transfer {transfer.state}, payout {states}")


def provider(facts: Facts, cutoffs: Cutoffs) -> Iterator[Issue]:
    """What we believe of each payout is what the provider's book has, give and take what it has not told us yet."""
    last = sorted(facts.payments, key=lambda payment: payment.status != REJECTED)  # of one id: what was not rejected
    by_id = {payment.payment_id: payment for payment in last}
    for payout in facts.payouts:
        payment = by_id.get(str(payout.payout_id))
        if payment is None:
            yield from missing(facts, payout)
        elif (payment.amount_minor, payment.currency) != (payout.amount_minor, payout.currency):
            yield _issue(
                Code.PROVIDER_AMOUNT_DIFFERS, facts, payment.currency, payout.amount_minor, payment.amount_minor,
                f"payout {payout.payout_id} of {payout.currency}",
            )  # fmt: skip
        elif contradicts(payout, payment, cutoffs):
            details = f"payout {payout.payout_id} {payout.state}, provider {payment.status}"
            yield _issue(Code.PROVIDER_STATE_DIFFERS, facts, payout.currency, details=details)
    yield from unknown_payments(facts, cutoffs)


def missing(facts: Facts, payout: PayoutSaid) -> Iterator[Issue]:
    """Unknown outcomes and refusals may be missing; what was accepted may not."""
    if payout.state in {"SENT", "CONFIRMED"}:
        details = f"payout {payout.payout_id} {payout.state}"
        yield _issue(Code.PROVIDER_MISSING, facts, payout.currency, payout.amount_minor, 0, details)


def contradicts(payout: PayoutSaid, payment: Payment, cutoffs: Cutoffs) -> bool:
    """A confirmation stands or falls at once; what the provider has to tell us has its time."""
    if payout.state == "CONFIRMED":
        return payment.status != SETTLED
    if payment.status == SETTLED:
        return payment.ended_at <= cutoffs.provider
    return payment.status == REJECTED and payout.state == "SENT" and payment.ended_at <= cutoffs.provider


def unknown_payments(facts: Facts, cutoffs: Cutoffs) -> Iterator[Issue]:
    """Payments that no payout of ours asked for, and more than one for the same transfer."""
    accepted = [payment for payment in facts.payments if payment.status != REJECTED]
    if len(accepted) > 1:
        paid, told = (
            sum(each.amount_minor for each in accepted),
            ", ".join(sorted(each.payment_id for each in accepted)),
        )
        expected = facts.transfer.receive_minor if facts.transfer else 0
        yield _issue(Code.PROVIDER_PAID_TWICE, facts, accepted[0].currency, expected, paid, told)
        return
    asked = {str(payout.payout_id) for payout in facts.payouts if payout.submitted}
    for payment in accepted:
        if payment.payment_id not in asked and payment.accepted_at <= cutoffs.provider:
            details = f"payment {payment.payment_id} {payment.status}"
            yield _issue(Code.PROVIDER_UNKNOWN_PAYMENT, facts, payment.currency, 0, payment.amount_minor, details)


def compare_route(route: Route) -> tuple[Issue, ...]:
    """What those who collect have booked for a route, and what we have heard of it, by partner and currency."""
    return tuple(
        issue
        for path in sorted({*route.observed, *route.collected})
        if (issue := route_differs(route, path)) is not None
    )


def route_differs(route: Route, path: str) -> Issue | None:
    """One partner and currency: what was not reported yet has its time, what was never collected has none."""
    partner, _, currency = path.rpartition(":")
    observed, booked = route.observed.get(path, 0), route.collected.get(path, 0)
    wanted = route.collected_before.get(path, 0)
    if wanted <= observed <= booked:
        return None
    if observed < wanted:
        code, expected, details = Code.COLLECTED_NOT_OBSERVED, wanted, f"collected by {partner}"
    else:
        code, expected, details = Code.OBSERVED_NOT_COLLECTED, booked, f"reported in the name of {partner}"
    return Issue(
        code=code, subject=str(route.route_id), transfer_id=route.transfer_id, currency=currency,
        expected_minor=expected, actual_minor=observed, details=details,
    )  # fmt: skip


def stray_payment(payment: Payment) -> Issue:
    """A payment that names no transfer at all."""
    return Issue(
        code=Code.PROVIDER_UNKNOWN_PAYMENT, subject=f"{STRAY}{payment.payment_id}", currency=payment.currency,
        expected_minor=0, actual_minor=payment.amount_minor, details=f"payment {payment.payment_id} {payment.status}",
    )  # fmt: skip


def unattributed(observed: Amounts, booked: Mapping[str, Amounts]) -> tuple[Issue, ...]:
    """Money that came for nobody: all that was observed so is in the ledger so, by partner and currency; and the ledger
    has nothing else of no transfer. `booked`: by kind of entry and account.
    """
    entries = {kind: without_nothing(lines) for kind, lines in booked.items()}
    cash = {
        account.removeprefix(SAFEGUARDING): minor
        for account, minor in entries.get(OBSERVED, {}).items()
        if account.startswith(SAFEGUARDING)
    }
    whole = tuple(
        Issue(
            code=Code.UNATTRIBUTED_DIFFERS, subject=path, currency=path.rpartition(":")[2],
            expected_minor=observed.get(path, 0), actual_minor=cash.get(path, 0),
            details="deposits of no transfer, and what the ledger has of them",
        )
        for path in sorted({*observed, *cash})
        if observed.get(path, 0) != cash.get(path, 0)
    )  # fmt: skip
    explained = {OBSERVED: deposited(cash)}
    return whole + tuple(
        entry_of_nobody(kind, explained.get(kind, {}), lines)
        for kind, lines in sorted(entries.items())
        if lines != explained.get(kind, {})
    )


def entry_of_nobody(kind: str, expected: Amounts, actual: Amounts) -> Issue:
    """What the ledger has of no transfer, beyond the cash of deposits and its suspense."""
    differing = {account for account in {*expected, *actual} if expected.get(account, 0) != actual.get(account, 0)}
    told = sorted(differing, key=lambda each: (-abs(expected.get(each, 0) - actual.get(each, 0)), each))
    lines = "; ".join(f"{each} {expected.get(each, 0)} expected, {actual.get(each, 0)} booked" for each in told)
    return Issue(
        code=Code.UNATTRIBUTED_DIFFERS, subject=kind, currency=told[0].rpartition(":")[2],
        expected_minor=abs(expected.get(told[0], 0)), actual_minor=abs(actual.get(told[0], 0)),
        details=f"entries of no transfer: {lines}",
    )  # fmt: skip


def parked(consumer: str, streams: int) -> Issue:
    """A reader of ours cannot take what it reads, so other issues may be its alone."""
    details = f"{streams} streams are parked at {consumer}: what they say is not compared"
    return Issue(code=Code.READER_PARKED, subject=consumer, details=details)


def _issue(
    code: Code,
    facts: Facts,
    currency: str | None = None,
    expected: int | None = None,
    actual: int | None = None,
    details: str = "",
) -> Issue:
    return Issue(
        code=code, subject=str(facts.transfer_id), transfer_id=facts.transfer_id, currency=currency,
        expected_minor=expected, actual_minor=actual, details=details,
    )  # fmt: skip
