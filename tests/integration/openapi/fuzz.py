"""Requests made from the document, judged by it: schemathesis without its runner, so that we choose who asks."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import hypothesis
import requests
import schemathesis
from hypothesis import HealthCheck, Phase, settings
from hypothesis.errors import Unsatisfiable
from schemathesis import GenerationMode
from schemathesis.checks import not_a_server_error
from schemathesis.core.failures import FailureGroup
from schemathesis.specs.openapi.checks import (
    content_type_conformance,
    response_headers_conformance,
    response_schema_conformance,
    status_code_conformance,
)

CHECKS = [
    not_a_server_error, status_code_conformance, content_type_conformance, response_headers_conformance,
    response_schema_conformance,
]  # fmt: skip
SECONDS_MAX = 10.0  # of one request
Known = Mapping[str, Sequence[Any]]  # by the name of a member or parameter: values that exist
Sign = Callable[[bytes], str]


@dataclass(frozen=True, kw_only=True)
class Caller:
    """Who asks: `headers` of every request; a partner signs the bytes. `always`: members that have one value."""

    role: str
    headers: Mapping[str, str] = field(default_factory=dict)
    known: Known = field(default_factory=dict)
    always: Known = field(default_factory=dict)
    sign: Sign | None = None


@dataclass(slots=True)
class Asked:
    """What came of the requests to one operation."""

    statuses: set[int] = field(default_factory=set)
    faults: dict[str, None] = field(default_factory=dict)  # one sentence each


def operations(document: dict[str, Any]) -> Iterator[Any]:
    """Every operation of the document, as schemathesis has it."""
    for found in schemathesis.openapi.from_dict(document).get_all_operations():
        yield found.ok()  # type: ignore[union-attr]  # raises what is wrong with the document


def ask(operation: Any, base_url: str, caller: Caller, examples: int, *, valid: bool) -> Asked:
    """Send some requests that are as documented, or are not: the same ones every time."""
    asked, session = Asked(), requests.Session()
    mode = GenerationMode.POSITIVE if valid else GenerationMode.NEGATIVE

    @settings(
        max_examples=examples, derandomize=True, database=None, deadline=None, phases=[Phase.generate],
        suppress_health_check=list(HealthCheck),
    )  # fmt: skip
    @hypothesis.given(case=operation.as_strategy(generation_mode=mode))
    def one(case: Any) -> None:
        _judge(case, send(_about(case, caller), session, base_url, caller), caller, asked)

    try:
        one()
    except Unsatisfiable:
        assert not valid, "no valid request can be made from the document"  # nothing can be wrong in an empty request
    return asked


def _judge(case: Any, answer: requests.Response, caller: Caller, asked: Asked) -> None:
    asked.statuses.add(answer.status_code)
    try:
        case.validate_response(answer, checks=CHECKS)
    except FailureGroup as group:
        for failure in group.exceptions:
            what = f"{caller.role} {case.method} {case.path}: {answer.status_code} {failure.title}"
            first = failure.message.partition("\n")[0]
            asked.faults[f"{what}: {first}; said {answer.text[:200]}"] = None


def _about(case: Any, caller: Caller) -> Any:
    """Of the requests some stay as they were made, the others are about things that exist: by what is in them."""
    made = [case.path, case.body, case.path_parameters, case.query]
    number = sum(json.dumps(made, default=str).encode())
    known = caller.always if number % 3 == 0 else {**caller.known, **caller.always}
    case.path_parameters = put(case.path_parameters, known, number)
    case.body = put(case.body, known, number)
    return case


def put(node: Any, known: Known, number: int) -> Any:
    """With values that exist, wherever a member has a name for which there are some."""
    match node:
        case Mapping():
            return {
                name: known[name][number // 3 % len(known[name])] if name in known else put(value, known, number)
                for name, value in node.items()
            }
        case list():
            return [put(each, known, number + 3 * at) for at, each in enumerate(node)]
        case _:
            return node


def send(case: Any, session: requests.Session, base_url: str, caller: Caller) -> requests.Response:
    """The request with the caller's headers, its body as the bytes that were signed."""
    sent = case.as_transport_kwargs(base_url=base_url, headers=dict(caller.headers))
    if "json" in sent:
        sent["data"] = json.dumps(sent.pop("json")).encode()
        sent["headers"]["Content-Type"] = "application/json"
    if caller.sign is not None and isinstance(sent.get("data"), bytes):
        sent["headers"]["X-Webhook-Signature"] = caller.sign(sent["data"])
    return session.request(**sent, timeout=SECONDS_MAX, allow_redirects=False)
