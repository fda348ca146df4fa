"""CSV by a partner's map: columns, dates, marks, sides, balances; a bad line spoils itself alone."""

from __future__ import annotations

from datetime import date
from pathlib import Path
from typing import Any

import msgspec
import pytest

from services.kernel.money import Money, iso4217
from services.reconciliation.adapters.statements import delimited
from services.reconciliation.adapters.statements.maps import Csv, Maps
from services.reconciliation.domain.statements.checks import difference
from services.reconciliation.domain.statements.shape import BadFile, Park, Statement, signed

ROOT = Path(__file__).parents[4]
EUR, KWD, JPY = iso4217("EUR"), iso4217("KWD"), iso4217("JPY")
HEAD = "Buchung;Valuta;Betrag;Währung;S/H;Referenz;Text;Saldo"
GERMAN: dict[str, Any] = {
    "columns": {
        "booking_date": "Buchung", "value_date": "Valuta", "amount": "Betrag", "currency": "Währung",
        "entry_reference": "Referenz", "remittance": "Text", "balance": "Saldo",
    },
    "side": {"by": "column", "column": "S/H", "credit": ["H"], "debit": ["S"]},
    "date_format": "%d.%m.%Y", "delimiter": ";", "decimal_mark": ",", "group_mark": ".", "encoding": "cp1252",
    "account": "DE89370400440532013000",
}  # fmt: skip


def form(**changes: Any) -> Csv:
    return msgspec.convert(GERMAN | changes, Csv)


def read(*rows: str, head: str = HEAD, csv: Csv | None = None) -> Statement:
    csv = csv or form()
    (found,) = delimited.read("\r\n".join([head, *rows]).encode(csv.encoding), "bank", csv)
    return found


GOOD = "02.03.2026;03.03.2026;1.234,50;EUR;H;R1;Für Ada RF18539007547034;1.334,50"


def test_a_line_as_the_map_says() -> None:
    said = read(GOOD, "02.03.2026;;34,50;EUR;S;R2;x;1.300,00")
    first, second = said.lines
    assert (first.booking_date, first.value_date) == (date(2026, 3, 2), date(2026, 3, 3))
    assert (first.amount, first.side, first.entry_reference) == (Money(1_234_50, EUR), "credit", "R1")
    assert (first.our_reference, first.position) == ("RF18539007547034", "line 2")
    assert (second.amount, second.side, second.value_date) == (Money(34_50, EUR), "debit", None)
    assert said.opening
    assert said.closing
    assert (signed(said.opening), signed(said.closing)) == (100_00, 1_300_00)
    assert difference(said.opening, said.closing, 1_234_50 - 34_50) == 0


@pytest.mark.parametrize(
    ("row", "code"),
    [
        ("02.03.2026;;1.234,505;EUR;H;R2;x;", Park.AMOUNT_INVALID),
        ("02.03.2026;;12.34,00;EUR;H;R2;x;", Park.AMOUNT_INVALID),
        ("02.03.2026;;;EUR;H;R2;x;", Park.AMOUNT_INVALID),
        ("2026-03-02;;1,00;EUR;H;R2;x;", Park.DATE_INVALID),
        ("31.02.2026;;1,00;EUR;H;R2;x;", Park.DATE_INVALID),
        ("02.03.2026;;1,00;EUR;?;R2;x;", Park.SIDE_INVALID),
        ("02.03.2026;;1,00;USD;H;R2;x;", Park.CURRENCY_DIFFERS),
        ("02.03.2026;;1,00;EUR;H", Park.UNREADABLE),
        ('02.03.2026;;1,00;EUR;H;"R2;x;', Park.UNREADABLE),
        ("02.03.2026;;1,00;EUR;H;" + "R" * 36 + ";x;", Park.REFERENCE_INVALID),
    ],
)
def test_a_bad_line_is_parked_and_those_around_it_are_read(row: str, code: Park) -> None:
    said = read(GOOD, row, GOOD.replace("R1", "R3"))
    assert [(each.code, each.position) for each in said.parked] == [(code, "line 3")]
    assert [each.entry_reference for each in said.lines] == ["R1", "R3"]


def test_ten_bad_lines_of_a_thousand() -> None:
    bad = set(range(100, 1_000, 90))
    rows = [f"02.03.2026;;{'x' if n in bad else n + 1},00;EUR;H;R{n};Ada;" for n in range(1_000)]
    said = read(*rows)
    assert (len(said.lines), len(said.parked)) == (990, 10)
    assert [each.position for each in said.parked] == [f"line {n + 2}" for n in sorted(bad)]


def test_what_may_name_a_person_is_masked_in_a_parked_line() -> None:
    said = read(GOOD, "02.03.2026;;x;EUR;H;R2;Ada Lovelace 12;", '02.03.2026;;1,00;EUR;H;"R2;Ada;')
    assert said.parked[0].raw == "02.03.2026;;x;EUR;H;R2;xxx xxxxxxxx 99;"
    assert "Ada" not in repr(said)


def test_sides_by_two_columns_and_by_sign() -> None:
    columns = {"booking_date": "day", "account": "account", "statement": "no", "currency": "ccy"}
    two = form(columns=columns, side={"by": "two_columns", "credit": "in", "debit": "out"}, account=None)
    said = read("02.03.2026;A;7;KWD;;1,005", head="day;account;no;ccy;in;out", csv=two)
    assert (said.lines[0].amount, said.lines[0].side) == (Money(1_005, KWD), "debit")
    sign = form(columns=columns | {"amount": "amount"}, side={"by": "sign"}, account=None)
    said = read("02.03.2026;A;7;JPY;-1.005", "02.03.2026;A;7;JPY;5", head="day;account;no;ccy;amount", csv=sign)
    assert [(each.amount, each.side) for each in said.lines] == [
        (Money(1_005, JPY), "debit"),
        (Money(5, JPY), "credit"),
    ]
    assert [each.reference_by for each in said.lines] == ["content", "content"]


@pytest.mark.parametrize(
    ("rows", "words"),
    [
        ([], "no line"),
        (["x;x;x;x;x;x;x;x"], "can be read"),
    ],
)
def test_a_file_without_a_line_is_refused(rows: list[str], words: str) -> None:
    with pytest.raises(BadFile, match=words):
        read(*rows)


def test_another_head_is_refused_with_what_is_missing() -> None:
    with pytest.raises(BadFile, match="no column Betrag"):
        read(GOOD, head=HEAD.replace("Betrag", "Amount"))


@pytest.mark.parametrize(
    "changes",
    [
        {"decimal_mark": "."},
        {"account": None},
        {"side": {"by": "two_columns", "credit": "a", "debit": "b"}},
        {"columns": {"booking_date": "Buchung", "amount": "Betrag"}},
        {"unknown": 1},
    ],
)
def test_a_map_that_cannot_work_is_refused_at_the_start(changes: dict[str, Any]) -> None:
    with pytest.raises(msgspec.ValidationError):
        form(**changes)


def test_the_map_of_the_deployment_is_sound() -> None:
    maps = Maps.of_file(str(ROOT / "deploy" / "statement-maps.json"))
    assert maps.ledger_account("sandbox-bank", "GB33BUKB20201555555555") == "safeguarding:sandbox-bank:GBP"
    for wrong in (("nobody", "x"), ("sandbox-bank", "x")):
        with pytest.raises(BadFile):
            maps.ledger_account(*wrong)
