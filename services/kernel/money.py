"""Money is an int of minor units with its ISO 4217 code; a rate is a decimal with direction and publisher. No float.

Exponents come from the ISO 4217 list as published (package `iso4217`): ETB 2, XOF 0, JPY 0, KWD 3.

Every rounding of money is one of the three functions at the end. Who rounds which way, and the account that has the
remainder, is docs/decisions/0025; what is exact in between is a Fraction.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime
from decimal import Decimal
from fractions import Fraction
from functools import cache, lru_cache
from typing import NamedTuple, NewType

from iso4217 import Currency as Iso4217

from services.kernel.rejected import Invalid

MINOR_MAX = 10**15  # below 2^53, so that every JSON reader keeps it; far above any corridor's limit
RATE_TEXT = re.compile(r"^[0-9]{1,9}(\.[0-9]{1,12})?$", re.ASCII)  # bounded before Decimal sees it
RATE_DIGITS_BEFORE, RATE_DIGITS_AFTER = 9, 12  # the point; as RATE_TEXT says


class CurrencyUnsupported(Invalid):
    """Not an ISO 4217 currency with minor units."""


class AmountOutOfRange(Invalid):
    """Minor units must be a whole number from 0 to 10^15."""


class CurrencyMismatch(Invalid):
    """Amounts of two currencies cannot be added or compared."""


class RateInvalid(Invalid):
    """A rate is a positive decimal text of at most 9 digits before and 12 after the point."""


Currency = NewType("Currency", str)  # an ISO 4217 alphabetic code; made by `iso4217()`, judged again by every Money


@cache
def _exponents() -> dict[str, int]:
    return {entry.code: entry.exponent for entry in Iso4217 if entry.exponent is not None}


@cache
def iso4217(code: str) -> Currency:
    """The currency of `code`; raises CurrencyUnsupported (lower case and metals are refused)."""
    if code not in _EXPONENTS:
        raise CurrencyUnsupported(code[:8])
    return Currency(code)


def exponent(currency: Currency) -> int:
    """Digits after the point: 2 for GBP, 0 for JPY, 3 for KWD."""
    return _EXPONENTS[currency]


_EXPONENTS = _exponents()


def currencies() -> tuple[Currency, ...]:
    """All that there are, by code."""
    return tuple(Currency(code) for code in sorted(_EXPONENTS))


@dataclass(frozen=True, slots=True, order=False)
class Money:
    """`minor` minor units of `currency`, never negative: a debit is a debit, not a sign."""

    minor: int
    currency: Currency

    def __post_init__(self) -> None:
        if type(self.minor) is not int or not 0 <= self.minor <= MINOR_MAX:
            raise AmountOutOfRange(str(self.minor)[:20])
        if self.currency not in _EXPONENTS:
            raise CurrencyUnsupported(str(self.currency)[:8])

    def __add__(self, other: Money) -> Money:
        return Money(self.minor + self._same(other), self.currency)

    def __sub__(self, other: Money) -> Money:
        """Raises AmountOutOfRange when the difference would be negative."""
        return Money(self.minor - self._same(other), self.currency)

    def __lt__(self, other: Money) -> bool:
        return self.minor < self._same(other)

    def __le__(self, other: Money) -> bool:
        return self.minor <= self._same(other)

    def __bool__(self) -> bool:
        return self.minor != 0

    def _same(self, other: Money) -> int:
        if other.currency != self.currency:
            raise CurrencyMismatch(self.currency, other.currency)
        return other.minor

    def __str__(self) -> str:
        whole, rest = divmod(self.minor, 10 ** exponent(self.currency))
        places = exponent(self.currency)
        digits = f".{rest:0{places}d}" if places else ""
        return f"{whole}{digits} {self.currency}"


def zero(currency: Currency) -> Money:
    """No money of that currency."""
    return Money(0, currency)


def total(amounts: Iterable[Money], currency: Currency) -> Money:
    """The sum, in `currency`; raises CurrencyMismatch for a stranger among them."""
    result = zero(currency)
    for amount in amounts:
        result = result + amount
    return result


RateText = NewType("RateText", str)  # plain digits; made by `rate_text()`, judged again by every Rate


def rate_text(value: Decimal) -> RateText:
    """`value` in plain digits, also where str() writes 5E-7 or 1E+2. Raises RateInvalid."""
    if (
        not value.is_finite()
        or value <= 0
        or value.adjusted() >= RATE_DIGITS_BEFORE
        or _places(value) > RATE_DIGITS_AFTER
    ):
        raise RateInvalid(str(value)[:24])
    return RateText(format(value, "f"))


def _places(value: Decimal) -> int:
    """Digits after the point, those at the end that are 0 too."""
    power = value.as_tuple().exponent
    assert isinstance(power, int), "finite"
    return -power


@dataclass(frozen=True, slots=True)
class Rate:
    """How many units of `target` one unit of `source` buys, as `publisher` said at `published_at`."""

    source: Currency
    target: Currency
    value: RateText
    publisher: str
    published_at: datetime

    def __post_init__(self) -> None:
        if not RATE_TEXT.fullmatch(self.value) or not self.value.strip("0."):
            raise RateInvalid(self.value[:24])

    @property
    def per_minor(self) -> Fraction:
        """Minor units of `target` that one minor unit of `source` buys, exact."""
        return _per_minor(self.value, exponent(self.target) - exponent(self.source))

    def convert(self, money: Money) -> Money:
        """`money` in the target currency, rounded down. Beneficiary of the remainder: we, as `conversion` books it."""
        return Money(rounded_down(_of(self.source, money) * self.per_minor).minor, self.target)

    def cost(self, money: Money) -> Money:
        """The least of the source currency that buys `money` of the target currency: rounded up."""
        per = self.per_minor
        return Money(rounded_up(Fraction(_of(self.target, money) * per.denominator, per.numerator)).minor, self.source)

    def conversion(self, money: Money) -> Conversion:
        """`convert`, with where all of `money` goes."""
        target = self.convert(money)
        used = self.cost(target)
        return Conversion(target, used, money - used, used.minor * self.per_minor - target.minor)


@lru_cache(maxsize=256)
def _per_minor(value: RateText, shift: int) -> Fraction:
    return Fraction(value) * Fraction(10) ** shift


class Conversion(NamedTuple):
    """What became of an amount: `used` + `rounding`, both of its currency, is all of it."""

    target: Money  # what it buys at the rate, rounded down
    used: Money  # the least that buys as much; opposite `target` in fx_position
    rounding: Money  # whole minor units that bought nothing; for revenue:rounding; 0 where per_minor >= 1
    remainder: Fraction  # worth of `used` above `target`, in its minor units; below one minor unit of either


def _of(currency: Currency, money: Money) -> int:
    if money.currency != currency:
        raise CurrencyMismatch(money.currency, currency)
    return money.minor


def share_rounded_up(money: Money, basis_points: int) -> Money:
    """`basis_points` / 10,000 of `money`, rounded up. Beneficiary of the remainder: our fee or spread account."""
    return Money(rounded_up(Fraction(money.minor * basis_points, 10_000)).minor, money.currency)


class Rounded(NamedTuple):
    """A whole number of minor units, and how far it is from the exact one, in the same unit."""

    minor: int
    remainder: Fraction


def rounded_down(exact: Fraction) -> Rounded:
    """Towards minus infinity: exact = minor + remainder, 0 <= remainder < 1."""
    minor = exact.numerator // exact.denominator
    return Rounded(minor, exact - minor)


def rounded_up(exact: Fraction) -> Rounded:
    """Towards plus infinity: exact = minor - remainder, 0 <= remainder < 1."""
    minor = -(-exact.numerator // exact.denominator)
    return Rounded(minor, minor - exact)


def rounded_to_nearest(exact: Fraction) -> Rounded:
    """Halves to the even neighbour: exact = minor + remainder, -1/2 <= remainder <= 1/2. For what is shown, never for
    what is posted."""
    minor = round(exact)
    return Rounded(minor, exact - minor)
