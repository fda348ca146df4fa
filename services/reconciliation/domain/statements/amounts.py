"""Texts of a statement as values: exact, or refused with a reason. Nothing is ever rounded. Pure."""

from __future__ import annotations

import re

from services.kernel.money import MINOR_MAX, Currency, CurrencyUnsupported, Money, exponent, iso4217
from services.reconciliation.domain.statements.shape import BadLine, Park

_DECIMAL = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,12}))?", re.ASCII)
_CONTROL = re.compile(r"[\x00-\x1f\x7f]")
# ISO 11649 (RF and two digits), and ids of ours: payouts and transfers.
_OURS = re.compile(
    r"\bRF[0-9]{2}[A-Z0-9]{1,21}\b|\b[0-9a-f]{8}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{4}-[0-9a-f]{12}\b", re.ASCII
)
REFERENCE_CHARS_MAX = 140


def money(text: str, currency: str) -> Money:
    """`text` ("1234.50") in minor units. Raises BadLine: no amount, or more digits than the currency has."""
    found = _DECIMAL.fullmatch(text)
    if found is None:
        raise BadLine(Park.AMOUNT_INVALID, f"{text[:24]!r} is no amount: digits with a point before the fraction")
    known = currency_of(currency)
    digits, places = found[2] or "", exponent(known)
    if len(digits) > places:
        raise BadLine(Park.AMOUNT_INVALID, f"{text[:24]} has {len(digits)} decimals and {known} has {places}")
    minor = int(found[1] + digits.ljust(places, "0"))
    if minor > MINOR_MAX:
        raise BadLine(Park.AMOUNT_INVALID, f"{text[:24]} {known} is above what an amount may be")
    return Money(minor, known)


def currency_of(code: str) -> Currency:
    """Raises BadLine for what is no ISO 4217 currency."""
    try:
        return iso4217(code)
    except CurrencyUnsupported:
        raise BadLine(Park.AMOUNT_INVALID, f"{code[:8]!r} is no ISO 4217 currency") from None


def decimal_text(text: str, decimal_mark: str, group_mark: str) -> str:
    """A partner's spelling of a decimal as `money` reads it. Raises BadLine when its groups are none."""
    whole, mark, fraction = text.partition(decimal_mark)
    if group_mark and group_mark in whole:
        first, *groups = whole.split(group_mark)
        if not 1 <= len(first) <= 3 or any(len(each) != 3 for each in groups):
            raise BadLine(Park.AMOUNT_INVALID, f"{text[:24]!r} is no amount: groups are of three digits")
        whole = first + "".join(groups)
    return f"{whole}.{fraction}" if mark else whole


def reference(text: str | None, most: int = REFERENCE_CHARS_MAX) -> str | None:
    """An id as it may be kept; None for none. Raises BadLine for one that is too long or holds control characters."""
    found = (text or "").strip()
    if len(found) > most or _CONTROL.search(found):
        raise BadLine(Park.REFERENCE_INVALID, f"a reference of more than {most} characters, or with control characters")
    return found or None


def our_reference(*texts: str | None) -> str | None:
    """The first reference of ours in what was written for the payee. The rest may name persons and is not kept."""
    for text in texts:
        found = _OURS.search(text or "") or _OURS.search((text or "").replace(" ", ""))
        if found:
            return found[0]
    return None


def masked(text: str) -> str:
    """The form of a text without its content: what stands where, and nothing that names anybody."""
    return re.sub(r"\d", "9", re.sub(r"[^\W\d_]", "x", text))
