"""Whatever is sent to a service's HTTP gets one well-formed answer, and nothing of ours leaks into it."""

from __future__ import annotations

import asyncio
import json
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import asyncpg
import pytest
from asyncpg.exceptions._base import DataError as ClientDataError

from services.kernel import deadline, metrics, routing, tracing
from services.kernel.decider import Outcome
from services.kernel.health import LIMIT_SECONDS, Check, Health
from services.kernel.http import HEALTH_PATHS, App, create_app, json_reply, meta, reply
from services.kernel.idempotency import item_key, request_key
from services.kernel.problem import Problem, problem
from services.kernel.rejected import Rejected
from services.kernel.routing import BULK_BYTES_MAX, SINGLE_BYTES_MAX, Request, Router
from services.kernel.settings import Kernel, load
from services.kernel.strict_json import Body, Id, Line, parse, read_uuid
from services.kernel.tokens import Principal

SETTINGS = load(
    Kernel,
    "quote",
    {
        "ENV": "test", "DATABASE_URL": "postgresql://a:b@c/d", "KAFKA_BOOTSTRAP_SERVERS": "k:1",
        "JWT_SECRET": "0f9d1c3b5a7e88420f9d1c3b5a7e8842", "RELEASE_SHA": "abc", "CORS_ALLOW_ORIGINS": "https://ui.example",
    },
)  # fmt: skip
ANNA = Principal(UUID(int=7), "corridor", frozenset({"customer"}))
SECRET = "planted-secret-4111111111111111"
PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
JSON = (("content-type", "application/json"),)


class QuoteUsed(Rejected):
    """Another transfer has taken this quote."""

    slug = "quote/used"


class Amount(Body):
    minor: int


class Ask(Body):
    sender: Id
    name: Line
    amount: Amount
    items: tuple[Amount, ...] = ()


@dataclass
class Answer:
    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


def service(health: Health | None = None) -> App:
    router = Router("/v1")

    @router.post("/asks", body=Ask, reply=Amount)
    async def post_ask(request: Request) -> Any:
        ask = parse(await request.body(), Ask)
        return json_reply({"sender": ask.sender, "name": ask.name}, 201)

    @router.post("/asks/batch", limit=BULK_BYTES_MAX)
    async def post_batch(request: Request) -> Any:
        return json_reply({"bytes": len(await request.body())})

    @router.post("/keyed")
    async def post_keyed(request: Request) -> Any:
        key = request_key(request, ANNA, await request.body())
        return json_reply({"key": key.key, "fingerprint": key.fingerprint, "item": item_key(key, 3).key})

    @router.get("/asks/{ask_id}")
    async def get_ask(request: Request) -> Any:
        return json_reply({"id": read_uuid(request.path_params["ask_id"]), "trace": tracing.traceparent()})

    @router.get("/fail/{how}")
    async def get_failure(request: Request) -> Any:
        raise {
            "refused": QuoteUsed(UUID(int=1)), "problem": Problem(409, "webhook/reference-mismatch"),
            "bug": RuntimeError(SECRET), "data": ClientDataError(SECRET), "away": asyncpg.InterfaceError(SECRET),
            "refused_connection": ConnectionRefusedError(SECRET), "slow": TimeoutError(),
        }[request.path_params["how"]]  # fmt: skip

    return create_app(SETTINGS, [router], health)


async def send(
    app: Any,
    method: str,
    path: str,
    body: bytes | Sequence[bytes] = b"",
    headers: Sequence[tuple[str, str]] = JSON,
    *,
    query: str = "",
    chunked: bool = False,
    hang: bool = False,
) -> Answer:
    chunks = [body] if isinstance(body, bytes) else list(body)
    if any(chunks) and not chunked:
        headers = [*headers, ("content-length", str(sum(map(len, chunks))))]
    elif chunked:
        headers = [*headers, ("transfer-encoding", "chunked")]
    scope = {
        "type": "http", "method": method, "path": path, "raw_path": path.encode(), "query_string": query.encode(),
        "headers": [(name.encode(), value.encode("latin-1")) for name, value in headers],
        "scheme": "http", "server": ("x", 1), "client": ("y", 2), "root_path": "", "http_version": "1.1",
    }  # fmt: skip
    sent: list[dict[str, Any]] = []

    async def receive() -> dict[str, Any]:
        if hang:
            await asyncio.sleep(3600)
        assert chunks, "more was read than there is"
        part = chunks.pop(0)
        return {"type": "http.request", "body": part, "more_body": bool(chunks)}

    async def take(message: dict[str, Any]) -> None:
        sent.append(message)

    await app(scope, receive, take)
    assert [message["type"] for message in sent] == ["http.response.start", "http.response.body"]
    head = {name.decode(): value.decode() for name, value in sent[0]["headers"]}
    return Answer(sent[0]["status"], head, sent[1]["body"])


def ask(**changes: Any) -> bytes:
    whole = {"sender": str(UUID(int=5)), "name": "Anna", "amount": {"minor": 100}} | changes
    return json.dumps(whole).encode()


def slug(answer: Answer) -> str:
    assert answer.headers["content-type"] == "application/problem+json"
    assert answer.json["status"] == answer.status
    assert answer.json["trace_id"] == answer.headers["x-request-id"]
    assert answer.json["instance"].endswith(answer.json["trace_id"])
    kind: str = answer.json["type"]
    return kind.removeprefix("https://corridor.dev/problems/")


async def faults(body: bytes) -> list[tuple[str, str]]:
    answer = await send(service(), "POST", "/v1/asks", body)
    assert (answer.status, slug(answer)) == (422, "invalid-body")
    return [(fault["pointer"], fault["code"]) for fault in answer.json["errors"]]


async def test_a_good_request_is_answered() -> None:
    answer = await send(service(), "POST", "/v1/asks", ask())
    assert (answer.status, answer.json) == (201, {"sender": str(UUID(int=5)), "name": "Anna"})
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


# ---- the body


async def test_a_body_of_64_kib_is_read_and_one_more_byte_is_refused_unread() -> None:
    assert (await send(service(), "POST", "/v1/keyed", b" " * SINGLE_BYTES_MAX)).status == 400
    answer = await send(service(), "POST", "/v1/keyed", b" " * (SINGLE_BYTES_MAX + 1))
    assert (answer.status, slug(answer)) == (413, "body-too-large")
    assert answer.headers["connection"] == "close"


async def test_a_chunked_body_is_cut_off_at_the_limit() -> None:
    chunks = [b" " * 60_000] * 3
    answer = await send(service(), "POST", "/v1/asks", chunks, chunked=True)
    assert (answer.status, slug(answer)) == (413, "body-too-large")


async def test_a_declared_bulk_route_reads_a_mebibyte() -> None:
    answer = await send(service(), "POST", "/v1/asks/batch", [b" " * 524_288] * 2)
    assert answer.json == {"bytes": BULK_BYTES_MAX}
    over = await send(service(), "POST", "/v1/asks/batch", [b" " * 524_288, b" " * 524_289])
    assert over.status == 413


@pytest.mark.parametrize("length", ["-1", "1e3", "0x10", "9" * 30])
async def test_a_length_that_is_no_number_is_refused(length: str) -> None:
    headers = (*JSON, ("content-length", length))
    assert (await send(service(), "POST", "/v1/asks", b"", headers)).status == 413


@pytest.mark.parametrize(
    "media", ["", "text/plain", "application/x-www-form-urlencoded", "multipart/form-data", "application/jsonp",
              "application/json; charset=utf-16"],
)  # fmt: skip
async def test_only_json_is_taken(media: str) -> None:
    answer = await send(service(), "POST", "/v1/asks", ask(), (("content-type", media),))
    assert (answer.status, slug(answer)) == (415, "unsupported-media-type")


@pytest.mark.parametrize(
    "media", ["application/json; charset=UTF-8", "application/cloudevents+json", "Application/JSON"]
)
async def test_json_has_several_names(media: str) -> None:
    assert (await send(service(), "POST", "/v1/asks", ask(), (("content-type", media),))).status == 201


async def test_a_compressed_body_is_refused_and_not_inflated() -> None:
    answer = await send(service(), "POST", "/v1/asks", ask(), (*JSON, ("content-encoding", "gzip")))
    assert (answer.status, slug(answer)) == (415, "unsupported-content-coding")


async def test_a_body_that_does_not_come_frees_its_place(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(routing, "_BODY_DEADLINE", deadline.Deadline(0))
    answer = await send(service(), "POST", "/v1/asks", ask(), hang=True)
    assert (answer.status, slug(answer)) == (408, "request-timeout")


async def test_a_cancelled_request_is_not_mistaken_for_a_slow_one() -> None:
    request = asyncio.create_task(send(service(), "POST", "/v1/asks", ask(), hang=True))
    await asyncio.sleep(0)
    request.cancel()
    with pytest.raises(asyncio.CancelledError):
        await request


# ---- JSON


@pytest.mark.parametrize(
    ("body", "expected"),
    [
        (b"", "malformed-json"), (b"{", "malformed-json"), (b"{} {}", "malformed-json"),
        (b"\xef\xbb\xbf{}", "malformed-json"),
        (b'{"a":NaN}', "malformed-json"), (b'{"a":-Infinity}', "malformed-json"), (b'"\xff"', "malformed-json"),
        (b'"\\ud800"', "malformed-json"), (b'{"a":"x\x00"}', "malformed-json"),
        (b'{"a":1,"a":1}', "duplicate-member"), (b'[{"a":{"b":"::","b":":"}}]', "duplicate-member"),
        (b'{"a":1,"a":2,"c":"\\u003a"}', "duplicate-member"), (b'{"a":1,"\\u0061":"x\\u003A"}', "duplicate-member"),
        (b"[" * 17 + b"]" * 17, "json-too-deep"), (b"[" * 1_000 + b"]" * 1_000, "json-too-deep"),
        (b'{"a":' * 10_000 + b"1" + b"}" * 10_000, "json-too-deep"),
        (b"[" + b"1," * 1_000 + b"1]", "json-too-large"),
        (json.dumps(dict.fromkeys(map(str, range(201)))).encode(), "json-too-large"),
    ],
)  # fmt: skip
async def test_json_that_nobody_should_send_is_refused(body: bytes, expected: str) -> None:
    answer = await send(service(), "POST", "/v1/asks", body)
    assert (answer.status, slug(answer)) == (400, expected)


@pytest.mark.parametrize(
    "body",
    [
        b"[" * 16 + b"]" * 16,
        b'{"a":"[[[[[[[[[[[[[[[[[[[[["}',
        b'{"a":"\\u003a:","b":1}',
        b"[" + b"1," * 999 + b"1]",
        json.dumps(dict.fromkeys(map(str, range(200)))).encode(),
    ],
)
async def test_json_at_the_limit_is_only_of_the_wrong_form(body: bytes) -> None:
    assert (await send(service(), "POST", "/v1/asks", body)).status == 422


async def test_a_large_bulk_body_is_checked_in_milliseconds() -> None:
    class Bulk(Body):
        items: list[dict[str, str]]

    body = json.dumps({"items": [{f"k{n}": "v" * 40 for n in range(40)} for _ in range(500)]}).encode()
    assert len(body) > 900_000
    best = 1.0
    for blanks in range(5):  # other bytes each time: the last ones are remembered
        started = time.process_time()
        parse(body + b" " * blanks, Bulk)
        best = min(best, time.process_time() - started)
    assert best < 0.04  # alone: 6 ms for the checks and 10 ms for the model


async def test_a_huge_number_is_refused_at_once() -> None:
    started = time.process_time()
    assert await faults(ask().replace(b"100", b"9" * 5_000)) == [("", "number-out-of-range")]
    assert await faults(ask().replace(b"100", b"1e999999")) == [("/amount/minor", "type-invalid")]
    assert time.process_time() - started < 0.05


async def test_each_fault_of_a_body_has_its_place_and_code() -> None:
    body = json.dumps({"sender": 5, "amount": {"minor": "100", "rate": 1}, "items": [{"minor": 1.5}], "status": "x"})
    assert sorted(await faults(body.encode())) == [
        ("/amount/minor", "type-invalid"), ("/amount/rate", "unknown-member"), ("/items/0/minor", "type-invalid"),
        ("/name", "missing"), ("/sender", "type-invalid"), ("/status", "unknown-member"),
    ]  # fmt: skip


@pytest.mark.parametrize("value", [True, 1.0, "1", None, [], {}])
async def test_an_amount_is_an_integer_and_nothing_like_one(value: Any) -> None:
    assert await faults(ask(amount={"minor": value})) == [("/amount/minor", "type-invalid")]


async def test_the_input_is_never_echoed() -> None:
    answer = await send(service(), "POST", "/v1/asks", ask(**{f"<{SECRET}>": SECRET, "sender": SECRET}))
    assert answer.status == 422
    assert SECRET not in answer.body.decode()


@pytest.mark.parametrize("spelling", ["{%s}", "urn:uuid:%s"])
async def test_an_id_has_one_spelling(spelling: str) -> None:
    assert await faults(ask(sender=spelling % UUID(int=5))) == [("/sender", "id-invalid")]
    assert await faults(ask(sender=str(UUID(int=11)).upper())) == [("/sender", "id-invalid")]
    assert (await send(service(), "GET", "/v1/asks/" + str(UUID(int=11)).upper())).status == 404


@pytest.mark.parametrize("char", ["\x00", "\n", "\u202e", "\u200b", "\u2028", "a" + "\u0301" * 5])
async def test_a_name_holds_no_hidden_characters(char: str) -> None:
    found = await faults(ask(name=f"An{char}na"))
    assert [code for _, code in found] == ["text-invalid"]


async def test_text_about_an_escape_is_just_text() -> None:
    answer = await send(service(), "POST", "/v1/asks", ask(name="C:\\u0000"))
    assert answer.json["name"] == "C:\\u0000"


# ---- the request key


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


# ---- the head


async def test_an_unknown_path_and_a_wrong_method_are_problems() -> None:
    app = service()
    unknown = await send(app, "GET", "/v1/nothing")
    assert (unknown.status, slug(unknown)) == (404, "not-found")
    wrong = await send(app, "DELETE", "/v1/asks/1")
    assert (wrong.status, slug(wrong), wrong.headers["allow"]) == (405, "method-not-allowed", "GET, HEAD")
    assert (await send(app, "TRACE", "/v1/asks")).status == 405
    assert (await send(app, "POST", "/v1/asks/")).status == 404


async def test_a_long_uri_and_a_large_head_are_refused() -> None:
    app = service()
    assert (await send(app, "GET", "/v1/asks/" + "a" * 5_000)).status == 414
    assert (await send(app, "GET", "/version", query="a" * 5_000)).status == 414
    assert (await send(app, "GET", "/version", headers=[("x", "a" * 17_000)])).status == 431
    assert (await send(app, "GET", "/version", headers=[("x", "a")] * 101)).status == 431


async def test_a_reading_route_answers_head_and_reads_no_body() -> None:
    path = f"/v1/asks/{uuid4()}"
    assert (await send(service(), "HEAD", path)).status == 200
    assert (await send(service(), "GET", path, b"{", (("content-type", "text/plain"),))).status == 200


async def test_a_foreign_origin_gets_no_leave() -> None:
    preflight = (("access-control-request-method", "POST"),)
    ours = await send(service(), "OPTIONS", "/v1/asks", headers=(*preflight, ("origin", "https://ui.example")))
    assert ours.headers["access-control-allow-origin"] == "https://ui.example"
    theirs = await send(service(), "OPTIONS", "/v1/asks", headers=(*preflight, ("origin", "https://evil.example")))
    assert "access-control-allow-origin" not in theirs.headers


async def test_the_trace_of_the_caller_goes_on_and_comes_back() -> None:
    answer = await send(service(), "GET", f"/v1/asks/{uuid4()}", headers=(("traceparent", PARENT),))
    assert answer.headers["x-request-id"] == "0af7651916cd43dd8448eb211c80319c"
    assert answer.headers["traceresponse"] == answer.json["trace"] != PARENT
    assert tracing.current() is None


@pytest.mark.parametrize(
    "header",
    ["", "x", PARENT.upper(), PARENT[:-3], "ff" + PARENT[2:], PARENT + "-x", "00-" + "0" * 32 + PARENT[35:],
     PARENT[:36] + "0" * 16 + "-01"],
)  # fmt: skip
async def test_a_trace_that_says_nothing_is_replaced(header: str) -> None:
    answer = await send(service(), "GET", "/version", headers=(("traceparent", header),))
    assert answer.headers["x-request-id"] != "0af7651916cd43dd8448eb211c80319c"
    assert tracing.parse(answer.headers["traceresponse"])


def test_who_asks_is_written_with_the_trace() -> None:
    with tracing.span("x", PARENT):
        made = meta(ANNA, "why")
    assert (made.actor, made.tenant, made.reason) == (str(ANNA.subject), "corridor", "why")
    assert made.correlation_id == UUID("0af7651916cd43dd8448eb211c80319c")
    assert made.traceparent
    assert made.traceparent.startswith("00-0af7651916cd43dd8448eb211c80319c-")


# ---- trouble


@pytest.mark.parametrize(
    ("how", "status", "kind"),
    [
        ("refused", 409, "quote/used"), ("problem", 409, "webhook/reference-mismatch"), ("bug", 500, "internal-error"),
        ("data", 500, "internal-error"), ("away", 503, "temporarily-unavailable"),
        ("refused_connection", 503, "temporarily-unavailable"), ("slow", 503, "temporarily-unavailable"),
    ],
)  # fmt: skip
async def test_every_exception_has_its_answer_and_none_has_its_text(
    how: str, status: int, kind: str, capsys: pytest.CaptureFixture[str]
) -> None:
    answer = await send(service(), "GET", f"/v1/fail/{how}")
    assert (answer.status, slug(answer)) == (status, kind)
    assert SECRET not in answer.body.decode()
    assert ("retry-after" in answer.headers) == (status == 503)
    assert ("request_" in capsys.readouterr().out) == (status >= 500)


def test_a_problem_is_the_same_bytes_each_time() -> None:
    status, body = problem(409, "IDEMPOTENCY_CONFLICT", "idempotency-conflict", "Conflict", "Other body.", first="x")
    assert (status, json.loads(body)) == (
        409,
        {
            "type": "https://corridor.dev/problems/idempotency-conflict", "title": "Conflict", "status": 409,
            "detail": "Other body.", "code": "IDEMPOTENCY_CONFLICT", "first": "x",
        },
    )  # fmt: skip


async def test_an_outcome_is_its_answer_its_refusal_or_our_bug() -> None:
    stored = reply(Outcome(answer=(201, b"{}"), replayed=True))
    assert (stored.status_code, stored.headers["idempotency-replayed"]) == (201, "true")
    refused = reply(Outcome(refusal=QuoteUsed()))
    assert (refused.status_code, refused.headers["content-type"]) == (409, "application/problem+json")
    with pytest.raises(ZeroDivisionError):
        reply(Outcome(error=ZeroDivisionError()))


# ---- metrics, version, documentation


def count(method: str, route: str, status: int) -> float:
    labels = {"method": method, "route": route, "status": str(status)}
    return metrics.REGISTRY.get_sample_value("http_requests_total", labels) or 0


async def test_requests_are_counted_by_template_and_never_by_id() -> None:
    app = service()
    before = count("GET", "/v1/asks/{ask_id}", 200), count("GET", "unmatched", 404), count("OTHER", "unmatched", 404)
    for _ in range(20):
        await send(app, "GET", f"/v1/asks/{uuid4()}")
        await send(app, "GET", f"/{uuid4()}")
        await send(app, f"M{uuid4()}", f"/{uuid4()}")
    after = count("GET", "/v1/asks/{ask_id}", 200), count("GET", "unmatched", 404), count("OTHER", "unmatched", 404)
    assert [new - old for new, old in zip(after, before, strict=True)] == [20, 20, 20]
    labels = {"method": "GET", "path": "unmatched", "status": "404"}
    assert metrics.REGISTRY.get_sample_value("http_request_duration_seconds_count", labels) == after[1]


async def test_metrics_are_served_with_what_a_rule_needs_before_the_first_event() -> None:
    text = (await send(service(), "GET", "/metrics")).body.decode()
    assert 'idempotency_events_total{outcome="finalize_error"}' in text
    assert "corridor_outbox_backlog" in text
    assert "_created" not in text


async def test_version_says_what_runs_here() -> None:
    assert (await send(service(), "GET", "/version")).json == {
        "service": "quote", "release_id": "dev", "git_sha": "abc", "colour": "none", "environment": "test",
    }  # fmt: skip


async def test_every_route_is_documented() -> None:
    paths = (await send(service(), "GET", "/openapi.json")).json["paths"]
    assert paths["/v1/asks"]["post"]["requestBody"]["content"]["application/json"]["schema"]["title"] == "Ask"
    assert paths["/v1/asks/{ask_id}"]["get"]["parameters"][0]["name"] == "ask_id"


# ---- health


async def up() -> None:
    return None


async def not_at_head() -> bool:
    return False


async def down() -> None:
    raise ConnectionRefusedError(SECRET)


async def hanging() -> None:
    await asyncio.sleep(3600)


@pytest.mark.parametrize("path", HEALTH_PATHS)
async def test_all_health_paths_tell_the_same(path: str) -> None:
    answer = await send(service(Health(database=up, migrations=up, others={"kafka": Check(up)})), "GET", path)
    assert (answer.status, answer.json) == (
        200,
        {
            "ok": True, "db_ok": True, "ready": True, "migrations_ok": True, "status": "ok",
            "dependencies": {"postgres": "ok", "kafka": "ok", "redis": "not_configured"},
        },
    )  # fmt: skip


@pytest.mark.parametrize("path", HEALTH_PATHS)
async def test_without_its_database_a_service_lives_but_is_not_ready(path: str) -> None:
    answer = await send(service(Health(database=down, migrations=up)), "GET", path)
    alive = path == "/healthz"
    assert answer.status == (200 if alive else 503)
    assert (answer.json["ok"], answer.json["db_ok"], answer.json["ready"]) == (alive, False, False)
    assert answer.json["dependencies"]["postgres"] == "down"
    assert SECRET not in answer.body.decode()


async def test_a_revision_that_is_not_head_is_not_ready() -> None:
    report = await Health(database=up, migrations=not_at_head).report()
    assert (report["db_ok"], report["migrations_ok"], report["ready"]) == (True, False, False)


async def test_a_dependency_that_is_not_required_only_degrades() -> None:
    report = await Health(database=up, others={"kafka": Check(down, required=False)}).report()
    assert (report["ready"], report["status"], report["dependencies"]["kafka"]) == (True, "degraded", "down")


async def test_a_stopping_service_is_not_ready() -> None:
    health = Health(database=up)
    health.draining = True
    assert (await health.report())["status"] == "draining"


async def test_a_hanging_dependency_is_down_after_a_second() -> None:
    started = time.monotonic()
    report = await Health(database=hanging, others={"kafka": Check(hanging)}).report()
    assert report["db_ok"] is False
    assert LIMIT_SECONDS <= time.monotonic() - started < 2 * LIMIT_SECONDS


async def test_dependencies_are_asked_once_a_second_however_many_ask() -> None:
    asked, clock = 0, [0.0]

    async def probe() -> None:
        nonlocal asked
        asked += 1
        await asyncio.sleep(0)

    health = Health(database=probe, now=lambda: clock[0])
    await asyncio.gather(*(health.report() for _ in range(50)))
    clock[0] = 0.99
    await health.report()
    assert asked == 1
    clock[0] = 1.0
    await health.report()
    assert asked == 2
