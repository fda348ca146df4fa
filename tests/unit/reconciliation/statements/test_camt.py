"""camt.053 and camt.054 of every version, faithful to the business samples of ISO 20022, and what is done to attack."""

from __future__ import annotations

import re
import time
import tracemalloc
from datetime import date
from pathlib import Path

import pytest

from services.kernel.money import Money, iso4217
from services.reconciliation.adapters.statements import camt
from services.reconciliation.domain.statements.entries import inside
from services.reconciliation.domain.statements.shape import BadFile, Park, Statement, signed

FILES = Path(__file__).parent / "files"
SEK = iso4217("SEK")
STATEMENTS = sorted(FILES.glob("camt.053.*.xml"))
CPU_SECONDS_MAX = 30  # of 10,000 entries; 4 to 6 on an idle core
ENTRY_BYTES_MAX = 4_096


def sample(name: str = "camt.053.001.08") -> str:
    return (FILES / f"{name}.xml").read_text()


def one(text: str) -> Statement:
    (found,) = camt.read(text.encode(), "sandbox-bank")
    return found


@pytest.mark.parametrize("path", STATEMENTS, ids=lambda path: path.stem)
def test_the_business_sample_of_each_version_is_one_and_the_same_statement(path: Path) -> None:
    said = one(path.read_text())
    assert (said.kind, said.source, said.message) == ("statement", "camt053", path.stem)
    assert (said.account, said.reference, said.currency) == ("50000000054910000003", "AAAASESS-FP-STAT001", "SEK")
    assert (said.period_from, said.period_to) == (date(2010, 10, 18), date(2010, 10, 18))
    assert said.opening
    assert said.closing
    assert (signed(said.opening), signed(said.closing)) == (500_000_00, 435_678_50)
    assert [(each.entry_reference, each.side, each.amount, each.end_to_end_id) for each in said.lines] == [
        ("AAAASESS-FP-CN_98765/01", "credit", Money(105_678_50, SEK), "MUELL/FINP/RA12345"),
        ("AAAASESS-FP-ACCR-01", "debit", Money(200_000_00, SEK), None),
        ("AAAASESS-FP-CONF-FX", "credit", Money(30_000_00, SEK), "AAAASS1085FINPSS"),
    ]
    assert [each.bank_transaction_code for each in said.lines] == ["PAYM/0001/0005", "PAYM/0001/0003", "TREA/0002/0000"]
    assert said.parked == ()


@pytest.mark.parametrize("version", range(2, 13))
def test_every_version_has_its_classes(version: int) -> None:
    text = sample("camt.053.001.02" if version == 2 else "camt.053.001.04" if version < 7 else "camt.053.001.08")
    text = re.sub(r"camt\.053\.001\.\d\d", f"camt.053.001.{version:02}", text)
    assert len(one(text).lines) == 3


@pytest.mark.parametrize("name", ["camt.054.001.02", "camt.054.001.08"])
def test_a_notification_has_lines_and_no_balances(name: str) -> None:
    said = one(sample(name))
    assert (said.kind, said.source, said.opening, said.closing) == ("notification", "camt054", None, None)
    assert [each.amount for each in said.lines] == [Money(105_678_50, SEK)]


def test_names_of_persons_are_nowhere_in_what_is_kept() -> None:
    said = one(sample().replace("105678.50", "105678.505"))
    assert "MUELLER" not in repr(said)
    assert said.parked[0].raw.startswith('<Amt Ccy="SEK">105678.505</Amt>')


@pytest.mark.parametrize(
    ("old", "new", "code"),
    [
        ("105678.50</Amt>", "105678.505</Amt>", Park.AMOUNT_INVALID),
        ("105678.50</Amt>", "-105678.50</Amt>", Park.AMOUNT_INVALID),
        ("105678.50</Amt>", "1E5</Amt>", Park.AMOUNT_INVALID),
        ('Ccy="SEK">105678.50', 'Ccy="XXZ">105678.50', Park.AMOUNT_INVALID),
        ('Ccy="SEK">105678.50', 'Ccy="EUR">105678.50', Park.CURRENCY_DIFFERS),
        ("<BookgDt><DtTm>2010-10-18T13:15", "<BookgDt><DtTm>2010-13-18T13:15", Park.UNREADABLE),
        ("CN_98765/01</AcctSvcrRef>", "CN_98765/01" + 30 * "x" + "</AcctSvcrRef>", Park.REFERENCE_INVALID),
    ],
)
def test_a_bad_entry_is_parked_with_its_position_and_the_others_are_read(old: str, new: str, code: Park) -> None:
    text = sample()
    assert old in text
    said = one(text.replace(old, new, 1))
    assert [(each.code, each.position) for each in said.parked] == [(code, "/Document/*/Stmt[1]/Ntry[1]")]
    assert len(said.lines) == 2


def test_what_is_not_booked_yet_is_left_out_and_counted() -> None:
    said = one(sample().replace("<Cd>BOOK</Cd>", "<Cd>PDNG</Cd>", 1))
    assert (len(said.lines), said.not_booked) == (2, 1)


def test_a_batch_keeps_the_references_of_its_transactions() -> None:
    transaction = (
        "<TxDtls><Refs><EndToEndId>E-{n}</EndToEndId></Refs><Amt Ccy='SEK'>{n}.50</Amt>"
        "<CdtDbtInd>DBIT</CdtDbtInd><RmtInf><Ustrd>to RF18539007547034</Ustrd></RmtInf></TxDtls>"
    )
    text = sample().replace("</Btch>", "</Btch>" + "".join(transaction.format(n=n) for n in (1, 2)))
    details = one(text).lines[1].details
    assert [(each.end_to_end_id, each.our_reference, each.amount) for each in details] == [
        ("E-1", "RF18539007547034", Money(150, SEK)), ("E-2", "RF18539007547034", Money(250, SEK)),
    ]  # fmt: skip


def test_equal_entries_without_a_reference_are_as_many_lines() -> None:
    text = re.sub(r"<AcctSvcrRef>.*?</AcctSvcrRef>", "", sample())
    entry = text[text.index("<Ntry>") : text.index("</Ntry>") + 7]
    said = one(text.replace(entry, entry + entry))
    good, parked = inside(said)
    assert (len(good), len(parked)) == (4, 0)
    assert one(text.replace(entry, entry + entry)) == said


@pytest.mark.parametrize(
    ("text", "words"),
    [
        ('<!DOCTYPE x [<!ENTITY a "b">]><Document/>', "DTD"),
        ('<!DOCTYPE x SYSTEM "file:///etc/passwd"><Document/>', "DTD"),
        ("<Document>" + "<a>" * 5_000 + "</a>" * 5_000 + "</Document>", "camt.053"),
        ("<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.08'>" + "<a>" * 5_000, "nested"),
        (
            "<Document xmlns='urn:iso:std:iso:20022:tech:xsd:camt.053.001.08'><BkToCstmrStmt/></Document>",
            "no statement",
        ),
        ("<Document xmlns='urn:iso:std:iso:20022:tech:xsd:pain.001.001.03'/>", "camt.053"),
        ("<Stmt/>", "Document"),
        ("no xml", "well-formed"),
    ],
)
def test_what_is_no_statement_is_refused_in_words(text: str, words: str) -> None:
    with pytest.raises(BadFile, match=words):
        list(camt.read(text.encode(), "sandbox-bank"))


def test_another_encoding_is_refused_whatever_the_file_says_of_itself() -> None:
    with pytest.raises(BadFile, match="UTF-8"):
        list(camt.read(sample().encode("utf-16"), "sandbox-bank"))


def test_one_page_of_several_is_refused() -> None:
    text = sample("camt.053.001.02").replace("<LastPgInd>true", "<LastPgInd>false")
    with pytest.raises(BadFile, match="page"):
        one(text)


def of_entries(number: int) -> bytes:
    text = sample()
    entry = text[text.index("<Ntry>") : text.index("</Ntry>") + 7]
    return text.replace(entry, "".join(entry.replace("CN_98765/01", f"CN_{n}") for n in range(number))).encode()


@pytest.mark.timeout(120)
def test_ten_thousand_entries_are_read_in_time() -> None:
    body, before = of_entries(10_000), time.process_time()
    (said,) = camt.read(body, "sandbox-bank")
    assert (len(said.lines), len(said.parked)) == (10_002, 0)
    assert time.process_time() - before < CPU_SECONDS_MAX


def test_memory_grows_with_what_is_kept_of_an_entry_and_not_with_the_document() -> None:
    list(camt.read(of_entries(1), "sandbox-bank"))  # the classes of the version
    body = of_entries(1_000)
    tracemalloc.start()
    (said,) = camt.read(body, "sandbox-bank")
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert len(said.lines) == 1_002
    assert peak - 3 * len(body) < 1_000 * ENTRY_BYTES_MAX  # the bytes as text, twice while they are judged
