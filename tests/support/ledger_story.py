"""Random work for the ledger: numbers that say nothing of what is there yet become operations that fit what is."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import NamedTuple
from uuid import UUID, uuid5

from tests.support.ledger_model import EXPONENTS, Amount, Fact, Judge, Op, Place, Propose, Resolve, bought

CURRENCIES = sorted(EXPONENTS)
RATES = ("0.000001", "0.0073", "0.5", "1", "1.3337", "188.0991", "1000000")
BANKS, PEOPLE = ("barclays", "chase"), ("ann", "ben", "cid")
WORK = (
    "open", "open", "step", "step", "step", "step", "top_up", "place", "place", "place", "resolve", "resolve",
    "propose", "judge", "judge", "treasury", "replay", "replay",
)  # fmt: skip
NEXT = {  # what may follow a step of a transfer
    "": ("deposit.observed",),
    "deposit.observed": ("transfer.funding_confirmed",) * 3 + ("deposit.refunded", "deposit.reversed"),
    "transfer.funding_confirmed": ("transfer.payout_initiated",) * 4
    + ("transfer.funding_reversed", "transfer.refunded"),
    "transfer.funding_reversed": ("transfer.funding_loss_recorded",),
    "transfer.payout_initiated": ("payout.confirmed", "payout.confirmed", "transfer.payout_failed"),
    "payout.confirmed": ("payout.returned",),
    "payout.returned": ("transfer.payout_failed",),
    "transfer.payout_failed": ("transfer.payout_initiated", "transfer.refunded", "payout.late_confirmation"),
    "payout.late_confirmation": ("transfer.refunded",),
    "transfer.refunded": ("transfer.payout_completed",),
}
WAITS = {"transfer.funding_confirmed", "transfer.payout_failed", "payout.late_confirmation"}  # its money is held


class Seed(NamedTuple):
    """One operation to be."""

    work: str
    which: int
    how: int
    minor: int


@dataclass
class Transfer:
    """Where it is, and its figures."""

    customer: UUID
    names: dict[str, str]
    amounts: dict[str, Amount]
    rate: str
    steps: list[str] = field(default_factory=lambda: [""])


@dataclass
class Story:
    """What was made so far. `number` keeps the ids of one story apart from all others'."""

    number: int
    transfers: list[Transfer] = field(default_factory=list)
    holds: list[Place] = field(default_factory=list)
    wishes: list[Propose] = field(default_factory=list)
    told: list[Op] = field(default_factory=list)
    count: int = 0

    def op(self, seed: Seed, lane: int = 0, lanes: int = 1) -> Op:
        """The operation; where several lanes work at once, each has transfers of its own."""
        made = getattr(self, f"_{seed.work}")(seed, lane, lanes)
        self.told.append(made)
        return made  # type: ignore[no-any-return]

    def waiting(self, customer: UUID, currency: str) -> int:
        """What this customer's transfers have held, in minor units."""
        found = (
            each.amounts["send"] for each in self.transfers if each.customer == customer and each.steps[-1] in WAITS
        )
        return sum(minor for minor, code in found if code == currency)

    def id(self, *parts: object) -> UUID:
        """The same parts, the same id, in this story."""
        return uuid5(UUID(int=self.number), ":".join(map(str, parts)))

    def customer(self, which: int) -> UUID:
        """One of three."""
        return self.id("customer", which % 3)

    def new(self) -> UUID:
        """An id that nothing has."""
        self.count += 1
        return self.id("new", self.count)

    def _open(self, seed: Seed, lane: int, lanes: int) -> Op:
        """A transfer, and the deposit for it."""
        source, target = CURRENCIES[seed.which % 4], CURRENCIES[seed.how % 4]
        send, rate = seed.minor + 2, RATES[(seed.how + seed.minor) % len(RATES)]
        fee, spread = send // 10, send // 20
        converted, off = send - fee - spread, seed.how % 3 - 1
        figures = {
            "amount": send + off, "received": send + off, "short": max(-off, 0), "over": max(off, 0), "send": send,
            "fee": fee, "spread": spread, "converted": converted,
        }  # fmt: skip
        amounts = {name: (minor, source) for name, minor in figures.items()}
        amounts["receive"] = (bought(converted, rate, source, target), target)
        customer = self.customer(seed.how)
        names = {"customer": str(customer), "bank": BANKS[seed.which % 2], "partner": BANKS[seed.how % 2]}
        while len(self.transfers) % lanes != lane:  # keeps each lane's places its own
            self.transfers.append(Transfer(customer, names, amounts, rate, ["transfer.payout_completed"]))
        self.transfers.append(Transfer(customer, names, amounts, rate))
        return self._advance(len(self.transfers) - 1, 0)

    def _step(self, seed: Seed, lane: int, lanes: int) -> Op:
        open_ones = [at for at, each in enumerate(self.transfers) if at % lanes == lane and self._may(each)]
        if not open_ones:
            return self._open(seed, lane, lanes)
        return self._advance(open_ones[seed.which % len(open_ones)], seed.how)

    def _may(self, transfer: Transfer) -> list[str]:
        """The next steps that there are; a payout of nothing is only taken back."""
        found = NEXT.get(transfer.steps[-1], ())
        return [kind for kind in found if transfer.amounts["receive"][0] or kind not in FOR_SOMETHING]

    def _advance(self, at: int, how: int) -> Op:
        transfer = self.transfers[at]
        may = self._may(transfer)
        kind = may[how % len(may)]
        cause = self.id("transfer", at, len(transfer.steps))
        transfer.steps.append(kind)
        rate = transfer.rate if kind == "transfer.payout_initiated" else ""
        return Fact(kind, cause, transfer.names, transfer.amounts, rate)

    def _top_up(self, seed: Seed, lane: int, lanes: int) -> Op:
        names = {"customer": str(self.customer(seed.which))}
        return Fact("wallet.topped_up", self.new(), names, {"amount": (seed.minor, CURRENCIES[seed.how % 2])})

    def _treasury(self, seed: Seed, lane: int, lanes: int) -> Op:
        currency, names = CURRENCIES[seed.which % 4], {"partner": BANKS[seed.how % 2], "bank": BANKS[seed.how % 2]}
        parts = {"position": seed.minor, "fees": seed.how, "spread": seed.which, "over": seed.how % 2}
        amounts = {name: (minor, currency) for name, minor in parts.items()}
        if seed.how % 3:
            return Fact("treasury.float_funded", self.new(), names, {"amount": (seed.minor, currency)})
        return Fact("treasury.swept", self.new(), names, amounts | {"swept": (sum(parts.values()), currency)})

    def _place(self, seed: Seed, lane: int, lanes: int) -> Op:
        made = Place(self.new(), self.customer(seed.which), seed.minor, CURRENCIES[seed.how % 2], self.new())
        self.holds.append(made)
        return made

    def _resolve(self, seed: Seed, lane: int, lanes: int) -> Op:
        """Use it in part or whole, more than it has, or give it up; some of them twice."""
        if not self.holds:
            return self._place(seed, lane, lanes)
        hold = self.holds[seed.which % len(self.holds)]
        cause = self.id("resolve", hold.hold, seed.how % 2)
        if seed.how % 3 == 0:
            return Resolve(hold.hold, cause, void=True)
        return Resolve(hold.hold, cause, minor=None if seed.how % 4 == 1 else 1 + seed.minor % (hold.minor + 1))

    def _propose(self, seed: Seed, lane: int, lanes: int) -> Op:
        """Some take money from a customer, who may have less, and some give."""
        currency = CURRENCIES[seed.how % 2]
        account, minor = f"customer:{self.customer(seed.which)}:available:{currency}", seed.minor
        lines = ((account, -minor), (f"suspense:payouts:{currency}", minor))
        if seed.how % 3 == 0:
            lines = ((f"loss:payouts:{currency}", -minor), (account, minor))
        made = Propose(self.new(), lines, PEOPLE[seed.which % 3])
        self.wishes.append(made)
        return made

    def _judge(self, seed: Seed, lane: int, lanes: int) -> Op:
        if not self.wishes:
            return self._propose(seed, lane, lanes)
        wish = self.wishes[seed.which % len(self.wishes)]
        return Judge(wish.wish, PEOPLE[seed.how % 3], yes=seed.how % 5 > 0)

    def _replay(self, seed: Seed, lane: int, lanes: int) -> Op:
        """Anything once more but a proposal, which has an id of its own each time it is made."""
        again = [op for op in self.told if not isinstance(op, Propose | Judge)]
        return again[-1 - seed.which % len(again)] if again else self._top_up(seed, lane, lanes)


FOR_SOMETHING = ("payout.confirmed", "payout.late_confirmation", "transfer.payout_completed")
