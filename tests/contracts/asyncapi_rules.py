"""What AsyncAPI 3.0.0 allows of the parts that we use. Strict: a member that is not listed is a fault."""

import re
from collections.abc import Iterator, Mapping
from typing import Any

Node = Mapping[str, Any]
PARTS = ("servers", "channels", "operations", "components")
SHAPES: Mapping[str, tuple[frozenset[str], frozenset[str]]] = {  # object -> required members, allowed beside them
    "root": (frozenset({"asyncapi", "info"}), frozenset({"defaultContentType", *PARTS})),
    "info": (frozenset({"title", "version"}), frozenset({"description", "license"})),
    "license": (frozenset({"name"}), frozenset({"identifier", "url"})),
    "server": (frozenset({"host", "protocol"}), frozenset({"description", "variables"})),
    "channel": (frozenset({"address", "messages"}), frozenset({"description", "title", "bindings"})),
    "channel binding": (frozenset({"topic", "bindingVersion"}), frozenset({"partitions", "topicConfiguration"})),
    "operation": (frozenset({"action", "channel"}), frozenset({"summary", "messages"})),
    "message": (
        frozenset({"payload"}),
        frozenset({"name", "title", "summary", "contentType", "headers", "correlationId", "bindings"}),
    ),
    "message binding": (frozenset({"bindingVersion"}), frozenset({"key"})),
    "correlationId": (frozenset({"location"}), frozenset({"description"})),
    "payload": (frozenset({"schemaFormat", "schema"}), frozenset()),
    "components": (frozenset(), frozenset({"messages", "schemas"})),
}  # fmt: skip
KEY = re.compile(r"^[A-Za-z0-9._-]+$")  # of components, channels, operations
LOCATION = re.compile(r"^\$message\.(header|payload)#(/[^/]+)+$")


def faults(document: Node) -> list[str]:
    """What is wrong, one sentence each."""
    return [*_shape("root", "#", document), *_shapes(document), *_references(document), *_words(document)]


def _shape(kind: str, path: str, node: Node) -> Iterator[str]:
    required, allowed = SHAPES[kind]
    yield from (f"{path}: {name} is missing" for name in sorted(required - node.keys()))
    yield from (f"{path}: {name} is unknown" for name in sorted(node.keys() - required - allowed))


def _shapes(document: Node) -> Iterator[str]:
    yield from _shape("info", "#/info", document["info"])
    yield from _shape("license", "#/info/license", document["info"]["license"])
    yield from _shape("components", "#/components", document["components"])
    for name, server in document["servers"].items():
        yield from _shape("server", f"#/servers/{name}", server)
        wanted = set(re.findall(r"{(\w+)}", server["host"]))
        if wanted != server.get("variables", {}).keys():
            yield f"#/servers/{name}: variables are not those of the host"
    for name, channel in document["channels"].items():
        yield from _shape("channel", f"#/channels/{name}", channel)
        yield from _shape("channel binding", f"#/channels/{name}/bindings/kafka", channel["bindings"]["kafka"])
    for name, operation in document["operations"].items():
        yield from _shape("operation", f"#/operations/{name}", operation)
    for name, message in document["components"]["messages"].items():
        yield from _message(f"#/components/messages/{name}", message)


def _message(path: str, message: Node) -> Iterator[str]:
    yield from _shape("message", path, message)
    yield from _shape("payload", f"{path}/payload", message["payload"])
    if "bindings" in message:
        yield from _shape("message binding", f"{path}/bindings/kafka", message["bindings"]["kafka"])
    if "correlationId" in message:
        yield from _shape("correlationId", f"{path}/correlationId", message["correlationId"])
        if not LOCATION.match(message["correlationId"]["location"]):
            yield f"{path}/correlationId: not a runtime expression"


def _references(document: Node) -> Iterator[str]:
    for path, reference in _found("#", document):
        if reference.startswith("#/") and _resolve(document, reference) is None:
            yield f"{path}: {reference} leads nowhere"
    for name, operation in document["operations"].items():
        channel = operation["channel"]["$ref"]
        for message in operation["messages"]:
            if not message["$ref"].startswith(f"{channel}/messages/"):
                yield f"#/operations/{name}: a message of another channel"


def _words(document: Node) -> Iterator[str]:
    if document["asyncapi"] != "3.0.0":
        yield "#/asyncapi: not 3.0.0"
    for name, operation in document["operations"].items():
        if operation["action"] not in {"send", "receive"}:
            yield f"#/operations/{name}: neither send nor receive"
    for room in ("channels", "operations", "servers"):
        yield from (f"#/{room}/{name}: not a key" for name in document[room] if not KEY.match(name))
    for kind, entries in document["components"].items():
        yield from (f"#/components/{kind}/{name}: not a key" for name in entries if not KEY.match(name))


def _found(path: str, node: Any) -> Iterator[tuple[str, str]]:
    """Every reference, and where it stands."""
    match node:
        case {"$ref": str(reference)}:
            yield path, reference
        case dict():
            for name, each in node.items():
                yield from _found(f"{path}/{name}", each)
        case list():
            for at, each in enumerate(node):
                yield from _found(f"{path}/{at}", each)
        case _:
            pass


def _resolve(document: Any, reference: str) -> Any:
    for part in reference.removeprefix("#/").split("/"):
        document = document.get(part) if isinstance(document, Mapping) else None
    return document


def outside(document: Node) -> set[str]:
    """The files that it refers to."""
    return {reference for _, reference in _found("#", document) if not reference.startswith("#")}
