"""An account as a decision sees it: its two sides, and what a line makes of them. Pure."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal, Protocol

from services.kernel.money import Money


class Line(Protocol):
    """One side of an entry."""

    @property
    def account(self) -> str: ...
    @property
    def side(self) -> Literal["debit", "credit"]: ...
    @property
    def amount(self) -> Money: ...


class Lines(Protocol):
    """What has lines: an entry."""

    @property
    def lines(self) -> Sequence[Line]: ...


@dataclass(frozen=True, slots=True)
class Standing:
    """The two sides of an account in minor units, as a decision sees them: zero and zero before its first entry."""

    debit_minor: int = 0
    credit_minor: int = 0

    def after(self, line: Line) -> Standing:
        """With one line more."""
        minor = line.amount.minor
        debit, credit = (minor, 0) if line.side == "debit" else (0, minor)
        return Standing(self.debit_minor + debit, self.credit_minor + credit)


def standings_after(entry: Lines, look: Callable[[str], Standing | None]) -> dict[str, Standing]:
    """What the accounts of an entry are after it; accounts of which `look` knows nothing are left out."""
    found: dict[str, Standing] = {}
    for line in entry.lines:
        before = found.get(line.account) or look(line.account)
        if before is not None:
            found[line.account] = before.after(line)
    return found
