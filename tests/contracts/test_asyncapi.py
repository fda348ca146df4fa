"""contracts/asyncapi.yaml: valid, complete, and true to what the code puts on the wire."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest
import yaml
from jsonschema import Draft202012Validator

from contracts.topics import ALL, INTERNAL
from scripts.contracts.asyncapi import HEADERS, OPTIONAL_HEADERS, SIGNATURE, document
from scripts.contracts.files import ASYNCAPI, ROOT
from services.kernel.envelope import headers_of
from services.kernel.settings import Secret, SharedKey
from services.kernel.webhook import header_of
from tests.contracts.asyncapi_rules import faults, outside
from tests.contracts.samples import stored

DOCUMENT: dict[str, Any] = yaml.safe_load((ROOT / ASYNCAPI).read_bytes())
FIRST = "corridor.quote.created.v1"
HEADER_SCHEMA = DOCUMENT["components"]["schemas"]["cloudEventHeaders"]


def test_the_document_is_as_asyncapi_3_wants_it() -> None:
    assert faults(DOCUMENT) == []


def test_the_schemas_that_it_names_are_there() -> None:
    assert all((ROOT / ASYNCAPI).parent.joinpath(name).exists() for name in outside(DOCUMENT))
    assert len(outside(DOCUMENT)) == len(DOCUMENT["components"]["messages"])


def test_every_topic_is_a_channel_with_one_operation() -> None:
    assert set(DOCUMENT["channels"]) == {topic.name for topic in ALL}
    channels = [operation["channel"]["$ref"] for operation in DOCUMENT["operations"].values()]
    assert sorted(channels) == sorted(f"#/channels/{topic.name}" for topic in ALL)


def test_every_event_is_sent_and_what_partners_say_is_received() -> None:
    actions = {operation["channel"]["$ref"]: operation["action"] for operation in DOCUMENT["operations"].values()}
    assert {name for name, action in actions.items() if action == "receive"} == {"#/channels/partner.deposits.v1"}
    sent = {name for topic in INTERNAL for name in DOCUMENT["channels"][topic.name]["messages"]}
    assert sent == {event.type for topic in INTERNAL for event in topic.events}  # type: ignore[attr-defined]


def test_the_headers_are_those_that_the_relay_writes() -> None:
    assert [name for name, _ in headers_of(stored(), "/corridor/quote", 1)] == list(HEADERS)
    always = {name for name, _ in headers_of(stored(caused=False), "/corridor/quote", 1)}
    assert HEADERS.keys() - always == OPTIONAL_HEADERS


def test_the_headers_of_a_record_are_valid() -> None:
    written = {name: value.decode() for name, value in headers_of(stored(), "/corridor/quote", 1)}
    Draft202012Validator(HEADER_SCHEMA).validate(written)
    only = DOCUMENT["components"]["messages"][FIRST]["headers"]["allOf"][1]
    Draft202012Validator(only).validate(written)
    assert not Draft202012Validator(only).is_valid(written | {"ce_type": "corridor.quote.expired.v1"})


def test_a_signature_is_of_the_form_that_is_written_down() -> None:
    header = header_of(SharedKey("bank", "k1", Secret("0123456789abcdef0123456789abcdef")), b"{}", 1_772_443_800)
    Draft202012Validator({"type": "string", "pattern": SIGNATURE}).validate(header)


PLANTED: tuple[tuple[str, Callable[[Any], Any]], ...] = (
    ("#: inf is unknown", lambda spoilt: spoilt.update(inf={})),
    ("#/info: version is missing", lambda spoilt: spoilt["info"].pop("version")),
    ("#/asyncapi: not 3.0.0", lambda spoilt: spoilt.update(asyncapi="2.6.0")),
    ("#/servers/kafka: variables", lambda spoilt: spoilt["servers"]["kafka"].update(host="{broker}")),
    ("topic is missing", lambda spoilt: _quote(spoilt)["bindings"]["kafka"].pop("topic")),
    ("publish is unknown", lambda spoilt: _quote(spoilt).update(publish={})),
    ("neither send nor receive", lambda spoilt: _first(spoilt["operations"]).update(action="publish")),
    ("leads nowhere", lambda spoilt: spoilt["components"]["messages"].pop(FIRST)),
    ("a message of another channel", lambda spoilt: _first(spoilt["operations"])["messages"].append(_elsewhere())),
    ("schema is missing", lambda spoilt: _message(spoilt)["payload"].pop("schema")),
    ("runtime expression", lambda spoilt: _message(spoilt)["correlationId"].update(location="ce_correlationid")),
    ("not a key", lambda spoilt: spoilt["channels"].update({"a b": _quote(spoilt)})),
)


def _first(entries: Any) -> Any:
    return next(iter(entries.values()))


def _quote(spoilt: Any) -> Any:
    return spoilt["channels"]["corridor.quote.events.v1"]


def _message(spoilt: Any) -> Any:
    return spoilt["components"]["messages"][FIRST]


def _elsewhere() -> dict[str, str]:
    return {"$ref": f"#/channels/corridor.quote.events.v1/messages/{FIRST}"}


@pytest.mark.parametrize(("fault", "spoil"), PLANTED)
def test_a_planted_fault_is_found(fault: str, spoil: Callable[[Any], Any]) -> None:
    spoilt = deepcopy(document())
    spoil(spoilt)
    assert any(fault in found for found in faults(spoilt)), faults(spoilt)
