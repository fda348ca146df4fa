"""The catalogue of problems: every `type` that an answer of ours can have. What is raised is checked against it.

An entry stays for as long as a stored answer may name it: a type is never taken back, only not raised any more.
"""

from __future__ import annotations

from collections.abc import Mapping

from contracts.problems import business, business_halts, business_staff, transport
from contracts.problems.kinds import ProblemType

PROBLEMS: Mapping[str, ProblemType] = {
    each.slug: each
    for each in sorted(
        (*transport.TYPES, *business.TYPES, *business_staff.TYPES, *business_halts.TYPES),
        key=lambda one: (one.status, one.slug),
    )
}


def of_status(status: int) -> tuple[ProblemType, ...]:
    """All types with this HTTP status."""
    return tuple(each for each in PROBLEMS.values() if each.status == status)
