"""What the partner took for itself: off the payment, or by a line of its own. Only of what is called by name. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator

from services.kernel.money import Money
from services.reconciliation.domain.matching import evidence
from services.reconciliation.domain.matching.remaining import Remaining
from services.reconciliation.domain.matching.shape import Entry, Evidence, Line, Match, Movement, Pass


def taken(movement: Movement, line: Line) -> Money | None:
    """What a line has less, when money came in, or more, when it went out; None if nothing was taken."""
    ours, theirs = movement.amount.minor, line.amount.minor
    fee = ours - theirs if line.side == "credit" else theirs - ours
    return Money(fee, line.amount.currency) if fee > 0 else None


def fee_taken_off(remaining: Remaining) -> Iterator[Match]:
    """A line that names one movement, and differs from it by a fee within the policy, and by what it states itself."""
    used: set[str] = set()
    for line in remaining.lines:
        movement = _sole(remaining, line)
        fee = taken(movement, line) if movement else None
        if movement and fee and movement.key not in used and _may_take(remaining, movement, line, fee):
            used.add(movement.key)
            yield evidence.pair(Pass.FEE_TAKEN_OFF, movement, line, ("our_reference", _common(movement, line)), fee)


def _sole(remaining: Remaining, line: Line) -> Movement | None:
    """The movement that it names, if it is one, and no other line names that one."""
    movement = _only(remaining.movements_by_name.get((line.sheet, name), []) for name in line.names)
    if movement is None:
        return None
    return movement if _only(remaining.lines_by_name.get((line.sheet, name), []) for name in movement.names) else None


def _only(named: Iterable[list[Entry]]) -> Entry | None:
    """The one that stands alone under all names; None as soon as a second one is seen."""
    found: Entry | None = None
    for entries in named:
        if len(entries) > 1 or (entries and found and entries[0].key != found.key):
            return None
        found = entries[0] if entries else found
    return found


def _common(movement: Movement, line: Line) -> str:
    return next(name for name in line.names if name in movement.names)


def _may_take(remaining: Remaining, movement: Movement, line: Line, fee: Money) -> bool:
    policy = remaining.policies.fee(line)
    stated = line.charges is None or line.charges == fee
    free = not remaining.refused.forbids((movement.key,), (line.key,))
    return policy is not None and stated and free and policy.allows(fee, movement.amount)


def fee_line(remaining: Remaining) -> Iterator[Match]:
    """A debit that names a payment matched in full, within the policy: the fee's own line, one for each payment."""
    paid = _paid_in_full(remaining)
    charged: set[str] = set()
    for line in remaining.lines:
        policy = remaining.policies.fee(line)
        movement = _payment(line, paid) if policy and policy.knows(line) else None
        if movement is None or policy is None or movement.key in charged:
            continue
        if policy.allows(line.amount, movement.amount) and not remaining.refused.forbids((), (line.key,)):
            charged.add(movement.key)
            yield _own_line(line, movement)


Paid = dict[tuple[str, str, str], list[Movement]]  # partner, account, name


def _paid_in_full(remaining: Remaining) -> Paid:
    """Movements of matches without a fee, by name."""
    found: Paid = {}
    for match in remaining.matches:
        for key in () if match.fee else match.movements:
            movement = remaining.used[key]
            for name in movement.names:
                found.setdefault((movement.partner, movement.account, name), []).append(movement)
    return found


def _payment(line: Line, paid: Paid) -> Movement | None:
    return _only(paid.get((line.partner, line.account, name), []) for name in line.names)


def _own_line(line: Line, movement: Movement) -> Match:
    name = _common(movement, line)
    return Match(
        found_by=Pass.FEE_LINE, sheet=line.sheet, movements=(), lines=(line.key,), fee=line.amount,
        evidence=(
            Evidence("our_reference", name, name),
            Evidence("fee", "within policy", str(line.amount), line.amount.minor),
            Evidence("fee_of", movement.key, str(movement.amount)),
        ),
    )  # fmt: skip
