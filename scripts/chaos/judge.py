"""The verdict, by evidence that is not the services' own opinion. Pure; checks that the demo has too are the demo's."""

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from scripts.demo import judge_events as events
from scripts.demo import judge_money as money
from scripts.demo.evidence import Evidence
from scripts.demo.judge_events import Finding, states_of

COMPLETE = "PAYOUT_COMPLETED"
EXPLAINED = {"PAYOUT_REVIEW_REQUIRED"}  # a person has it, with a reason
MUST_BE_EMPTY = ("customer:", "payout_clearing:", "suspense:")  # when every loop is complete
SHOWN_MAX = 5


@dataclass(frozen=True, kw_only=True)
class Verdict:
    """`faults` by check; every count must be zero. `counts` are told besides."""

    faults: Mapping[str, list[str]]
    counts: Mapping[str, int]

    @property
    def ok(self) -> bool:
        return not any(self.faults.values())

    def line(self) -> str:
        """The last line of the output."""
        numbers = dict(self.counts) | {name: len(wrong) for name, wrong in self.faults.items()}
        return f"chaos: {'ok' if self.ok else 'FAILED'} " + " ".join(f"{name}={n}" for name, n in numbers.items())

    def details(self) -> list[str]:
        """Some of what is wrong."""
        shown = []
        for name, wrong in self.faults.items():
            shown += [f"{name}: {each}" for each in wrong[:SHOWN_MAX]]
        return shown


def judge(evidence: Evidence, kills_wanted: int) -> Verdict:
    """Everything; a check that cannot be computed has failed."""
    checks: dict[str, Callable[[Evidence], list[str]]] = {
        "lost": lost,
        "paid_twice": lambda seen: money.paid_once(seen)[0],
        "paid_wrongly": paid_wrongly,
        "incomplete": incomplete,
        "answers_changed": answers_changed,
        "unanswered": lambda seen: [line["what"] for line in seen.logged("unanswered")],
        "book_differs": lambda seen: money.book_is_ours(seen)[0],
        "off_balance": off_balance,
        "broken_chains": lambda seen: _all(seen, events.chains_hold, events.published_in_order),
        "store_differs": lambda seen: _all(seen, events.topic_is_store, events.fold_is_store),
        "waiting": lambda seen: events.nothing_waits(seen)[0],
        "kills_missed": lambda seen: _missed(seen, kills_wanted),
    }
    faults = {name: _run(check, evidence) for name, check in checks.items()}
    return Verdict(faults=faults, counts=counts(evidence))


def counts(evidence: Evidence) -> dict[str, int]:
    """How much was at stake."""
    acknowledged = ("quote", "transfer", "pay_in")
    return {
        "kills": len(evidence.logged("kill")),
        "acknowledged": sum(len(evidence.logged(kind)) for kind in acknowledged),
        "transfers": len(evidence.logged("transfer")),
        "paid": len(money.paid(evidence)),
        "explained": len(explained(evidence)),
        "refused": len(evidence.logged("refused")),
        "repeated": len(evidence.logged("repeated")),
    }


def _run(check: Callable[[Evidence], list[str]], evidence: Evidence) -> list[str]:
    try:
        return check(evidence)
    except Exception as error:  # noqa: BLE001 - evidence that cannot be read proves nothing
        return [f"cannot be judged: {error!r}"]


def _all(evidence: Evidence, *checks: Callable[[Evidence], Finding]) -> list[str]:
    return [each for check in checks for each in check(evidence)[0]]


def _missed(evidence: Evidence, wanted: int) -> list[str]:
    return [f"kill {number + 1}" for number in range(len(evidence.logged("kill")), wanted)]


# -- the client's own log


def lost(evidence: Evidence) -> list[str]:
    """What was acknowledged and is not on the topics."""
    quotes = {record.stream for record in evidence.of_kind("quote.created")}
    transfers = {record.stream for record in evidence.of_kind("transfer.opened")}
    deposits = {record.data["reference"] for record in evidence.of_kind("deposit.observed")}
    wrong = [f"quote {one}" for one in _answers(evidence, "quote", "quote_id") - quotes]
    wrong += [f"transfer {one}" for one in _answers(evidence, "transfer", "transfer_id") - transfers]
    wrong += [f"deposit {line['reference']}" for line in evidence.logged("pay_in") if line["reference"] not in deposits]
    return wrong


def _answers(evidence: Evidence, kind: str, field: str) -> set[str]:
    return {line["answer"][field] for line in evidence.logged(kind)}


def incomplete(evidence: Evidence) -> list[str]:
    """Transfers that were paid in and are neither completed nor with a person."""
    states = states_of(evidence.events("transfer"))
    paid_in = [line["transfer_id"] for line in evidence.logged("pay_in")]
    allowed = {COMPLETE} | EXPLAINED
    return [f"{one} is {states.get(one, 'unknown')}" for one in paid_in if states.get(one) not in allowed]


def explained(evidence: Evidence) -> list[str]:
    """Transfers that wait for a person, who is told why."""
    states = states_of(evidence.events("transfer"))
    return [one for one, state in states.items() if state in EXPLAINED]


def answers_changed(evidence: Evidence) -> list[str]:
    """The same request got another answer, or two requests the same thing."""
    wrong = ["a repeated request was answered differently" for line in evidence.logged("repeated") if not line["same"]]
    for kind, field in (("quote", "quote_id"), ("transfer", "transfer_id")):
        given = [line["answer"][field] for line in evidence.logged(kind)]
        wrong += [f"{len(given) - len(set(given))} {kind}s were given twice"] if len(given) != len(set(given)) else []
    return wrong


# -- the money


def paid_wrongly(evidence: Evidence) -> list[str]:
    """Another amount than was quoted, or for a transfer that nobody has paid in."""
    quoted = {line["answer"]["transfer_id"]: line["quote"] for line in evidence.logged("transfer")}
    funded = {line["transfer_id"] for line in evidence.logged("pay_in")}
    wrong = []
    for row in money.paid(evidence):
        transfer = row["remittance_information"]
        promise: Mapping[str, Any] = quoted.get(transfer, {})
        if transfer not in funded:
            wrong.append(f"{transfer} was paid and never paid in")
        elif (row["amount_minor"], row["currency"]) != (promise["receive_minor"], promise["receive_currency"]):
            wrong.append(f"{transfer} got {row['amount_minor']} {row['currency']}")
    return wrong


def off_balance(evidence: Evidence) -> list[str]:
    """Debits that are not credits; and when all is complete, anything still held, in clearing or unexplained."""
    wrong = list(money.trial_balance(evidence)[0])
    if incomplete(evidence) or explained(evidence):
        return wrong
    return wrong + [
        f"{row['account_id']}: {row['credit_minor'] - row['debit_minor']} left"
        for row in evidence.balances
        if row["account_id"].startswith(MUST_BE_EMPTY) and row["debit_minor"] != row["credit_minor"]
    ]
