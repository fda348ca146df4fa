"""What a match rests on, field by field, in words that a person can check. Pure."""

from __future__ import annotations

from collections.abc import Sequence
from datetime import date

from services.kernel.money import Money, total
from services.reconciliation.domain.matching.shape import Evidence, Field, Line, Match, Movement, Pass


def pair(
    found_by: Pass, movement: Movement, line: Line, name: tuple[Field, str] | None = None, fee: Money | None = None
) -> Match:
    """One movement and one line; `name`: the reference that both have; `fee`: what their amounts may differ by."""
    named = (Evidence(name[0], name[1], name[1]),) if name else ()
    taken = (Evidence("fee", "within policy", str(fee), fee.minor),) if fee else ()
    return Match(
        found_by=found_by, sheet=line.sheet, movements=(movement.key,), lines=(line.key,), fee=fee,
        evidence=(*named, _amounts(movement.amount, line.amount), *taken, *_days(movement.on, line.on)),
    )  # fmt: skip


def group(found_by: Pass, movements: Sequence[Movement], lines: Sequence[Line], name: str | None = None) -> Match:
    """Several that are the same money together; `name`: the reference that all have."""
    named = (Evidence("our_reference", name, name),) if name else ()
    currency = lines[0].amount.currency
    ours, theirs = (total((e.amount for e in side), currency) for side in (movements, lines))
    sums = Evidence("sum", str(ours), str(theirs), theirs.minor - ours.minor)
    parts = Evidence("parts", str(len(movements)), str(len(lines)))
    last = max((line.on for line in lines if line.on), default=None)
    days = _days(min(movement.on for movement in movements), last)
    return Match(
        found_by=found_by, sheet=lines[0].sheet, movements=tuple(m.key for m in movements),
        lines=tuple(line.key for line in lines), evidence=(*named, sums, parts, *days),
    )  # fmt: skip


def _amounts(ours: Money, theirs: Money) -> Evidence:
    return Evidence("amount", str(ours), str(theirs), theirs.minor - ours.minor)


def _days(ours: date, theirs: date | None) -> tuple[Evidence, ...]:
    return (Evidence("date", str(ours), str(theirs), (theirs - ours).days),) if theirs else ()
