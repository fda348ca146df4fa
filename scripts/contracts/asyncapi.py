"""contracts/asyncapi.yaml: AsyncAPI 3.0 from contracts/topics.py. What travels on Kafka, for who is not us."""

from __future__ import annotations

import inspect
from collections.abc import Mapping
from typing import Any

from contracts.topics import INTERNAL, PARTNER_DEPOSITS, TOPIC_CONFIG, Topic
from services.kernel.webhook import HEADER

Node = dict[str, Any]
JSON_SCHEMA = "application/schema+json;version=draft-2020-12"
KAFKA_BINDING = "0.5.0"
INFO: Node = {
    "title": "Corridor events",
    "version": "1.0.0",
    "description": (
        "An event-sourced money-transfer engine. Every event is published as it is stored, in Kafka's binary mode of "
        "CloudEvents 1.0: the value is the data, the headers are the rest. The key of a record is its stream's id (of "
        "a payout and an entry: the transfer's). Records of one key are in order; a record may come twice, and is then "
        "known by its ce_subject and ce_streamversion. Ignore fields and types that you do not know."
    ),
    "license": {"name": "Apache-2.0", "identifier": "Apache-2.0"},
}
UUID_TEXT: Node = {"type": "string", "format": "uuid"}
TIME_TEXT: Node = {"type": "string", "format": "date-time"}
NUMBER_TEXT: Node = {"type": "string", "pattern": "^[0-9]+$"}
HASH_TEXT: Node = {"type": "string", "pattern": "^[0-9a-f]{64}$"}
HEADERS: dict[str, Node] = {  # services/kernel/envelope.py writes them; a test compares
    "ce_specversion": {"const": "1.0"},
    "content-type": {"const": "application/json"},
    "ce_source": {"type": "string", "pattern": "^/corridor/[a-z_]+$", "description": "the service that says it"},
    "ce_type": {"type": "string", "pattern": r"^corridor\.[a-z_.]+\.v[0-9]+$"},
    "ce_dataschema": {"type": "string", "description": "the `$id` of the value's JSON Schema"},
    "ce_schemaversion": NUMBER_TEXT,
    "ce_epoch": NUMBER_TEXT | {"description": "how often the topic was made anew from the store"},
    "ce_id": UUID_TEXT | {"description": "of the event"},
    "ce_subject": UUID_TEXT | {"description": "the stream"},
    "ce_time": TIME_TEXT | {"description": "when it happened"},
    "ce_recordedtime": TIME_TEXT | {"description": "when it was stored"},
    "ce_streamversion": NUMBER_TEXT | {"description": "from 1, without a gap in each stream"},
    "ce_globalseq": NUMBER_TEXT | {"description": "ascends in the store of the service; has gaps"},
    "ce_correlationid": UUID_TEXT | {"description": "what it belongs to: mostly the transfer"},
    "ce_actor": {"type": "string", "description": "who wanted it"},
    "ce_tenant": {"type": "string"},
    "ce_prevhash": HASH_TEXT | {"description": "ce_hash of the stream's event before; zeros for the first"},
    "ce_hash": HASH_TEXT | {"description": "SHA-256 over the stored row and ce_prevhash"},
    "ce_meta": {"type": "string", "description": "JSON, exactly as it was hashed"},
    "ce_causationid": UUID_TEXT | {"description": "the event or request that caused it"},
    "traceparent": {"type": "string", "description": "W3C trace context"},
}
OPTIONAL_HEADERS = frozenset({"ce_causationid", "traceparent"})
SIGNATURE = r"^t=[0-9]{10},kid=[A-Za-z0-9._-]{1,64},v1=[0-9a-f]{64}$"


def document() -> Node:
    """The whole document; made anew it is the same."""
    topics = (*INTERNAL, PARTNER_DEPOSITS)
    events = [event for topic in INTERNAL for event in topic.events]
    return {
        "asyncapi": "3.0.0",
        "info": INFO,
        "defaultContentType": "application/json",
        "servers": {"kafka": _server()},
        "channels": {topic.name: _channel(topic) for topic in topics},
        "operations": {f"{_action(topic)}-{topic.name}": _operation(topic) for topic in topics},
        "components": {
            "messages": {event.type: _message(event) for event in events} | {PARTNER_DEPOSITS.name: _deposit_message()},  # type: ignore[attr-defined]
            "schemas": {"cloudEventHeaders": _headers()},
        },
    }


def whole(made: Node, schemas: Mapping[Any, Node], examples: Mapping[str, Any]) -> Node:
    """The document in one piece, with schemas and examples: for readers that follow no reference to another file."""
    by_id = {schema["$id"]: _inlined(schema) for schema in schemas.values()}
    messages = {
        name: message
        | {"payload": message["payload"] | {"schema": by_id[f"contracts/schemas/{name}.json"]}}
        | {"examples": [{"name": name, "payload": examples[name]}]}
        for name, message in made["components"]["messages"].items()
    }
    return made | {"components": made["components"] | {"messages": messages}}


def _inlined(schema: Node) -> Node:
    """Without `$defs`: what they hold stands where it is named."""
    definitions = schema.get("$defs", {})

    def put(node: Any) -> Any:
        match node:
            case {"$ref": str(name)}:
                return put(definitions[name.removeprefix("#/$defs/")])
            case dict():
                return {key: put(value) for key, value in node.items() if key not in {"$defs", "$id", "$schema"}}
            case list():
                return [put(each) for each in node]
            case _:
                return node

    inlined: Node = put(schema)
    return inlined


def _server() -> Node:
    described = {"description": "host:port of any broker", "default": "localhost:9092"}
    return {"host": "{bootstrap}", "protocol": "kafka", "variables": {"bootstrap": described}}


def _names(topic: Topic) -> list[str]:
    return [event.type for event in topic.events] or [topic.name]  # type: ignore[attr-defined]


def _channel(topic: Topic) -> Node:
    config = {
        "cleanup.policy": [TOPIC_CONFIG["cleanup.policy"]],
        "retention.ms": int(TOPIC_CONFIG["retention.ms"]),
        "retention.bytes": int(TOPIC_CONFIG["retention.bytes"]),
        "max.message.bytes": int(TOPIC_CONFIG["max.message.bytes"]),
    }
    binding = {"topic": topic.name, "topicConfiguration": config, "bindingVersion": KAFKA_BINDING}
    return {
        "address": topic.name,
        "title": _title(topic),
        "description": f"Written by {topic.writer}. Kept for ever; its number of partitions never changes.",
        "messages": {name: {"$ref": f"#/components/messages/{name}"} for name in _names(topic)},
        "bindings": {"kafka": binding},
    }


def _title(topic: Topic) -> str:
    """corridor.quote.events.v1 -> Quote events"""
    words = [word for word in topic.name.split(".")[:-1] if word != "corridor"]
    return " ".join(words).capitalize()


def _action(topic: Topic) -> str:
    return "receive" if topic is PARTNER_DEPOSITS else "send"


def _operation(topic: Topic) -> Node:
    channel = f"#/channels/{topic.name}"
    if topic is PARTNER_DEPOSITS:
        summary = "A partner writes, deposit_watcher reads and judges."
    else:
        summary = f"{topic.writer} publishes what it has stored."
    return {
        "action": _action(topic),
        "channel": {"$ref": channel},
        "summary": summary,
        "messages": [{"$ref": f"{channel}/messages/{name}"} for name in _names(topic)],
    }


def _message(event: Any) -> Node:
    only = {"type": "object", "properties": {"ce_type": {"const": event.type}}}
    return {
        "name": event.type,
        "title": event.__name__,
        "summary": (inspect.getdoc(event) or "").splitlines()[0],
        "contentType": "application/json",
        "headers": {"allOf": [{"$ref": "#/components/schemas/cloudEventHeaders"}, only]},
        "payload": _payload(event.type),
        "correlationId": {"location": "$message.header#/ce_correlationid"},
        "bindings": {"kafka": {"key": dict(UUID_TEXT), "bindingVersion": KAFKA_BINDING}},
    }


def _deposit_message() -> Node:
    signature = {
        "type": "string",
        "pattern": SIGNATURE,
        "description": (
            't=<unix seconds>,kid=<key id>,v1=<hex HMAC-SHA256(secret, "<t>." + value)>; its age is not judged'
        ),
    }
    return {
        "name": PARTNER_DEPOSITS.name,
        "title": "DepositReport",
        "summary": "Money that was booked on our collection account, says the partner. The key is up to the partner.",
        "contentType": "application/json",
        "headers": {"type": "object", "properties": {HEADER: signature}, "required": [HEADER]},
        "payload": _payload(PARTNER_DEPOSITS.name),
    }


def _payload(name: str) -> Node:
    return {"schemaFormat": JSON_SCHEMA, "schema": {"$ref": f"./schemas/{name}.json"}}


def _headers() -> Node:
    required = [name for name in HEADERS if name not in OPTIONAL_HEADERS]
    return {"type": "object", "properties": HEADERS, "required": required}
