"""What people type: amounts and times. Nothing is guessed; a refusal says what would be right."""

from __future__ import annotations

import re
from datetime import UTC, datetime, timedelta
from difflib import get_close_matches

from services.kernel.money import MINOR_MAX, CurrencyUnsupported, Money, exponent, iso4217
from services.kernel.strict_json import PLAIN_UUID
from services.ops_cli.exits import usage

AMOUNT = re.compile(r"([0-9]{1,18})(?:\.([0-9]{1,9}))? ?([A-Za-z]{3})", re.ASCII)
NUMBER = re.compile(r"[0-9]{1,15}", re.ASCII)
SPAN = re.compile(r"([0-9]{1,9})(s|m|h|d|)", re.ASCII)
UNITS = {"": 1, "s": 1, "m": 60, "h": 3_600, "d": 86_400}  # seconds
KNOWN = ("GBP", "USD", "EUR", "AED", "ETB", "KES", "NPR", "JPY", "XOF", "KWD")  # for a hint alone


def money(text: str) -> Money:
    """`125.50 GBP`. Raises OpsError for what is not exactly an amount of that currency."""
    found = AMOUNT.fullmatch(text.strip())
    if found is None:
        raise usage(f"not an amount: {text[:40]!r}", 'write it like "125.50 GBP": digits, a point, no thousands marks')
    whole, fraction, code = found[1], found[2] or "", found[3]
    try:
        places = exponent(iso4217(code))
    except CurrencyUnsupported:
        raise usage(f"no ISO 4217 currency with minor units: {code!r}", _near(code)) from None
    if len(fraction) > places:
        raise usage(f"{code} has {places} digits after the point; {text.strip()!r} has {len(fraction)}")
    minor = int(whole + fraction.ljust(places, "0"))
    if minor > MINOR_MAX:
        raise usage(f"more than an amount may be: {text.strip()!r}")
    return Money(minor, iso4217(code))


def _near(code: str) -> str:
    near = get_close_matches(code.upper(), KNOWN, 1, 0.6)
    return f"did you mean {near[0]}?" if near else "three capital letters, like GBP"


def instant(text: str, now: datetime | None = None) -> datetime:
    """RFC 3339 with its offset, `now`, or an age like -2h (s, m, h, d). Raises OpsError."""
    now = now or datetime.now(UTC)
    if text == "now":
        return now
    if text.startswith("-"):
        return now - timedelta(seconds=seconds(text[1:]))
    try:
        found = datetime.fromisoformat(text)
    except ValueError:
        raise usage(f"not a time: {text[:40]!r}", "write 2026-01-31T12:00:00Z, or an age like -2h") from None
    if found.tzinfo is None:
        raise usage(f"a time without its offset: {text!r}", f"write {text}Z for UTC")
    return found.astimezone(UTC)


def when(text: str | None) -> str | None:
    """A moment of the books for the API: the number of an entry, an id, or a time as of `instant`. Raises OpsError."""
    if text is None or NUMBER.fullmatch(text) or PLAIN_UUID.fullmatch(text):
        return text
    return rfc3339(instant(text))


def seconds(text: str) -> int:
    """`30`, `30s`, `5m`, `2h`, `1d`, as whole seconds. Raises OpsError."""
    found = SPAN.fullmatch(text)
    if found is None:
        raise usage(f"not a length of time: {text[:40]!r}", "write 30s, 5m, 2h or 1d")
    return int(found[1]) * UNITS[found[2]]


def rfc3339(at: datetime) -> str:
    """In UTC, with a Z."""
    return at.astimezone(UTC).isoformat().replace("+00:00", "Z")


def shown(minor: int, currency: str) -> str:
    """`1,250.00 GBP`, for a table; negative amounts (a difference) keep their sign."""
    try:
        places = exponent(iso4217(currency))
    except CurrencyUnsupported:
        return f"{minor} minor {currency}"
    whole, rest = divmod(abs(minor), 10**places)
    digits = f".{rest:0{places}d}" if places else ""
    return f"{'-' if minor < 0 else ''}{whole:,}{digits} {currency}"
