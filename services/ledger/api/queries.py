"""What the reading routes of the books may be asked."""

from __future__ import annotations

import re
from datetime import datetime
from typing import Annotated, Literal
from uuid import UUID

from pydantic import BeforeValidator, Field
from pydantic_core import PydanticCustomError

from services.kernel.book import Reader
from services.kernel.book_moments import Moment, moment
from services.kernel.pages import LIMIT_DEFAULT, LIMIT_MAX, Instant, Query, QueryId, Whole
from services.kernel.rejected import NotFound
from services.kernel.strict_json import PLAIN_UUID
from services.ledger.domain.chart import CHART

ACCOUNT_CHARS_MAX = 200
CURSOR_CHARS_MAX = 320  # an account's id and a signature
MEANS = "a time (RFC 3339; when entries were posted), an entry's number, or the id of an entry or of an event"
_NUMBER = re.compile(r"[0-9]{1,15}")


class EntryNotFound(NotFound):
    """There is no such entry in the books."""


class MomentNotFound(NotFound):
    """The books have no entry of this number, and none of this id or caused by this event."""


def _moment(text: object) -> object:
    if isinstance(text, str) and _NUMBER.fullmatch(text):
        return int(text)
    if isinstance(text, str) and PLAIN_UUID.fullmatch(text):
        return UUID(text)
    if isinstance(text, str) and text[:1].isdigit() and "T" in text:
        return text
    raise PydanticCustomError("moment-invalid", "no time with an offset, number or id")


When = Annotated[Instant | int | UUID, BeforeValidator(_moment)]
Account = Annotated[str, Field(min_length=1, max_length=ACCOUNT_CHARS_MAX)]
Currency = Annotated[str, Field(pattern="^[A-Z]{3}$", description="ISO 4217")]


class AsOfQuery(Query):
    """Which moment."""

    as_of: When | None = Field(None, description=f"as the books were then: {MEANS}; without it, now")


class LedgerPage(Query):
    """Which page."""

    limit: Whole = Field(LIMIT_DEFAULT, ge=1, le=LIMIT_MAX, description="rows of a page, at most")
    cursor: str | None = Field(None, max_length=CURSOR_CHARS_MAX, description="`next_cursor` of the page before")

    def filters(self) -> bytes:
        """What the cursor is bound to: everything but the page."""
        return self.model_dump_json(exclude={"limit", "cursor"}, exclude_none=True).encode()


class AccountsQuery(LedgerPage):
    """Which accounts."""

    kind: Literal[tuple(line.kind for line in CHART)] | None = Field(None, description="of the chart of accounts")  # type: ignore[valid-type]  # as the chart has them
    owner: Literal["customer", "partner", "corridor"] | None = Field(None, description="who is asked about them")
    currency: Currency | None = None


class PeriodQuery(LedgerPage):
    """From which moment to which."""

    since: When | None = Field(None, description=f"only what was posted after it: {MEANS}; without it, everything")
    until: When | None = Field(None, description=f"up to it, itself too: {MEANS}; without it, up to now")


class StatementQuery(PeriodQuery):
    """Which lines."""


class EntriesQuery(PeriodQuery):
    """Which entries."""

    transfer_id: QueryId | None = Field(None, description="only those of the transfer")
    cause_id: QueryId | None = Field(None, description="only those that the event caused")
    account_id: Account | None = Field(None, description="only those with a line on the account")
    kind: Annotated[str, Field(pattern=r"^[a-z][a-z_.]{0,63}$")] | None = Field(
        None, description="deposit.observed, ..."
    )


async def found_moment(db: Reader, wanted: datetime | int | UUID | None) -> Moment:
    """Raises MomentNotFound."""
    found = await moment(db, wanted)
    if found is None:
        raise MomentNotFound(str(wanted))
    return found
