"""What payouts need from outside: a rail that takes instructions and answers for them, and the key to sealed names."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Protocol
from uuid import UUID

from services.kernel.money import Money
from services.kernel.sealed import Sealed


@dataclass(frozen=True, kw_only=True, slots=True)
class Instruction:
    """One payment for the partner. `payout_id` is its end_to_end_id and idempotency key, the same for every attempt."""

    payout_id: UUID
    amount: Money
    creditor_name: str = field(repr=False)  # opened: must not reach a log
    creditor_account: str = field(repr=False)
    remittance_information: str  # the transfer id


@dataclass(frozen=True, slots=True)
class Accepted:
    """The partner has it. Accepted is not settled."""

    status: str  # as received: ACCP, ACSP, PDNG
    reference: str


@dataclass(frozen=True, slots=True)
class Refused:
    """A definite no."""

    reason_code: str  # as received: AC01, AM04, ...


@dataclass(frozen=True, slots=True)
class Deferred:
    """Provably not accepted: it may be sent again, same key, not before `retry_after_seconds`."""

    reason: str
    retry_after_seconds: int = 0  # 0: the partner named no time
    unsent: bool = False  # provably no request of this attempt left us


@dataclass(frozen=True, slots=True)
class Unknown:
    """Nobody can say whether the partner has it."""

    reason: str


@dataclass(frozen=True, slots=True)
class Settled:
    """The creditor has `amount`, says the partner."""

    amount: Money
    reference: str
    settled_at: datetime | None  # None: the partner named no time


@dataclass(frozen=True, slots=True)
class Pending:
    """Asked: the partner has it and has not settled it yet."""

    status: str
    reference: str


@dataclass(frozen=True, slots=True)
class NotKnown:
    """Asked: the partner has never heard of it. Only to be believed after the partner's own settling delay."""


SubmitVerdict = Accepted | Refused | Deferred | Unknown
StatusVerdict = Settled | Pending | Refused | NotKnown | Deferred | Unknown
Verdict = SubmitVerdict | StatusVerdict


class Rail(Protocol):
    """A partner that pays out. Outages are verdicts, so neither call raises; one verdict for each item, in order."""

    async def submit(self, instructions: list[Instruction]) -> Sequence[SubmitVerdict]:
        """Send them, each at most once. Returns within the lease of the payouts."""

    async def status(self, payout_ids: list[UUID]) -> Sequence[StatusVerdict]:
        """Ask for them by our reference. Changes nothing at the partner."""


class CannotOpen(Exception):
    """The vault does not answer: nothing can be opened now."""


class Opener(Protocol):
    """Reads sealed values, with the keys of the vault."""

    async def open_many(self, sealed: list[tuple[Sealed, str]]) -> Sequence[str | None]:
        """The text of each (box, field it was sealed for), in order; None when the person's key was destroyed.

        Raises CannotOpen.
        """
