"""A statement with ten planted differences among 300 payments: exactly these ten, each with its cause."""

from __future__ import annotations

from dataclasses import replace
from random import Random

import pytest

from contracts.recon.v1 import StatementLineRecorded
from services.kernel.ids import derive
from services.kernel.money import Money
from services.reconciliation.domain.matching.causes import Cause
from services.reconciliation.domain.matching.passes import Result, match
from services.reconciliation.domain.matching.shape import Line, Movement, recorded
from tests.unit.reconciliation.matching.samples import EUR, GBP, MONDAY, POLICIES, booked, moved

PAYMENTS = [moved(f"m{n:03}", 10_000 + 7 * n, ref=f"REF{n:03}", days=n % 3) for n in range(300)]


def lines() -> dict[str, Line]:
    return {
        m.key: booked(f"l{m.key[1:]}", m.amount.minor, ref=m.our_references[0], days=n % 3 + 1)
        for n, m in enumerate(PAYMENTS)
    }


def planted() -> tuple[list[Movement], list[Line]]:
    theirs = lines()
    del theirs["m010"]  # we believe it moved
    theirs["extra"] = booked("extra", 5_555_555, ref="NOBODY")  # and this we do not
    theirs["m030"] = replace(theirs["m030"], amount=Money(10_211, EUR))  # one cent more
    theirs["m040"] = replace(theirs["m040"], amount=Money(10_280, GBP))
    theirs["twice"] = replace(theirs["m050"], key="twice")
    theirs["m060"] = replace(theirs["m060"], our_references=("REF06O",))
    theirs["m070"] = replace(theirs["m070"], side="debit")
    theirs["m080"] = replace(theirs["m080"], on=MONDAY.replace(month=12, day=23), our_references=())
    theirs["m090"] = replace(theirs["m090"], amount=Money(9_630, EUR), charges=Money(1_000, EUR))
    theirs["back"] = replace(theirs["m095"], key="back", side="debit", reversal=True)
    return list(PAYMENTS), list(theirs.values())


EXPECTED = {
    (Cause.NOT_ON_STATEMENT, ("m010",), ()),
    (Cause.NOT_IN_OUR_BOOKS, (), ("extra",)),
    (Cause.AMOUNT_DIFFERS, ("m030",), ("l030",)),
    (Cause.CURRENCY_DIFFERS, ("m040",), ("l040",)),
    (Cause.BOOKED_TWICE, (), ("twice",)),
    (Cause.REFERENCE_DIFFERS, ("m060",), ("l060",)),
    (Cause.SIDE_DIFFERS, ("m070",), ("l070",)),
    (Cause.DATE_DIFFERS, ("m080",), ("l080",)),
    (Cause.FEE_BEYOND_POLICY, ("m090",), ("l090",)),
    (Cause.REVERSAL_UNKNOWN, (), ("back",)),
}


def causes(result: Result) -> set[tuple[Cause, tuple[str, ...], tuple[str, ...]]]:
    return {(d.cause, d.movements, d.lines) for d in result.differences}


@pytest.mark.parametrize("seed", range(5))
def test_ten_planted_differences_are_found_and_no_other(seed: int) -> None:
    ours, theirs = planted()
    Random(seed).shuffle(ours)
    Random(seed + 1).shuffle(theirs)
    result = match(ours, theirs, POLICIES)
    assert len(result.differences) == 10
    assert causes(result) == EXPECTED


def test_a_clean_statement_has_none() -> None:
    assert match(PAYMENTS, list(lines().values()), POLICIES).differences == ()


def test_a_payment_that_we_recorded_twice() -> None:
    result = match([*PAYMENTS, replace(PAYMENTS[5], key="m005-again")], list(lines().values()), POLICIES)
    (difference,) = result.differences
    assert difference.cause == Cause.RECORDED_TWICE
    assert (difference.movements, difference.beside) == (("m005-again",), ("m005",))


def test_a_difference_never_adds_up_two_currencies() -> None:
    result = match([moved("m", ref="X")], [booked("a", ref="X", amount=Money(7, GBP)), booked("b", 9, ref="X")])
    (difference,) = result.differences
    assert difference.theirs == (Money(9, EUR), Money(7, GBP))


def test_a_line_as_its_event_says_it() -> None:
    event = StatementLineRecorded(
        line_id=derive("line"), statement_id=derive("statement"), partner="bank", account="A", entry_reference="E1",
        reference_by="servicer", position="line 2", booking_date=None, value_date=MONDAY, amount=Money(5, EUR),
        side="debit", reversal=True, bank_transaction_code="CHRG", end_to_end_id="X", our_reference="X",
        references=("E1", "U1"), charges=None, details=(), details_left_out=0, recorded_at=None,  # type: ignore[arg-type]
    )  # fmt: skip
    line = recorded(event)
    assert (line.on, line.our_references, line.partner_references) == (MONDAY, ("X",), ("E1", "U1"))
    assert (line.sheet.side, line.reversal, line.key) == ("debit", True, str(derive("line")))
    event.reference_by = "content"  # type: ignore[misc]
    event.references = ()  # type: ignore[misc]
    assert recorded(event).partner_references == ()
