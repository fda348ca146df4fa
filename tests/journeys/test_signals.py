"""One system, and what on-call sees of it: metrics by name, one trace across Kafka, and logs that keep secrets."""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import uuid4

import asyncpg
import pytest

from scripts.stack.ports import free_port
from scripts.system import leftovers
from scripts.system.home import Home
from scripts.system.installation import SERVICES
from scripts.system.system import POSTGRES, System
from services.kernel.connections import room, sessions_of
from services.sandbox.signing import HEADER, sign
from tests.support.canaries import CANARIES, EVERYTHING, plant, plant_on_kafka, secrets_of
from tests.support.signals import Seen, ask, betrayed, between, collector, series_of

pytestmark = [pytest.mark.slow, pytest.mark.timeout(400)]

SECONDS = 90
TRACE = "4bf92f3577b34da6a3ce929d0e0e4736"
EVERYWHERE = SERVICES
OUTCOMES = ("reserved", "replay", "conflict", "reserve_error", "finalize_error")
LANES = {"lane": "reads"}, {"lane": "http"}
RUNS = "worker_runs_total"
# row of the runbooks, processes, name, its labels, and what must be there before anything has happened
ROWS: tuple[tuple[str, tuple[str, ...], str, str, tuple[Mapping[str, str], ...]], ...] = (
    ("S1-04", EVERYWHERE, "http_request_duration_seconds_count", "method path status", ()),
    ("S1-05", EVERYWHERE, "idempotency_events_total", "outcome", tuple({"outcome": each} for each in OUTCOMES)),
    ("S1-06", ("payout_orchestrator",), "payout_manual_review_queue_size", "", ({},)),
    ("S1-07", ("payout_orchestrator",), "payout_manual_review_transitions_total", "action",
     tuple({"action": each} for each in ("queued", "confirm_sent", "refund_failed", "retry", "mark-reviewed"))),
    ("S1-08 S1-13", ("payout_orchestrator",), RUNS, "worker result",
     tuple({"worker": "payout", "result": each} for each in ("success", "failed"))),
    ("S1-08 S1-15", ("reconciliation",), RUNS, "worker result",
     tuple({"worker": "reconciliation", "result": each} for each in ("success", "failed"))),
    ("S1-09", ("ledger",), "ledger_imbalance_total", "currency", ({"currency": "ETB"}, {"currency": "GBP"})),
    ("S3-18", EVERYWHERE, "http_requests_total", "method route status",
     ({"method": "GET", "route": "/healthz", "status": "200"},)),
    ("S3-19 S3-46", ("payout_orchestrator",), "payout_attempts_total", "provider result",
     tuple({"provider": "sandbox-bank", "result": each} for each in ("SENT", "REFUSED", "FAILED", "UNKNOWN"))),
    ("S3-20 S3-40", ("payout_orchestrator", "deposit_watcher"), "webhook_events_total",
     "provider signature_valid applied",
     tuple({"provider": who, "signature_valid": "false", "applied": "false"} for who in ("sandbox-bank", "unknown"))),
    ("S3-21", EVERYWHERE, "idempotency_replays_total", "", ({},)),
    ("S3-58", EVERYWHERE, "corridor_db_pool_size", "lane", LANES),
    ("S3-58", EVERYWHERE, "corridor_db_pool_in_use", "lane", LANES),
    ("S3-58", EVERYWHERE, "corridor_db_pool_waiting", "lane", LANES),
    ("S3-58", EVERYWHERE, "corridor_db_pool_timeouts_total", "lane", LANES),
)  # fmt: skip
STORY = {  # services whose events a deposit leads to, and the table of each
    "deposit": "deposit.confirmed", "transfer": "transfer.payout_completed", "payout": "payout.confirmed",
    "ledger": "ledger.entry_posted",
}  # fmt: skip


EXPECTED = """
    SELECT 1 FROM deposit.event WHERE event_type = 'corridor.deposit.expected.v1'
    AND convert_from(data, 'UTF8')::jsonb ->> 'transfer_id' = $1"""


@dataclass
class Live:
    """The system, and what its outside has seen."""

    system: System
    seen: Seen
    spoilt: list[str] = field(default_factory=list)  # answers of the bank that were replaced by canaries

    @property
    def home(self) -> Home:
        return self.system.home

    def exposition(self, service: str) -> str:
        installation = self.system.installation
        url = installation.url("core_api_internal" if service == "core_api" else service)
        status, body = ask("GET", f"{url}/metrics")
        assert status == 200
        return body.decode()

    def call(self, method: str, path: str, body: Any = None, who: str = "customer", **headers: str) -> dict[str, Any]:
        sent = {"Authorization": f"Bearer {self.system.facts.tokens[who]}", "Idempotency-Key": str(uuid4())} | headers
        raw = b"" if body is None else json.dumps(body).encode()
        status, answer = ask(
            method, self.system.facts.base_url + path, raw, sent | {"Content-Type": "application/json"}
        )
        assert status < 300, (status, path, answer)
        return dict(json.loads(answer))

    def deposit(self, opened: Mapping[str, Any], **headers: str) -> int:
        body = json.dumps({
            "reference": f"{uuid4()}", "route": opened["route"], "amount_minor": int(opened["send_minor"]),
            "currency": opened["send_currency"], "booked_at": datetime.now(UTC).isoformat(),
        }).encode()  # fmt: skip
        key = self.system.installation.webhook_key
        signed = {
            HEADER: sign(key["secret"], key["key_id"], body, int(time.time())),
            "Content-Type": "application/json",
        }
        return ask("POST", f"{self.system.facts.base_url}/v1/webhooks/deposit", body, signed | headers)[0]

    def fetch(self, sql: str, *values: Any) -> list[Any]:
        async def read() -> list[Any]:
            connection = await asyncpg.connect(self.system.facts.oncall_database_url)
            try:
                return list(await connection.fetch(sql, *values))
            finally:
                await connection.close()

        return asyncio.run(read())


@pytest.fixture(scope="module")
def live(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Live]:
    home, seen, port = Home(tmp_path_factory.mktemp("signals") / "var"), Seen(), free_port()
    spoilt: list[str] = []

    def spoil(path: str) -> bytes | None:
        if not spoilt and path.endswith("/status"):
            return None
        return spoilt.pop().encode() if spoilt else None

    with collector(seen) as otlp, between(seen, lambda: f"http://127.0.0.1:{port}", spoil) as bank:
        everybody = {"OTEL_EXPORTER_OTLP_ENDPOINT": otlp, "OTEL_BSP_SCHEDULE_DELAY": "200", "LOG_LEVEL": "debug"}
        quick = {"BANK_URL": bank, "PAYOUT_FIRST_POLL_SECONDS": "1"}
        system = System(home, "embedded", overrides={"*": everybody, "payout_orchestrator": quick})
        with pytest.MonkeyPatch.context() as patched:
            patched.setenv("SANDBOX_PORT", str(port))
            try:
                system.start()
                yield Live(system, seen, spoilt)
            finally:
                system.stop()
                leftovers.end_all(home)


def until(holds: Callable[[], bool]) -> None:
    end = time.monotonic() + SECONDS
    while not holds():
        assert time.monotonic() < end, "it did not come to hold"
        time.sleep(0.1)


def person(live: Live, kind: str, country: str, name: str, **more: str) -> str:
    profile = live.call("POST", "/v1/profiles", {"kind": kind, "country": country, "name": name} | more)
    verdict = {"verdict": "approved", "reason": "documents seen"}
    live.call("POST", f"/v1/profiles/{profile['profile_id']}/kyc", verdict, who="operator")
    return str(profile["profile_id"])


def opened(live: Live) -> dict[str, Any]:
    """A transfer that waits for its money."""
    sender = person(live, "sender", "GB", CANARIES["name"])
    receiver = person(live, "receiver", "ET", CANARIES["receiver"], account=CANARIES["account"])
    quote = live.call("POST", "/v1/quotes", {"corridor": "GB-ET", "send_minor": 20_000, "send_currency": "GBP"})
    wish = {"quote_id": quote["quote_id"], "sender_id": sender, "receiver_id": receiver}
    return live.call("POST", "/v1/transfers", wish)


def paid(live: Live, transfer_id: str) -> bool:
    return bool(live.call("GET", f"/v1/transfers/{transfer_id}")["state"] == "PAYOUT_COMPLETED")


@pytest.mark.parametrize("row", ROWS, ids=lambda row: f"{row[0]} {row[2]}")
def test_every_metric_of_the_runbooks_is_there_by_its_name_and_labels(live: Live, row: Any) -> None:
    _, services, name, labels, expected = row
    for service in services:
        found = series_of(live.exposition(service)).get(name, {})
        assert found, f"{service} has no {name}"
        assert {frozenset(label for label, _ in each) for each in found} == {frozenset(labels.split())}, service
        missing = [each for each in expected if frozenset(each.items()) not in found]
        assert missing == [], service


@pytest.mark.skipif(shutil.which("promtool") is None, reason="needs promtool (Debian: apt-get install prometheus)")
@pytest.mark.parametrize("service", [*SERVICES, "sandbox"])
def test_promtool_has_nothing_to_say_about_an_exposition(live: Live, service: str) -> None:
    checked = subprocess.run(
        ["promtool", "check", "metrics"], input=live.exposition(service), capture_output=True, text=True, check=False
    )
    assert (checked.returncode, checked.stdout + checked.stderr) == (0, "")


def test_all_processes_together_need_fewer_sessions_than_the_server_has(live: Live) -> None:
    needed = {service: sessions_of(live.exposition(service)) for service in SERVICES}
    assert min(needed.values()) >= 5
    assert asyncio.run(room(live.system.facts.oncall_database_url)).fault(needed) is None
    held = live.fetch(
        "SELECT split_part(application_name, ' ', 2) AS service, count(*) FROM pg_stat_activity "
        "WHERE application_name LIKE 'corridor %' GROUP BY 1"
    )
    assert {row["service"] for row in held} == set(SERVICES)
    assert [row["service"] for row in held if row["count"] > needed[row["service"]]] == []


def test_one_trace_goes_from_the_deposit_to_the_bank_and_to_the_books(live: Live) -> None:
    transfer = opened(live)
    until(
        lambda: bool(live.fetch(EXPECTED, transfer["transfer_id"]))
    )  # else the money waits, and the route's story goes on
    assert live.deposit(transfer, traceparent=f"00-{TRACE}-00f067aa0ba902b7-01") == 200
    until(lambda: paid(live, transfer["transfer_id"]))
    query = "SELECT event_type FROM {}.event WHERE convert_from(meta, 'UTF8')::jsonb ->> 'traceparent' LIKE '00-{}-%'"
    for schema, last in STORY.items():
        until(lambda schema=schema, last=last: any(  # type: ignore[misc]
            row[0].startswith(f"corridor.{last.rpartition('.')[0]}") for row in live.fetch(query.format(schema, TRACE))
        ))  # fmt: skip
    submitted = [headers for path, headers in live.seen.requests if path == "/bank/payments/bulk"]
    assert any(TRACE in headers.get("traceparent", "") for headers in submitted)
    wanted = {
        ("core_api", "POST /v1/webhooks/deposit"), ("deposit_watcher", "POST /v1/webhooks/deposit"),
        ("deposit_watcher", "send"), ("transfer", "process transfer"), ("transfer", "send"),
        ("payout_orchestrator", "process payout_orchestrator"), ("payout_orchestrator", "call submit"),
        ("ledger", "process ledger"),
    }  # fmt: skip

    def told() -> set[tuple[str, str]]:
        return {(span.service, span.name) for span in live.seen.spans if TRACE in {span.trace_id, *span.links}}

    until(lambda: wanted <= told() or _show(wanted - told()))
    ids = {span.span_id for span in live.seen.spans if span.trace_id == TRACE}
    inside = [span for span in live.seen.spans if span.trace_id == TRACE and span.parent_id in ids]
    assert len(inside) >= 2, "steps are told after each other"


def _show(missing: set[tuple[str, str]]) -> bool:
    print("not yet:", sorted(missing))
    return False


def test_what_strangers_and_operators_plant_is_in_no_log(live: Live) -> None:
    plant(live.system)
    asyncio.run(plant_on_kafka(live.system))
    live.spoilt.append(EVERYTHING)
    transfer = opened(live)
    assert live.deposit(transfer) == 200
    until(lambda: not live.spoilt)
    live.system.kill(POSTGRES)  # every service says that the database is away
    live.system.wait_ready()
    until(lambda: paid(live, opened_and_paid_in(live)))
    assert betrayed(live.home.log, CANARIES | secrets_of(live.system)) == []


def opened_and_paid_in(live: Live, known: dict[str, str] = {}) -> str:  # noqa: B006 - one for the test
    if "id" not in known:
        transfer = opened(live)
        assert live.deposit(transfer) == 200
        known["id"] = transfer["transfer_id"]
    return known["id"]
