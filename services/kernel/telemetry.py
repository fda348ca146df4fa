"""Logs: one JSON line for each event on stdout, with the ids to follow it by and without what must not be there."""

from __future__ import annotations

import logging
import re
import sys
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

from services.kernel import metrics, tracing
from services.kernel.settings import Kernel


@contextmanager
def _absent(module: str) -> Iterator[None]:
    """As if it were not installed, for whoever only tries it."""
    if module in sys.modules:
        yield
        return
    sys.modules[module] = None  # type: ignore[assignment]
    try:
        yield
    finally:
        del sys.modules[module]


with _absent("rich"):  # structlog loads it for tracebacks on a terminal: 3 MiB that a service never uses
    import structlog
    from structlog.typing import EventDict, Processor

STRING_CHARS_MAX = 2_000
DEPTH_MAX = 6
HIDDEN = "[redacted]"

_SECRET_WORDS = frozenset(
    {
        "password", "passwd", "secret", "secrets", "authorization", "cookie", "token", "tokens", "jwt", "bearer",
        "iban", "pan", "cvv", "card", "msisdn", "phone", "email", "address", "birth", "passport", "name", "names",
        "surname", "account", "beneficiary", "kek", "signature", "dsn",
    }
)  # fmt: skip
_PLAIN_KEYS = frozenset({"account_code", "topic_name", "task_name", "service_name", "token_count"})
_WORD = re.compile(r"[a-z0-9]+")
_CAMEL = re.compile(r"(?<=[a-z0-9])(?=[A-Z])")
_JWT = re.compile(r"eyJ[\w-]{6,}\.[\w-]+\.[\w-]*")
# RF begins our own route references (ISO 11649)
_IBAN = re.compile(r"(?<![\w-])(?!RF)[A-Z]{2}\d{2}(?: ?[A-Z0-9]{4}){2,7}(?: ?[A-Z0-9]{1,3})?(?![\w-])")
_PHONE = re.compile(r"(?<![\w-])(?:\+|00)[1-9](?:[ ().-]?\d){7,14}(?![\w-])")
_PAN = re.compile(r"(?<![\w.-])\d(?:[ -]?\d){12,18}(?![\w.-])")
_ID = re.compile(r"[A-Z0-9._:/-]{1,64}|[a-f0-9-]{1,64}")
_CREDENTIAL = re.compile(r"(?<=://)[^/\s:@]*:[^/\s@]+(?=@)")  # user:password in an address


def redact(_logger: object, _method: str, event: EventDict) -> EventDict:
    """The last processor before the line is made: hides by key and by what a value looks like."""
    return {key: value if key == "event" else _clean(key, value, 0) for key, value in event.items()} | {
        "event": hide(str(event.get("event", "")))
    }


def hide(text: str) -> str:
    """`text` without tokens, card numbers, IBANs, phone numbers and passwords in addresses; cut to its limit."""
    text = _JWT.sub(HIDDEN, text[:STRING_CHARS_MAX])
    text = _IBAN.sub(HIDDEN, text)
    text = _PHONE.sub(HIDDEN, text)
    text = _PAN.sub(lambda found: HIDDEN if _luhn(found[0]) else found[0], text)
    return _CREDENTIAL.sub(HIDDEN, text)


def shown_id(text: str) -> str:
    """A stranger's own id as far as it looks like one: digits among capitals or hex. Words may be a name or a secret,
    and no pattern knows them."""
    return text if _ID.fullmatch(text) and any(char.isdigit() for char in text) else HIDDEN


def _clean(key: str, value: Any, depth: int) -> Any:
    if is_secret(key):
        return HIDDEN
    match value:
        case None | bool() | int() | float():
            return value
        case str():
            return hide(value)
        case bytes():
            return f"<{len(value)} bytes>"
        case _ if depth >= DEPTH_MAX:
            return "..."
        case Mapping():
            return {str(name): _clean(str(name), item, depth + 1) for name, item in value.items()}
        case list() | tuple() | set() | frozenset():
            return [_clean("", item, depth + 1) for item in list(value)[:100]]
        case _:
            return hide(str(value))


def is_secret(key: str) -> bool:
    """Whether a key's own name says that its value is nobody's business."""
    if key in _PLAIN_KEYS:
        return False
    return not _SECRET_WORDS.isdisjoint(_WORD.findall(_CAMEL.sub("_", key).lower()))


def _luhn(text: str) -> bool:
    digits = [int(char) for char in reversed(text) if char.isdigit()]
    return sum(digits[0::2] + [sum(divmod(2 * digit, 10)) for digit in digits[1::2]]) % 10 == 0


def _place(_logger: object, _method: str, event: EventDict) -> EventDict:
    """The trace that the line belongs to."""
    trace = tracing.current()
    if trace is not None:
        event.setdefault("trace_id", trace.trace_id)
    return event


def _failure(_logger: object, _method: str, event: EventDict) -> EventDict:
    """An exception as its class, its sentence and where it came from; never the values of its frames."""
    raised = event.pop("exc_info", None)
    error = sys.exc_info()[1] if raised is True else raised[1] if isinstance(raised, tuple) else raised
    if isinstance(error, BaseException):
        event["error"] = type(error).__qualname__
        event["error_text"] = str(error)[:300]
        event["stack"] = _stack(error)
    return event


def _stack(error: BaseException) -> list[str]:
    """The innermost 12 frames, as file:line function."""
    frames, step = [], error.__traceback__
    while step is not None:
        code = step.tb_frame.f_code
        frames.append(f"{code.co_filename}:{step.tb_lineno} {code.co_name}")
        step = step.tb_next
    return frames[-12:]


def start(settings: Kernel) -> None:
    """Logs, build info and (if an endpoint is set) the export of spans, for this process."""
    level = getattr(logging, settings.log_level.upper())
    configure_logs(level, service=settings.service, sha=settings.release_sha)
    metrics.BUILD_INFO.labels(
        settings.service, settings.release_id, settings.release_sha, settings.colour, settings.env
    ).set(1)
    metrics.prepare_service(settings.service)
    if settings.otlp_endpoint:
        tracing.export_to(settings.otlp_endpoint, settings.service, settings.release_sha)


class _Stdout(logging.Handler):
    """Lines of the standard library's loggers."""

    def emit(self, record: logging.LogRecord) -> None:
        """One line, at once."""
        sys.stdout.write(self.format(record) + "\n")
        sys.stdout.flush()


def configure_logs(level: int, **always: str) -> None:
    """Send structlog and the standard library's loggers through the same processors to stdout."""

    def constant(_logger: object, _method: str, event: EventDict) -> EventDict:
        return {**always, **event}

    shared: list[Processor] = [
        structlog.contextvars.merge_contextvars,
        structlog.stdlib.add_log_level,
        structlog.processors.TimeStamper(fmt="iso", utc=True, key="at"),
        constant,
        _place,
        _failure,
    ]
    last: list[Processor] = [redact, structlog.processors.JSONRenderer(ensure_ascii=True)]
    structlog.configure(
        processors=[*shared, *last],
        wrapper_class=structlog.make_filtering_bound_logger(level),
        logger_factory=lambda *_: structlog.WriteLogger(sys.stdout),
        cache_logger_on_first_use=False,
    )
    handler = _Stdout()
    handler.setFormatter(
        structlog.stdlib.ProcessorFormatter(
            foreign_pre_chain=shared, processors=[structlog.stdlib.ProcessorFormatter.remove_processors_meta, *last]
        )
    )
    root = logging.getLogger()
    root.handlers[:] = [handler]
    root.setLevel(max(level, logging.WARNING))  # libraries speak only when something is wrong


def logger(name: str) -> Any:
    """A logger whose lines carry `component`. Bind what they belong to: transfer_id, event_id, actor."""
    return structlog.get_logger(component=name)
