"""Whatever is sent to a service's HTTP gets one well-formed answer, and nothing of ours leaks into it."""

from __future__ import annotations

import json
from uuid import UUID, uuid4

import pytest

from services.kernel import metrics, tracing
from services.kernel.decider import Outcome
from services.kernel.http import meta, reply
from services.kernel.problem import problem
from tests.unit.kernel.door import (
    ANNA,
    PARENT,
    SECRET,
    QuoteUsed,
    ask,
    send,
    service,
    slug,
)


async def test_a_good_request_is_answered() -> None:
    answer = await send(service(), "POST", "/v1/asks", ask())
    assert (answer.status, answer.json) == (201, {"sender": str(UUID(int=5)), "name": "Anna"})
    assert answer.headers["cache-control"] == "no-store"
    assert answer.headers["x-content-type-options"] == "nosniff"


# ---- the head


async def test_an_unknown_path_and_a_wrong_method_are_problems() -> None:
    app = service()
    unknown = await send(app, "GET", "/v1/nothing")
    assert (unknown.status, slug(unknown)) == (404, "not-found")
    wrong = await send(app, "DELETE", "/v1/asks/1")
    assert (wrong.status, slug(wrong), wrong.headers["allow"]) == (405, "method-not-allowed", "GET, HEAD")
    assert (await send(app, "TRACE", "/v1/asks")).status == 405
    assert (await send(app, "POST", "/v1/asks/")).status == 404


async def test_a_path_that_is_nearly_one_of_ours_is_not_answered_past_our_limits() -> None:
    """The framework takes a path with a line break at its end for the one without."""
    for path in ("/v1/asks\n", f"/v1/asks/{uuid4()}\n"):
        answer = await send(service(), "POST", path, [b" " * 600_000] * 3, (("content-type", "text/plain"),))
        assert (answer.status, slug(answer)) in ((404, "not-found"), (405, "method-not-allowed"))


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
