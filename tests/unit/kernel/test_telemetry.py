"""A log line is one line of JSON, says what it belongs to, and says nothing that must not be known."""

from __future__ import annotations

import json
import logging
from typing import Any

import pytest

from services.kernel import telemetry, tracing

PARENT = "00-0af7651916cd43dd8448eb211c80319c-b7ad6b7169203331-01"
JWT = "eyJhbGciOiJIUzI1NiJ9.eyJzdWIiOiIxMjM0In0.c2lnbmF0dXJl"
H = telemetry.HIDDEN


@pytest.fixture
def log(capsys: pytest.CaptureFixture[str]) -> Any:
    telemetry.configure_logs(logging.DEBUG, service="quote")

    def write(event: str = "happened", **fields: Any) -> dict[str, Any]:
        telemetry.logger("test").info(event, **fields)
        (line,) = capsys.readouterr().out.splitlines()
        parsed: dict[str, Any] = json.loads(line)
        return parsed

    return write


def test_a_line_says_when_where_and_what(log: Any) -> None:
    with tracing.span("x", PARENT):
        line = log("transfer_opened", transfer_id="t-1", actor="anna", event_id="e-1")
    assert line.pop("at").endswith("Z")
    assert line == {
        "event": "transfer_opened", "level": "info", "component": "test", "service": "quote", "actor": "anna",
        "transfer_id": "t-1", "event_id": "e-1", "trace_id": "0af7651916cd43dd8448eb211c80319c",
    }  # fmt: skip


@pytest.mark.parametrize(
    "key", ["password", "JWT_SECRET", "Authorization", "access_token", "creditorAccount", "iban", "name", "last_name",
            "phone", "email", "set-cookie", "card_number", "database_dsn"],
)  # fmt: skip
def test_a_key_that_names_a_secret_hides_its_value(log: Any, key: str) -> None:
    assert log(**{key: "value"})[key] == H
    assert log(inner={"deep": [{key: ["value"]}]})["inner"] == {"deep": [{key: H}]}


@pytest.mark.parametrize("key", ["transfer_id", "account_code", "topic", "filename", "tokenless", "status", "company"])
def test_an_innocent_key_shows_its_value(log: Any, key: str) -> None:
    assert log(**{key: "value"})[key] == "value"


@pytest.mark.parametrize(
    "text",
    ["4111111111111111", "4111 1111 1111 1111", "4111-1111-1111-1111", "DE89370400440532013000", "+251 91 123 4567",
     "DE89 3704 0044 0532 0130 00", "+251911234567", "00447911123456", JWT],
)  # fmt: skip
def test_a_value_that_looks_like_a_secret_is_hidden_anywhere(log: Any, text: str) -> None:
    assert log(f"saw {text}, odd")["event"] == f"saw {H}, odd"
    assert log(note=f"x {text}")["note"] == f"x {H}"
    assert log(data=[{"a": text}])["data"] == [{"a": H}]


@pytest.mark.parametrize(
    "text",
    ["0af7651916cd43dd8448eb211c80319c", "5f1f9c1e-6f3c-5b57-9d0f-0f2a3c1b7a10", "4111111111111112", "RF18539007547034",
     "2026-11-23T02:39:07.123456Z", "12345678-1234-4123-8123-411111111111", "corridor.quote.created.v1", "1000000"],
)  # fmt: skip
def test_ids_and_references_stay(log: Any, text: str) -> None:
    assert log(note=text)["note"] == text


def test_a_password_in_an_address_is_hidden(log: Any) -> None:
    assert log(note="postgresql://app:hunter2@db/x failed")["note"] == f"postgresql://{H}@db/x failed"


@pytest.mark.parametrize("text", ["a\nb", "a\r\nb", "a\u2028b", '"}\n{"event":"forged"}', "\x1b[31m\x00"])
def test_a_line_stays_one_line(log: Any, text: str) -> None:
    assert log(text, note=text)["note"] == text  # and the fixture has seen one line only


def test_long_and_deep_values_have_an_end(log: Any) -> None:
    deep: dict[str, Any] = {}
    deep["again"] = deep
    line = log(note="a" * 10_000, deep=deep, raw=b"abc", many=list(range(1000)))
    assert (len(line["note"]), line["raw"], len(line["many"])) == (telemetry.STRING_CHARS_MAX, "<3 bytes>", 100)


def fail() -> None:
    raise ValueError("no such account DE89370400440532013000\nnext")


def test_an_exception_tells_its_place_and_hides_what_it_holds(log: Any) -> None:
    with pytest.raises(ValueError, match="no such") as caught:
        fail()
    line = log("failed", exc_info=caught.value)
    assert line["error"] == "ValueError"
    assert line["error_text"] == f"no such account {H}\nnext"
    assert line["stack"][-1].endswith(" fail")


def test_a_librarys_warning_takes_the_same_way(capsys: pytest.CaptureFixture[str]) -> None:
    telemetry.configure_logs(logging.INFO, service="quote")
    logging.getLogger("aiokafka").warning("connect to %s failed\n", "kafka://u:hunter2@k")
    logging.getLogger("aiokafka").info("chatter")
    (line,) = capsys.readouterr().out.splitlines()
    assert json.loads(line)["event"] == f"connect to kafka://{H}@k failed\n"


def test_a_child_keeps_the_story_and_has_its_own_step() -> None:
    parent = tracing.parse(PARENT)
    assert parent
    child = parent.child()
    assert (child.trace_id, child.flags) == (parent.trace_id, "01")
    assert child.span_id != parent.span_id
    assert tracing.parse(child.header) == child


def test_spans_go_to_the_exporter_only_when_there_is_one(monkeypatch: pytest.MonkeyPatch) -> None:
    from opentelemetry.sdk.resources import Resource

    ended: list[Any] = []

    class Processor:
        def on_end(self, span: Any) -> None:
            ended.append(span)

    with tracing.span("unseen"):
        pass
    monkeypatch.setattr(tracing, "exporter", tracing.Exporter(Processor(), Resource({})))  # type: ignore[arg-type]
    with tracing.span("seen", PARENT, {"size": 3}) as trace:
        pass
    (span,) = ended
    assert (span.name, span.attributes["size"]) == ("seen", 3)
    assert f"{span.context.span_id:016x}" == trace.span_id
    assert f"{span.parent.span_id:016x}" == "b7ad6b7169203331"
