"""Idempotency keys: which are keys, and which requests are the same."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from services.kernel.idempotency import request_key
from services.kernel.routing import Request
from tests.unit.kernel.door import (
    ANNA,
    JSON,
    Answer,
    send,
    service,
    slug,
)


async def keyed(body: bytes = b'{"a":1}', key: Sequence[str] = ("k",), path: str = "/v1/keyed") -> Answer:
    headers = [*JSON, *(("idempotency-key", one) for one in key)]
    return await send(service(), "POST", path, body, headers)


async def fingerprint(body: bytes) -> str:
    return str((await keyed(body)).json["fingerprint"])


async def test_a_request_without_a_key_is_refused() -> None:
    answer = await keyed(key=())
    assert (answer.status, slug(answer)) == (400, "idempotency-key-missing")


@pytest.mark.parametrize(
    "key",
    [("",), ("a" * 256,), ("a b",), ("a\x7f",), ("k\u00e9y",), ("a", "a"), ('"a',), ('"a"b"',), ('""',), ('"a";p=1',),
     ('"' + "a" * 256 + '"',), ("a\\b",), ("{5f1f9c1e-6f3c-5b57-9d0f-0f2a3c1b7a10}",),
     ("URN:uuid:5f1f9c1e-6f3c-5b57-9d0f-0f2a3c1b7a10",), ("5F1F9C1E-6F3C-5B57-9D0F-0F2A3C1B7A10",)],
)  # fmt: skip
async def test_a_malformed_key_is_refused(key: tuple[str, ...]) -> None:
    answer = await keyed(key=key)
    assert (answer.status, slug(answer)) == (400, "idempotency-key-malformed")


@pytest.mark.parametrize(
    ("header", "key"),
    [("a", "a"), ('"a"', "a"), ("a" * 255, "a" * 255), ('"' + "a" * 255 + '"', "a" * 255), ('"a\\"\\\\b"', 'a"\\b'),
     ("5f1f9c1e-6f3c-5b57-9d0f-0f2a3c1b7a10", "5f1f9c1e-6f3c-5b57-9d0f-0f2a3c1b7a10"), ("~!#", "~!#")],
)  # fmt: skip
async def test_a_key_may_be_bare_or_quoted(header: str, key: str) -> None:
    assert (await keyed(key=(header,))).json["key"] == key


async def test_the_same_document_in_other_clothes_is_the_same_request() -> None:
    assert await fingerprint(b'{"a":1,"b":{"c":2,"d":"\\u0041"}}') == await fingerprint(
        b' { "b" : {"d":"A", "c":2} ,\n"a":1}'
    )


@pytest.mark.parametrize("other", [b'{"a":2}', b'{"a":"1"}', b'{"a":1.0}', b'{"a":1,"b":null}', b'{"b":1}', b"[1]"])
async def test_another_value_is_another_request(other: bytes) -> None:
    assert await fingerprint(b'{"a":1}') != await fingerprint(other)


async def test_a_fraction_is_not_the_text_of_it() -> None:
    assert await fingerprint(b'{"a":1.0}') != await fingerprint(b'{"a":"1.0"}')


@pytest.mark.parametrize("other", [("PUT", "/v1/asks"), ("POST", "/v1/asks/1"), ("POST", "/v1/ask")])
def test_another_route_or_method_is_another_request(other: tuple[str, str]) -> None:
    def made(method: str, path: str) -> str:
        scope = {"type": "http", "method": method, "path": path, "headers": [(b"idempotency-key", b"k")]}
        return request_key(Request(scope, None, b""), ANNA, b"{}").fingerprint  # type: ignore[arg-type]

    assert made("POST", "/v1/asks") == made("POST", "/v1/asks") != made(*other)


async def test_no_single_key_can_be_the_key_of_an_item() -> None:
    item = (await keyed()).json["item"]
    assert item == "k\x1f3"
    assert (await keyed(key=(item,))).status == 400
