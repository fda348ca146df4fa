"""docs/events.md: every event, who says it, who listens."""

from __future__ import annotations

import inspect
from collections.abc import Iterator
from typing import Any

from contracts.topics import INTERNAL, PARTNER_DEPOSITS, Topic
from scripts.contracts.readers import UNREAD, readers

HEAD = """\
<!-- Generated: python -m scripts.contracts write -->

# Events

Each event is stored, published and read in one form: its JSON Schema is `contracts/schemas/<type>.json`, an example is
in `contracts/*/examples/`, the headers are in `contracts/asyncapi.yaml`. An event that nobody reads says why.
"""


def page() -> str:
    """The whole page."""
    heard = readers()
    parts = [HEAD, *("\n".join(_topic(topic, heard)) + "\n" for topic in INTERNAL), "\n".join(_partner()) + "\n"]
    return "\n".join(parts)


def _topic(topic: Topic, heard: dict[type, tuple[str, ...]]) -> Iterator[str]:
    yield f"## {topic.name}\n"
    yield f"Written by `{topic.writer}`.\n"
    yield "| type | what it says | who listens |"
    yield "|---|---|---|"
    for event in topic.events:
        yield _row(event, heard.get(event, ()))


def _row(event: Any, names: tuple[str, ...]) -> str:
    said = (inspect.getdoc(event) or "").splitlines()[0]
    listeners = ", ".join(f"`{name}`" for name in names) or f"nobody: {UNREAD.get(event, '')}"
    return f"| `{event.type}` | {said} | {listeners} |"


def _partner() -> Iterator[str]:
    yield f"## {PARTNER_DEPOSITS.name}\n"
    yield "Written by partners, signed by `X-Webhook-Signature` over the value; read by `deposit_watcher`. The value is"
    yield f"`contracts/schemas/{PARTNER_DEPOSITS.name}.json`, the same as the body of `POST /v1/webhooks/deposit`."
