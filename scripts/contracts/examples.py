"""A value for a JSON Schema: the one that the golden events have for a member of this name, else one of its form."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from scripts.contracts import golden

Node = dict[str, Any]
PREFIX = "#/components/schemas/"
TIME = golden.AT.isoformat().replace("+00:00", "Z")
LATER = golden.OPENED_AT.isoformat().replace("+00:00", "Z")
RECEIVE, SEND = golden.RECEIVE, golden.SEND
NAMED: Mapping[str, Any] = {
    "quote_id": str(golden.QUOTE), "transfer_id": str(golden.TRANSFER), "payout_id": str(golden.PAYOUT),
    "end_to_end_id": str(golden.PAYOUT), "route_id": str(golden.ROUTE_ID), "sender_id": str(golden.SENDER),
    "receiver_id": str(golden.RECEIVER), "profile_id": str(golden.RECEIVER), "customer_id": str(golden.CUSTOMER),
    "user_id": str(golden.CUSTOMER), "event_id": str(golden.OBSERVED_EVENT), "cause_id": str(golden.OBSERVED_EVENT),
    "correlation_id": str(golden.TRANSFER), "arrivals": [str(golden.ARRIVAL)],
    "corridor": "GB-ET", "country": "ET", "kind": "receiver", "rail": "bank", "partner": golden.PARTNER,
    "route": golden.ROUTE, "reference": golden.REFERENCE, "name": "Abebe Bikila", "account": "ET01000123456789",
    "account_id": "safeguarding:sandbox-bank:GBP", "account_class": "asset", "class": "asset",
    "login": "almaz@example.org", "password": "a long sentence that nobody guesses", "tenant": "corridor",
    "access_token": "eyJhbGciOiJIUzI1NiIsImtpZCI6ImsxIn0.eyJzdWIiOiIuLi4ifQ.c2lnbmF0dXJl",
    "refresh_token": "kQ3v...9f", "expires_in": 900, "roles": ["customer"],
    "send_minor": SEND.minor, "send_currency": SEND.currency, "receive_minor": RECEIVE.minor,
    "receive_currency": RECEIVE.currency, "receive_decimal": str(RECEIVE).partition(" ")[0],
    "fee_minor": golden.FEE.minor, "spread_minor": golden.SPREAD.minor, "tolerance_minor": golden.TOLERANCE.minor,
    "amount_minor": SEND.minor, "currency": SEND.currency, "expected_minor": SEND.minor,
    "expected_currency": SEND.currency, "debit_minor": SEND.minor, "credit_minor": SEND.minor, "difference_minor": 0,
    "send_minor_min": 1_000, "send_minor_max": 500_000, "quote_seconds": 90, "funding_seconds": 86_400,
    "rate": golden.RATE.value, "rate_publisher": golden.RATE.publisher, "expires_at": LATER,
    "booked_at": golden.PARTNER_DEPOSIT["booked_at"], "settled_at": golden.PARTNER_DEPOSIT["booked_at"],
    "reason": "customer changed their mind", "reason_code": None, "verdict": "approved", "status": "ACSC",
    "from": None, "to": "AWAITING_FUNDING", "type": "corridor.transfer.opened.v1", "version": 1,
    "actor": str(golden.CUSTOMER), "state": "AWAITING_FUNDING", "limit": 50, "cursor": None, "next_cursor": None,
}  # fmt: skip
STATES = {"QuoteReply": "OFFERED", "PayoutReply": "SENT", "RouteReply": "MISMATCHED"}  # each has states of its own
TEXTS = {"uuid": str(golden.TRANSFER), "date-time": TIME, "date": TIME[:10]}


def example(schema: Node, components: Mapping[str, Node], name: str = "") -> Any:
    """A value that the schema allows; a test validates each."""
    if "$ref" in schema:
        model = schema["$ref"].removeprefix(PREFIX)
        return example(components[model], components, model if model in STATES else name)
    for told in ("const", "example", "default"):
        if told in schema:
            return schema[told]
    if "examples" in schema:
        return schema["examples"][0]
    if name in NAMED and _fits(NAMED[name], schema):
        return NAMED[name]
    return _of_form(schema, components, name)


def _of_form(schema: Node, components: Mapping[str, Node], name: str) -> Any:
    if "enum" in schema:
        return schema["enum"][0]
    if choices := schema.get("anyOf") or schema.get("oneOf"):
        return example(choices[0], components, name)
    match schema.get("type"):
        case "object":
            members = schema.get("properties", {})
            shown = {each: example(node, components, each) for each, node in members.items()}
            return shown | ({"state": STATES[name]} if name in STATES else {})
        case "array":
            return [example(schema.get("items", {}), components, name.removesuffix("s"))]
        case "integer" | "number":
            return max(schema.get("minimum", 1), schema.get("exclusiveMinimum", 0) + 1)
        case "boolean":
            return False
        case "null":
            return None
        case _:
            return _text(schema)


def _text(schema: Node) -> str:
    text = TEXTS.get(schema.get("format", ""), "text")
    return text.ljust(schema.get("minLength", 0), "x")[: schema.get("maxLength", len(text))]


def _fits(value: Any, schema: Node) -> bool:
    """Whether a value known by its name is of the schema's type, and one of its choices."""
    if choices := schema.get("anyOf"):
        return any(_fits(value, each) for each in choices)
    kinds = {"string": str, "integer": int, "boolean": bool, "array": list, "object": dict, "null": type(None)}
    kind = kinds.get(schema.get("type", ""))
    if kind is list and isinstance(value, list):
        return all(_fits(each, schema.get("items", {})) for each in value)
    return kind is not None and isinstance(value, kind) and value in schema.get("enum", [value])
