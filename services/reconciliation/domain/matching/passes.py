"""All passes in one table, the surest first, and the run through it. Pure."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence

from services.kernel.value import value
from services.reconciliation.domain.matching import fees, pairs, sums
from services.reconciliation.domain.matching.left import Difference, differences
from services.reconciliation.domain.matching.policy import NO_POLICIES, Policies
from services.reconciliation.domain.matching.remaining import Remaining
from services.reconciliation.domain.matching.shape import Line, Match, Movement, Pass, in_order
from services.reconciliation.domain.matching.undo import Refused, Undone


@value
class Step:
    """A pass, and how often it looks again at what it left: what a round takes may make another answer the only one."""

    name: Pass
    find: Callable[[Remaining], Iterable[Match]]
    rounds: int = 1


PASSES: tuple[Step, ...] = (
    Step(Pass.EXACT_KEY, pairs.exact_key),
    Step(Pass.REFERENCE_AND_AMOUNT, pairs.reference_and_amount),
    Step(Pass.AMOUNT_AND_DATE, pairs.amount_and_date),
    Step(Pass.BATCH_DETAILS, sums.batch_details),
    Step(Pass.REFERENCE_SUM, sums.reference_sum, 4),
    Step(Pass.MANY_TO_ONE, sums.many_to_one, 4),
    Step(Pass.ONE_TO_MANY, sums.one_to_many, 4),
    Step(Pass.FEE_TAKEN_OFF, fees.fee_taken_off, 4),
    Step(Pass.FEE_LINE, fees.fee_line),
)


@value(kw_only=True)
class Result:
    """Every movement and every line that was given is in one match, or is left and in one difference."""

    matches: tuple[Match, ...]  # by pass, then in the order of their lines
    movements: tuple[Movement, ...]  # left
    lines: tuple[Line, ...]  # left
    differences: tuple[Difference, ...]


def match(
    movements: Sequence[Movement], lines: Sequence[Line], policies: Policies = NO_POLICIES,
    undone: Iterable[Undone] = (), standing: Sequence[Match] = (), passes: Sequence[Step] = PASSES,
) -> Result:  # fmt: skip
    """The same result in whatever order all of them come. `standing`: matches of earlier runs that nobody has undone;
    they stay, and their entries are among those given. Raises KeyTwice."""
    remaining = Remaining(in_order(movements), in_order(lines), policies, Refused(undone)).without(standing)
    for step in passes:
        remaining = _run(step, remaining)
    return Result(
        matches=remaining.matches, movements=remaining.movements, lines=remaining.lines,
        differences=differences(remaining),
    )  # fmt: skip


def _run(step: Step, remaining: Remaining) -> Remaining:
    for _ in range(step.rounds):
        made = tuple(step.find(remaining))
        if not made:
            break
        remaining = remaining.without(made)
    return remaining
