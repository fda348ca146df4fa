"""camt.053 and camt.054 of ISO 20022, versions 02 to 12: an entry at a time, so that memory has a bound.

The classes of each version are those of pyiso20022, made from the official schemas. An amount is taken from its text
and not from them, so that it is exact. A document with a DTD is refused: it could name entities, files or addresses.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from datetime import date, datetime, time, timedelta
from functools import cache
from importlib import import_module
from typing import Any, cast

from lxml import etree
from xsdata.exceptions import ParserError
from xsdata.formats.dataclass.context import XmlContext
from xsdata.formats.dataclass.parsers import XmlParser
from xsdata.formats.dataclass.parsers.config import ParserConfig

from contracts.recon.v1 import LineDetail, Side, StatementBalance, StatementKind, StatementSource
from services.kernel.money import Money
from services.reconciliation.adapters.statements.entries import NumberedLines
from services.reconciliation.domain.statements.amounts import currency_of, money, our_reference, reference
from services.reconciliation.domain.statements.shape import (
    DETAILS_MAX,
    LINES_MAX,
    RAW_CHARS_MAX,
    REFERENCES_MAX,
    BadFile,
    BadLine,
    Park,
    ParkedLine,
    Statement,
    StatementLine,
)

_MESSAGE = re.compile(r"\{urn:iso:std:iso:20022:tech:xsd:(camt\.(053|054)\.001\.(0[2-9]|1[0-2]))\}Document")
_ELEMENT = re.compile(r"`(\w+\.\w+)`|missing .* (?:argument|arguments): ([\w', ]+)")
_NAMESPACES = re.compile(r' xmlns(?::\w+)?="[^"]*"')
KEPT = ("NtryRef", "Amt", "CdtDbtInd", "RvslInd", "Sts", "BookgDt", "ValDt", "AcctSvcrRef", "BkTxCd")  # names nobody
OPENING, CLOSING = ("OPBD", "PRCD"), ("CLBD",)
BOOKED = "BOOK"
HEADS, PAGES = ("Stmt", "Ntfctn"), ("MsgPgntn", "StmtPgntn", "NtfctnPgntn")
READ = tuple(f"{{*}}{name}" for name in ("Document", "Ntry", *HEADS, *PAGES))
SIDES: dict[str, Side] = {"CRDT": "credit", "DBIT": "debit"}
IDS = ("msg_id", "pmt_inf_id", "instr_id", "tx_id", "uetr", "clr_sys_ref", "acct_svcr_ref", "acct_svcr_tx_id")


@dataclass(frozen=True)
class Message:
    """One message of one version, with the classes that it is made of."""

    name: str
    kind: StatementKind
    source: StatementSource
    namespace: str
    entry: type[Any]
    head: type[Any]

    def tag(self, name: str) -> str:
        """An element's name as lxml has it."""
        return f"{{{self.namespace}}}{name}"


@cache
def message(name: str) -> Message:
    """By its name: camt.053.001.08."""
    module = import_module(f"pyiso20022.camt.{name.replace('.', '_')}")
    kind: StatementKind = "statement" if "053" in name else "notification"
    head = "AccountStatement" if kind == "statement" else "AccountNotification"

    def of(prefix: str) -> type[Any]:
        found: type[Any] = next(kind for known, kind in vars(module).items() if re.fullmatch(rf"{prefix}\d+", known))
        return found

    return Message(
        name, kind, "camt053" if kind == "statement" else "camt054", f"urn:iso:std:iso:20022:tech:xsd:{name}",
        of("ReportEntry"), of(head),
    )  # fmt: skip


@cache
def _parser() -> XmlParser:
    config = ParserConfig(fail_on_unknown_properties=False, fail_on_converter_warnings=True)
    return XmlParser(context=XmlContext(), config=config)


@dataclass
class _Open:
    """A statement whose end has not been read yet."""

    number: int
    lines: NumberedLines = field(default_factory=NumberedLines)
    parked: list[ParkedLine] = field(default_factory=list)
    entries: int = 0
    not_booked: int = 0


def read(body: bytes, partner: str) -> Iterator[Statement]:
    """Every statement of the file. Raises BadFile; an entry that cannot be read is parked in its statement."""
    _judge(body)
    try:
        yield from _statements(body, partner)
    except etree.XMLSyntaxError as broken:
        raise BadFile(f"no well-formed XML, or nested too deeply: line {broken.lineno}") from None


def _judge(body: bytes) -> None:
    """Before anything reads it. libxml2 itself refuses more than 256 levels and texts of 10 MB."""
    try:
        text = body.decode("utf-8-sig")
    except UnicodeDecodeError:
        raise BadFile("the file is not UTF-8, as ISO 20022 messages are") from None
    if "<!DOCTYPE" in text or "<!ENTITY" in text:
        raise BadFile("the file has a DTD, and ISO 20022 messages have none")


def _statements(body: bytes, partner: str) -> Iterator[Statement]:
    events = etree.iterparse(
        io.BytesIO(body), events=("start", "end"), tag=READ, encoding="utf-8", resolve_entities=False,
        no_network=True, load_dtd=False, dtd_validation=False, huge_tree=False, remove_comments=True, remove_pis=True,
    )  # fmt: skip
    about, opened, last, total = None, None, None, 0
    for event, element in events:
        name = etree.QName(element).localname
        if name == "Document":
            about = _message_of(str(element.tag))
        elif about is None:
            raise BadFile("no ISO 20022 message: there is no Document around the statement")
        elif name in HEADS and event == "start":
            opened, last = _Open(total + 1), None
        elif name in PAGES and event == "end":
            _one_page(about, element)
        elif name == "Ntry" and event == "end" and opened is not None:
            _entry(about, element, opened)
            _forget(last)
            element.clear()
            last = element
        elif name in HEADS and opened is not None:
            _forget(last)
            total += 1
            yield _statement(about, element, opened, partner)
            element.clear()
            opened, last = None, None
    if not total:
        raise BadFile("there is no statement in the file")


def _forget(element: Any) -> None:
    """Out of the tree; not while libxml2 is still at it, so one entry later."""
    if element is not None:
        element.getparent().remove(element)


def _message_of(tag: str) -> Message:
    found = _MESSAGE.fullmatch(tag)
    if found is None:
        raise BadFile("no camt.053 or camt.054 of version 02 to 12: the name of the document says what it is")
    return message(found[1])


def _one_page(about: Message, element: Any) -> None:
    number, last = element.findtext(about.tag("PgNb")), element.findtext(about.tag("LastPgInd"))
    if (number or "1").strip().lstrip("0") != "1" or (last or "true").strip() not in {"true", "1"}:
        raise BadFile("one page of several: put the pages together, or have the whole statement sent")


def _entry(about: Message, element: Any, opened: _Open) -> None:
    """A line, or one that is parked, or one more that is not booked yet."""
    opened.entries += 1
    if opened.entries > LINES_MAX:
        raise BadFile(f"more than {LINES_MAX} entries")
    noun = "Stmt" if about.kind == "statement" else "Ntfctn"
    position = f"/Document/*/{noun}[{opened.number}]/Ntry[{opened.entries}]"
    raw, node = _raw(element), element.find(about.tag("Amt"))
    amount = ("", "") if node is None else ((node.text or "").strip(), node.get("Ccy", ""))
    named = element.findtext(about.tag("AcctSvcrRef")) or element.findtext(about.tag("NtryRef")) or ""
    try:
        found = _bound(element, about.entry)  # which leaves nothing of the element
        if _status(found) != BOOKED:
            opened.not_booked += 1
            return
        opened.lines.add(_line(found, money(*amount), position, raw))
    except BadLine as bad:
        opened.parked.append(
            ParkedLine(
                position=position, code=bad.code, reason=bad.reason, raw=raw,
                entry_reference=named.strip()[:35] or None,
            )
        )  # fmt: skip


def _bound(element: Any, kind: type[Any]) -> Any:
    """As the class of its schema. Raises BadLine with the name of what does not fit, never with its text."""
    try:
        return _parser().parse(element, kind)
    except (ParserError, ValueError, TypeError, ArithmeticError) as broken:
        named = _ELEMENT.search(str(broken))
        what = (named[1] or f"{named[2]} is missing") if named else type(broken).__name__
        raise BadLine(Park.UNREADABLE, f"not as its schema says: {what}") from None


def _raw(element: Any) -> str:
    """Of the entry only what names nobody."""
    parts = [
        _NAMESPACES.sub("", etree.tostring(child, encoding="unicode", with_tail=False))
        for child in element
        if etree.QName(child).localname in KEPT
    ]
    return " ".join("".join(parts).split())[:RAW_CHARS_MAX]


def _line(found: Any, amount: Money, position: str, raw: str) -> StatementLine:
    side = SIDES.get(_code(found.cdt_dbt_ind) or "")
    if side is None:
        raise BadLine(Park.SIDE_INVALID, "neither CRDT nor DBIT")
    transactions = [each for details in found.ntry_dtls for each in details.tx_dtls]
    single = transactions[0] if len(transactions) == 1 else None
    servicer = reference(found.acct_svcr_ref, 35) or (single and reference(_of(single, "refs", "acct_svcr_ref"), 35))
    named = servicer or reference(found.ntry_ref, 35)
    return StatementLine(
        position=position, entry_reference=named or "",
        reference_by="servicer" if servicer else "statement" if named else "content",
        booking_date=_day(found.bookg_dt), value_date=_day(found.val_dt), amount=amount, side=side,
        reversal=bool(found.rvsl_ind), bank_transaction_code=_bank_code(found.bk_tx_cd),
        end_to_end_id=_end_to_end(single), our_reference=_ours(single) if single else None,
        references=_references(single), charges=_charges(found, single, amount),
        details=tuple(map(_detail, transactions[:DETAILS_MAX])) if len(transactions) > 1 else (),
        details_left_out=max(len(transactions) - DETAILS_MAX, 0), raw=raw,
    )  # fmt: skip


def _of(node: Any, *names: str) -> Any:
    """The member of a member; None when one of them is not there, in this entry or in this version."""
    for name in names:
        node = getattr(node, name, None)
    return node


def _code(node: Any) -> str | None:
    """A code, whether its class is an enumeration or a text."""
    found = getattr(node, "value", node)
    return found if isinstance(found, str) else None


def _status(found: Any) -> str:
    """A code until version 06, a choice since. Raises BadLine without one."""
    status = _code(_of(found.sts, "cd")) or _code(found.sts) or _of(found.sts, "prtry")
    if not status:
        raise BadLine(Park.UNREADABLE, "there is no status")
    return cast("str", status)


def _day(node: Any) -> date | None:
    """The day as it is stated, in whatever zone."""
    found = _of(node, "dt") or _of(node, "dt_tm")
    return date(found.year, found.month, found.day) if found else None


def _bank_code(node: Any) -> str | None:
    domain = [_code(_of(node, "domn", *names)) for names in (("cd",), ("fmly", "cd"), ("fmly", "sub_fmly_cd"))]
    proprietary = _of(node, "prtry", "cd")
    return reference("/".join(each for each in domain if each) or proprietary, 70)


def _end_to_end(transaction: Any) -> str | None:
    found = reference(_of(transaction, "refs", "end_to_end_id"), 35)
    return None if found == "NOTPROVIDED" else found


def _ours(transaction: Any) -> str | None:
    remittance = _of(transaction, "rmt_inf")
    named = [_of(each, "cdtr_ref_inf") for each in _of(remittance, "strd") or ()]
    structured = [_of(each, "ref") or _of(each, "cdtr_ref") for each in named]  # the latter in version 02
    return our_reference(*structured, *(_of(remittance, "ustrd") or ()), _of(transaction, "refs", "end_to_end_id"))


def _references(transaction: Any) -> tuple[str, ...]:
    named = [reference(_of(transaction, "refs", name)) for name in IDS]
    return tuple(dict.fromkeys(each for each in named if each and each != "NOTPROVIDED"))[:REFERENCES_MAX]


def _detail(transaction: Any) -> LineDetail:
    node = _of(transaction, "amt") or _of(transaction, "amt_dtls", "tx_amt", "amt")
    return LineDetail(
        end_to_end_id=_end_to_end(transaction), our_reference=_ours(transaction), amount=_exact(node) if node else None
    )


def _exact(node: Any) -> Money:
    return money(format(node.value, "f"), node.ccy)


def _charges(found: Any, single: Any, amount: Money) -> Money | None:
    """What the partner took off, as far as it says that the amount is without it. Versions before 04 do not say."""
    total = None
    for charges in (found.chrgs, _of(single, "chrgs")):
        for record in _of(charges, "rcrd") or ():
            if record.chrg_incl_ind and record.amt is not None and record.amt.ccy == amount.currency:
                total = _exact(record.amt) if total is None else total + _exact(record.amt)
    return total


def _statement(about: Message, element: Any, opened: _Open, partner: str) -> Statement:
    """Its head, with the lines that were read before. Raises BadFile."""
    try:
        head = _bound(element, about.head)
        opening, closing = _balance(head, OPENING), _balance(head, CLOSING)
        account = reference(_of(head, "acct", "id", "iban") or _of(head, "acct", "id", "othr", "id"), 35)
        named = reference(head.id, 35)
        currency = _of(head, "acct", "ccy") or _currency(opened.lines.lines, opening, closing)
        currency_of(currency or "")
    except BadLine as bad:
        raise BadFile(f"the head of statement {opened.number}: {bad.reason}") from None
    if not account or not named:
        raise BadFile(f"statement {opened.number} does not say its account, or has no id")
    first, last = _period(head, opened.lines.lines)
    return opened.lines.statement(
        kind=about.kind, source=about.source, message=about.name, partner=partner, account=account, reference=named,
        currency=currency, sequence=_whole(_of(head, "elctrnc_seq_nb") or _of(head, "lgl_seq_nb")), period_from=first,
        period_to=last, opening=opening, closing=closing, parked=opened.parked, not_booked=opened.not_booked,
    )  # fmt: skip


def _currency(lines: Sequence[StatementLine], *balances: StatementBalance | None) -> str:
    known = [each.amount.currency for each in balances if each] + [each.amount.currency for each in lines[:1]]
    return known[0] if known else ""


def _balance(head: Any, codes: Sequence[str]) -> StatementBalance | None:
    """The first of these kinds; a notification has none."""
    for code in codes:
        for each in _of(head, "bal") or ():
            if _code(_of(each, "tp", "cd_or_prtry", "cd")) == code:
                side = SIDES.get(_code(each.cdt_dbt_ind) or "")
                if side is None:
                    raise BadLine(Park.SIDE_INVALID, "a balance is neither CRDT nor DBIT")
                return StatementBalance(side=side, amount=_exact(each.amt))
    return None


def _whole(number: Any) -> int | None:
    return int(number) if number is not None and number == int(number) and 0 <= number < 10**15 else None


def _period(head: Any, lines: Sequence[StatementLine]) -> tuple[date, date]:
    """As it says; else by its balances, its lines, or when it was made. A period that ends at midnight ends before."""
    first, last = _of(head, "fr_to_dt", "fr_dt_tm"), _of(head, "fr_to_dt", "to_dt_tm")
    if first and last:
        start, end = _instant(first), _instant(last)
        whole = end.time() == time.min and end.date() > start.date()
        return start.date(), end.date() - timedelta(days=1) if whole else max(end.date(), start.date())
    days = [_day(each.dt) for each in _of(head, "bal") or () if _code(_of(each, "tp", "cd_or_prtry", "cd")) in CLOSING]
    days = [each for each in days if each] or [each.booking_date for each in lines if each.booking_date]
    if not days and head.cre_dt_tm:
        days = [_instant(head.cre_dt_tm).date()]
    known = [each for each in days if each]
    if not known:
        raise BadFile("a statement does not say of which day it is")
    return min(known), max(known)


def _instant(found: Any) -> datetime:
    return datetime(found.year, found.month, found.day, found.hour, found.minute, found.second)  # noqa: DTZ001 - as stated
