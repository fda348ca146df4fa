"""How the things of the business look in a table: amounts with their currency, times in UTC, ages in words."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from datetime import UTC, datetime
from typing import Any

from rich.text import Text

from services.ops_cli.tables import Column, state, state_style
from services.ops_cli.values import shown

Item = Mapping[str, Any]


def amount(title: str, minor: str = "amount_minor", currency: str = "currency", drop: int = 0) -> Column:
    """An amount of minor units with its currency beside it."""

    def read(item: Item) -> str | None:
        known = item.get(minor), item.get(currency)
        return None if None in known else shown(*known)  # type: ignore[arg-type]  # neither is None

    return Column(title, read, right=True, drop=drop)


def at(title: str, member: str, drop: int = 0) -> Column:
    """A time in UTC, to the second."""
    return Column(title, lambda item: moment(item.get(member)), drop=drop)


def age(title: str, member: str, drop: int = 0) -> Column:
    """How long ago."""
    return Column(title, lambda item: ago(item.get(member)), right=True, drop=drop)


def moment(text: str | None) -> str | None:
    """`2026-01-31 12:00:00Z`."""
    found = _read(text)
    return f"{found.astimezone(UTC):%Y-%m-%d %H:%M:%S}Z" if found else text


def clock(text: str | None) -> str | None:
    """`12:00:00.123`, where the day is known."""
    found = _read(text)
    return f"{found.astimezone(UTC):%H:%M:%S.%f}"[:-3] if found else text


def ago(text: str | None, now: datetime | None = None) -> str | None:
    """`3 m`, `2 h 5 m`, `4 d 1 h`."""
    found = _read(text)
    return text if found is None else span(((now or datetime.now(UTC)) - found).total_seconds())


def span(seconds: float) -> str:
    """Two units at most."""
    whole = max(int(seconds), 0)
    for size, name, rest, rest_name in ((86_400, "d", 3_600, "h"), (3_600, "h", 60, "m"), (60, "m", 1, "s")):
        if whole >= size:
            left = whole % size // rest
            return f"{whole // size} {name} {left} {rest_name}" if left else f"{whole // size} {name}"
    return f"{whole} s"


def _read(text: str | None) -> datetime | None:
    try:
        found = datetime.fromisoformat(text or "")
    except ValueError:
        return None
    return found if found.tzinfo else None


def short(event_type: str) -> str:
    """`payout.confirmed` of `corridor.payout.confirmed.v1`."""
    return event_type.removeprefix("corridor.").rpartition(".v")[0] or event_type


def change(before: str | None, after: str | None) -> Text:
    """`AWAITING_FUNDING -> FUNDING_CONFIRMED`."""
    new = Text(after or "-", style=state_style(after or ""))
    return new if before in {None, after} else Text.assemble(f"{before} -> ", new)


def _event(read: Callable[[str], str], member: str) -> Callable[[Item], str]:
    return lambda item: read(str(item.get(member) or "-"))


def _of_wallet(item: Item, side: str) -> str | None:
    known = item.get("wallet")
    return shown(known[side], item["currency"]) if known else None


TRANSFERS = [
    Column("transfer", "transfer_id"),
    state(),
    amount("sends", "send_minor", "send_currency"),
    age("age", "opened_at", drop=1),
    amount("gets", "receive_minor", "receive_currency", drop=2),
    at("opened", "opened_at", drop=3),
    Column("corridor", "corridor", drop=4),
    Column("route", "route", drop=5),
]
TRANSFER = [
    Column("transfer", "transfer_id"),
    state(),
    Column("version", "version"),
    Column("corridor", "corridor"),
    amount("sends", "send_minor", "send_currency"),
    amount("gets", "receive_minor", "receive_currency"),
    Column("route to pay in on", "route"),
    at("opened", "opened_at"),
    at("to be funded before", "funding_deadline"),
    Column("quote", "quote_id"),
    Column("sender", "sender_id"),
    Column("receiver", "receiver_id"),
    Column("payout", "payout_id"),
]
TIMELINE = [
    at("at", "at"),
    Column("what", _event(short, "type")),
    Column("state", lambda item: change(item.get("from"), item.get("to")), fold=True),
    Column("reason", "reason", drop=1),
    Column("actor", "actor", drop=2),
    Column("event", "event_id", drop=3),
]
STORY = [
    at("at", "at"),
    Column("lane", "lane"),
    Column("what", "summary", fold=True),
    Column("service", "service", drop=1),
    Column("actor", "actor", drop=2),
    Column("reason", "reason", drop=3),
]
PAYOUTS = [
    Column("payout", "payout_id"),
    state(),
    amount("amount"),
    at("since", "since", drop=1),
    Column("attempts", "attempts", right=True, drop=2),
    Column("partner", "partner", drop=4),
    Column("transfer", "transfer_id", drop=3),
]
PAYOUT = [
    *PAYOUTS[:3],
    Column("version", "version"),
    Column("rail", "rail"),
    Column("partner", "partner"),
    Column("transfer", "transfer_id"),
]
QUOTE = [
    Column("quote", "quote_id"),
    state(),
    Column("corridor", "corridor"),
    amount("sends", "send_minor", "send_currency"),
    amount("fee", "fee_minor", "send_currency"),
    amount("spread", "spread_minor", "send_currency"),
    Column("rate", lambda item: f"{item.get('rate')} by {item.get('rate_publisher')}"),
    amount("gets", "receive_minor", "receive_currency"),
    at("expires", "expires_at"),
]
ENTRIES = [
    Column("number", lambda item: item.get("entry_seq") if item["first"] else "", right=True, drop=4),
    at("posted", "posted_at", drop=1),
    Column("entry", lambda item: item["kind"] if item["first"] else ""),
    Column("", lambda item: "Dr" if item["side"] == "debit" else "  Cr"),
    Column("account", "account_id", fold=True),
    amount("amount"),
    Column("entry id", "entry_id", drop=2),
    Column("caused by event", "cause_id", drop=3),
]
ACCOUNTS = [
    Column("account", "account_id", fold=True),
    Column("class", "class", drop=1),
    amount("debit", "debit_minor"),
    amount("credit", "credit_minor"),
    amount("balance", "balance_minor"),
]
KINDS = [
    Column("kind", "kind"),
    Column("normal side", "normal_side", drop=2),
    Column("accounts", "accounts", right=True, drop=1),
    amount("debit", "debit_minor"),
    amount("credit", "credit_minor"),
    amount("balance", "balance_minor"),
]
ACCOUNT_LIST = [
    Column("account", "account_id", fold=True),
    amount("balance", "balance_minor"),
    Column("normal side", "normal_side", drop=1),
    amount("debit", "debit_minor", drop=2),
    amount("credit", "credit_minor", drop=2),
    Column("kind", "kind", drop=3),
]
ACCOUNT = [
    Column("account", "account_id"),
    Column("kind", "kind"),
    Column("class", "account_class"),
    Column("whose", "owner"),
    Column("currency", "currency"),
    amount("debit", "debit_minor"),
    amount("credit", "credit_minor"),
    Column("normal side", "normal_side"),
    amount("balance", "balance_minor"),
    Column("available", lambda item: _of_wallet(item, "available_minor")),
    Column("held", lambda item: _of_wallet(item, "held_minor")),
    Column("never overdrawn", "protected"),
    Column("as of entry", lambda item: (item.get("as_of") or {}).get("entry_seq")),
    Column("posted", lambda item: moment((item.get("as_of") or {}).get("posted_at"))),
    Column("last moved by", lambda item: (item.get("cause") or {}).get("kind")),
    Column("in entry", lambda item: (item.get("cause") or {}).get("entry_id")),
    Column("caused by event", lambda item: (item.get("cause") or {}).get("cause_id")),
    Column("of transfer", lambda item: (item.get("cause") or {}).get("transfer_id")),
    at("opened", "opened_at"),
]
STANDS = [
    Column("", "end"),
    amount("balance", "balance_minor"),
    amount("debit", "debit_minor", drop=1),
    amount("credit", "credit_minor", drop=1),
    Column("entry", "entry_seq", right=True),
    at("posted", "posted_at", drop=2),
]
STATEMENT = [
    at("posted", "posted_at", drop=1),
    Column("entry", "entry_seq", right=True),
    Column("what", "kind"),
    Column("", lambda item: "Dr" if item["side"] == "debit" else "Cr"),
    amount("amount"),
    amount("balance", "balance_minor"),
    Column("caused by event", "cause_id", drop=2),
    Column("transfer", "transfer_id", drop=3),
]
TOTALS = [
    Column("currency", "currency"),
    amount("debit", "debit_minor"),
    amount("credit", "credit_minor"),
    amount("difference", "difference_minor"),
]
