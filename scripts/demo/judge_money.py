"""What became of the money: the client's answers, the banks' books and our postings against each other. Pure."""

from collections import Counter, defaultdict
from collections.abc import Iterable, Mapping
from typing import Any

from scripts.demo.evidence import Evidence
from scripts.demo.judge_events import Finding, states_of

FINAL = {"PAYOUT_COMPLETED", "CANCELLED", "EXPIRED"}
PAID = "ACSC"  # ISO 20022: settled
REFUSED = "RJCT"
PARTNER = "sandbox-bank"  # pays out in every corridor of deploy/corridors.json

# -- the client's answers


def all_accounted_for(evidence: Evidence) -> Finding:
    """Every transfer that we were told of has ended, or is explained by a deposit that does not fit it."""
    states = states_of(evidence.events("transfer"))
    told = [line["answer"]["transfer_id"] for line in evidence.logged("transfer")]
    explained = _mismatched_transfers(evidence)
    wrong = [f"{one} was acknowledged and is unknown" for one in told if one not in states]
    wrong += [
        f"{one} is {states[one]} without a reason"
        for one in told
        if one in states and states[one] not in FINAL and one not in explained
    ]
    wrong += [f"{one} exists and was never acknowledged" for one in states if one not in set(told)]
    wrong += [f"{one} was acknowledged {n} times over" for one, n in Counter(told).items() if n > 1]
    counts = Counter(states.values())
    return wrong, f"{len(told)} acknowledged: " + ", ".join(f"{n} {state}" for state, n in counts.most_common())


def _mismatched_transfers(evidence: Evidence) -> set[str]:
    """Transfers whose deposit did not fit, and that we paid in wrongly ourselves."""
    paid_wrongly = {line["transfer_id"] for line in evidence.logged("pay_in") if line["plan"] == "wrong_amount"}
    return paid_wrongly & {record.data["transfer_id"] for record in evidence.of_kind("deposit.mismatched")}


def promises_kept(evidence: Evidence) -> Finding:
    """Whoever was quoted and paid in got exactly what was quoted, on the account that was named."""
    promised = {line["answer"]["transfer_id"]: line for line in evidence.logged("transfer")}
    right = {line["transfer_id"] for line in evidence.logged("pay_in") if line["plan"] == "right"}
    got = defaultdict(list)
    for row in paid(evidence):
        got[row["remittance_information"]].append(_payment(row))
    wrong = []
    for transfer_id in right:
        line = promised[transfer_id]
        quote, receiver = line["quote"], line["receiver"]
        want = (quote["receive_minor"], quote["receive_currency"], receiver["name"], receiver["account"])
        if got[transfer_id] != [want]:
            wrong.append(f"{transfer_id} was promised {want} and got {got[transfer_id]}")
    return wrong, f"{len(right)} receivers have what was quoted"


def _payment(row: Mapping[str, Any]) -> tuple[int, str, str, str]:
    return row["amount_minor"], row["currency"], row["creditor_name"], row["creditor_account"]


# -- the provider's book


def paid(evidence: Evidence) -> list[Mapping[str, Any]]:
    """What the provider has taken to pay out."""
    return [row for row in evidence.payouts if row["status"] != REFUSED]


def book_is_ours(evidence: Evidence) -> Finding:
    """What the provider has booked is a payout of ours with that amount, settled and confirmed."""
    asked = {record.data["payout_id"]: record.data for record in evidence.of_kind("payout.requested")}
    confirmed = {record.data["payout_id"]: record.data for record in evidence.of_kind("payout.confirmed")}
    booked = {row["end_to_end_id"]: row for row in paid(evidence)}
    wrong = [f"the book has {one}, which we never asked for" for one in booked if one not in asked]
    wrong += [f"we say {one} was paid, the book does not" for one in confirmed if one not in booked]
    for one, row in booked.items():
        amount = row["amount_minor"], row["currency"]
        if one in asked and amount != _money(asked[one]["amount"]):
            wrong.append(f"{one}: asked for {_money(asked[one]['amount'])}, paid {amount}")
        if row["status"] != PAID or one not in confirmed:
            wrong.append(f"{one}: {row['status']} in the book, {'confirmed' if one in confirmed else 'open'} with us")
    sums = _sums((row["currency"], row["amount_minor"]) for row in booked.values())
    return wrong, f"{len(booked)} payouts, {sums}, no difference"


def paid_once(evidence: Evidence) -> Finding:
    """No transfer was paid twice: by the provider's own count, and counted here."""
    counts = Counter(row["remittance_information"] for row in paid(evidence))
    wrong = [f"{one} was paid {n} times" for one, n in counts.items() if n > 1]
    if said := evidence.summary["double_paid"]:
        wrong.append(f"the provider says double_paid = {said}")
    return wrong, f"double_paid = 0 among {len(counts)}"


def credited_once(evidence: Evidence) -> Finding:
    """Each deposit in the collecting bank's book was observed once, however often it was reported."""
    told = {(line["reference"]) for line in evidence.logged("pay_in")}
    book = {(row["partner"], row["reference"]): row for row in evidence.collected}
    seen = Counter((each.data["partner"], each.data["reference"]) for each in evidence.of_kind("deposit.observed"))
    wrong = [f"{key} was credited {n} times" for key, n in seen.items() if n > 1]
    wrong += [f"{key} is in the bank's book and was not observed" for key in book if key not in seen]
    wrong += [f"{key} was observed and is not in the bank's book" for key in seen if key not in book]
    wrong += [f"{one} was collected and is not in the book" for one in told - {reference for _, reference in book}]
    for each in evidence.of_kind("deposit.observed"):
        row = book.get((each.data["partner"], each.data["reference"]))
        if row and (row["amount_minor"], row["currency"]) != _money(each.data["amount"]):
            wrong.append(
                f"{row['reference']}: {row['amount_minor']} in the book, {_money(each.data['amount'])} observed"
            )
    repeated = sum(line["copies"] - 1 for line in evidence.logged("pay_in"))
    if not repeated:
        wrong.append("no duplicate was reported at all")
    return wrong, f"{len(book)} deposits, reported {repeated} times too often, each credited once"


# -- the books


def trial_balance(evidence: Evidence) -> Finding:
    """Debits are credits in each currency, and the balances beside the postings are their sums."""
    sides = _sides(evidence)
    totals: Counter[str] = Counter()
    for (_, currency), (debit, credit) in sides.items():
        totals[currency] += debit - credit
    wrong = [f"{currency}: debits exceed credits by {n}" for currency, n in totals.items() if n]
    kept = {
        (row["account_id"], row["currency"]): (row["debit_minor"], row["credit_minor"]) for row in evidence.balances
    }
    wrong += [
        f"{key[0]}: balance {kept.get(key)}, postings {sides.get(key)}"
        for key in kept | sides
        if kept.get(key) != sides.get(key)
    ]
    if not sides:
        wrong.append("nothing was posted")
    return wrong, ", ".join(f"{currency} 0" for currency in sorted(totals))


def _sides(evidence: Evidence) -> dict[tuple[str, str], tuple[int, int]]:
    """(debit, credit) of each account in minor units."""
    sides: dict[tuple[str, str], tuple[int, int]] = {}
    for row in evidence.postings:
        debit, credit = sides.get((row["account_id"], row["currency"]), (0, 0))
        if row["side"] == "debit":
            debit += row["amount_minor"]
        else:
            credit += row["amount_minor"]
        sides[row["account_id"], row["currency"]] = debit, credit
    return sides


def accounts_as_expected(evidence: Evidence) -> Finding:
    """Every account stands where the client's log and the banks' books say, so held and clearing are zero."""
    expected = {account: net for account, net in expected_accounts(evidence).items() if net}
    actual = {account: debit - credit for (account, _), (debit, credit) in _sides(evidence).items() if debit != credit}
    wrong = [
        f"{account}: expected {expected.get(account, 0)}, is {actual.get(account, 0)}"
        for account in sorted(expected.keys() | actual.keys())
        if expected.get(account) != actual.get(account)
    ]
    suspense = [f"{account} {-net}" for account, net in sorted(actual.items()) if account.startswith("suspense:")]
    return wrong, f"held 0, clearing 0, {', '.join(suspense)} as paid in wrongly"


def expected_accounts(evidence: Evidence) -> Counter[str]:
    """Debits less credits by account, from what was paid in, quoted and paid out; nothing of it from our own events."""
    net: Counter[str] = Counter()
    for row in evidence.collected:
        net[f"safeguarding:{row['partner']}:{row['currency']}"] += row["amount_minor"]
    for line in evidence.logged("pay_in"):
        if line["plan"] != "right":
            net[f"suspense:deposits:{line['currency']}"] -= line["amount_minor"]
    quotes = {line["answer"]["transfer_id"]: line["quote"] for line in evidence.logged("transfer")}
    for row in paid(evidence):
        net[f"partner_float:{PARTNER}:{row['currency']}"] -= row["amount_minor"]
        net[f"fx_position:{row['currency']}"] += row["amount_minor"]
        quote = quotes[row["remittance_information"]]
        send = quote["send_currency"]
        net[f"revenue:fees:{send}"] -= quote["fee_minor"]
        net[f"revenue:fx:{send}"] -= quote["spread_minor"]
        net[f"fx_position:{send}"] -= quote["send_minor"] - quote["fee_minor"] - quote["spread_minor"]
    return net


def _money(money: Mapping[str, Any]) -> tuple[int, str]:
    return money["minor"], money["currency"]


def _sums(amounts: Iterable[tuple[str, int]]) -> str:
    totals: Counter[str] = Counter()
    for currency, minor in amounts:
        totals[currency] += minor
    return ", ".join(f"{currency} {minor}" for currency, minor in sorted(totals.items()))
