"""Why an entry is left. Pure."""

from __future__ import annotations

from enum import StrEnum

from services.reconciliation.domain.matching.fees import taken
from services.reconciliation.domain.matching.shape import Line, Movement


class Cause(StrEnum):
    """The first that fits is the cause. Names stay: differences are stored under them."""

    UNDONE = "UNDONE"  # a person took the match back
    CURRENCY_DIFFERS = "CURRENCY_DIFFERS"
    ACCOUNT_DIFFERS = "ACCOUNT_DIFFERS"
    SIDE_DIFFERS = "SIDE_DIFFERS"
    FEE_BEYOND_POLICY = "FEE_BEYOND_POLICY"  # the line states its charges, and they explain the amount
    SUM_DIFFERS = "SUM_DIFFERS"  # parts and whole name each other
    AMOUNT_DIFFERS = "AMOUNT_DIFFERS"
    BOOKED_TWICE = "BOOKED_TWICE"  # the line of a payment that another line was matched with
    RECORDED_TWICE = "RECORDED_TWICE"  # the movement of a payment that another movement was matched with
    REVERSAL_UNKNOWN = "REVERSAL_UNKNOWN"  # the partner took back what we believe has happened
    EXTRA_LINE = "EXTRA_LINE"  # it names a matched payment, and is neither it nor a fee that may be taken
    AMBIGUOUS = "AMBIGUOUS"  # several could be it
    REFERENCE_DIFFERS = "REFERENCE_DIFFERS"  # amount and day agree, the references do not
    DATE_DIFFERS = "DATE_DIFFERS"  # outside the partner's window
    NOT_IN_OUR_BOOKS = "NOT_IN_OUR_BOOKS"
    NOT_ON_STATEMENT = "NOT_ON_STATEMENT"


RANK = {cause: rank for rank, cause in enumerate(Cause)}


def of_named(movement: Movement, line: Line) -> Cause:
    """Why two that have a name in common are not a match."""
    if movement.amount.currency != line.amount.currency:
        return Cause.CURRENCY_DIFFERS
    if movement.account != line.account:
        return Cause.ACCOUNT_DIFFERS
    if movement.side != line.side:
        return Cause.REVERSAL_UNKNOWN if line.reversal else Cause.SIDE_DIFFERS
    if len(line.details) > 1:
        return Cause.SUM_DIFFERS
    if movement.amount == line.amount:
        return Cause.AMBIGUOUS
    return Cause.FEE_BEYOND_POLICY if line.charges and line.charges == taken(movement, line) else Cause.AMOUNT_DIFFERS


def of_line_beside(movement: Movement, line: Line) -> Cause:
    """Why a line that names a matched movement is left."""
    if line.sheet == movement.sheet and line.amount == movement.amount:
        return Cause.BOOKED_TWICE
    return Cause.REVERSAL_UNKNOWN if line.reversal else Cause.EXTRA_LINE
