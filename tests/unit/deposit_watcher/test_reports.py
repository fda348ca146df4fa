"""A partner's report, from its bytes to what is kept of it: over HTTP, in bulk, and on the partners' topic."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from contextlib import suppress
from dataclasses import dataclass
from typing import Any
from uuid import UUID

import pytest

from contracts.deposit.v1 import DepositReferenceMismatched
from contracts.topics import PARTNER_DEPOSITS
from services.deposit_watcher import api, handlers
from services.deposit_watcher.api.reports import Reports, Source
from services.deposit_watcher.domain.states import Deadlines
from services.kernel.budget import REFUSED_BYTES_PER_HOUR, SIGNATURE_CHARS_MAX
from services.kernel.decider import Arrival, Unit
from services.kernel.engine import Engine
from services.kernel.group_commit import GroupCommit
from services.kernel.memory import MemoryStore
from services.kernel.poll import Record
from services.kernel.problem import Problem
from services.kernel.routing import WEBHOOK_BYTES_MAX
from services.kernel.settings import Secret, SharedKey
from services.kernel.store import Unavailable
from services.kernel.vault_arrivals import STRANGERS, ArrivalKeys
from services.kernel.vault_keys import MemoryKeys
from services.kernel.webhook import HEADER, TOLERANCE_SECONDS, Verifier, header_of
from tests.support.fakes import Clock, Ids, Sealing
from tests.unit.deposit_watcher.samples import ROUTE

NOW = 1_772_443_800
KEY = SharedKey("sandbox-bank", "k1", Secret("0123456789abcdef0123456789abcdef"))
GOOD = {"reference": "R1", "route": ROUTE, "amount_minor": 100_00, "currency": "GBP", "booked_at": "2026-03-02T09:30Z"}
OTHER = GOOD | {"amount_minor": 99_00}
SEALING = Sealing("sandbox-bank")


def reports() -> Reports:
    return Reports(Verifier([KEY]), "main", lambda: NOW, SEALING.keys.seal)


def signed(body: bytes, at: int = NOW) -> tuple[str, bytes]:
    return HEADER, header_of(KEY, body, at).encode()


def read(body: bytes, *headers: tuple[str, bytes], by: Reports | None = None) -> Unit:
    record = Record(PARTNER_DEPOSITS.name, 0, 7, None, body, headers)
    return api.on_partner_record(by or reports(), 1)(record)


def kept(unit: Unit) -> Arrival:
    assert unit.arrival is not None
    return unit.arrival


def bytes_of(unit: Unit) -> bytes:
    """The body of its arrival, opened."""
    arrival = kept(unit)
    return SEALING.opened(arrival.arrival_id, arrival.source, arrival.body, arrival.headers)[0]


# the partners' topic


@pytest.mark.parametrize("age", [0, TOLERANCE_SECONDS + 1, 30 * 86_400])
def test_a_record_counts_however_long_it_waited_on_the_topic(age: int) -> None:
    body = json.dumps(GOOD).encode()
    unit = read(body, signed(body, NOW - age))
    assert len(unit.asks) == 1
    assert kept(unit).verdict == "accepted"


@pytest.mark.parametrize(("age", "counts"), [(TOLERANCE_SECONDS, True), (TOLERANCE_SECONDS + 1, False)])
def test_over_http_a_signature_ages(age: int, counts: bool) -> None:
    body = json.dumps(GOOD).encode()
    judged = reports().single(Source("webhook", header_of(KEY, body, NOW - age), body, UUID(int=1)))
    assert (judged.refused is None) is counts


def test_a_record_with_a_wrong_signature_is_refused_and_kept() -> None:
    unit = read(b"{}", signed(b"other"))
    assert unit.asks == ()
    assert (kept(unit).verdict, bytes_of(unit)) == ("invalid_signature:wrong", b"{}")


def test_two_signatures_on_a_record_are_none() -> None:
    body = json.dumps(GOOD).encode()
    unit = read(body, signed(body), (HEADER.title(), b"another"))
    assert kept(unit).verdict == "invalid_signature:missing"


def test_no_record_is_lost_to_the_budget_of_refused_arrivals() -> None:
    by, body = reports(), b" " * WEBHOOK_BYTES_MAX
    for _ in range(REFUSED_BYTES_PER_HOUR // WEBHOOK_BYTES_MAX + 1):
        assert bytes_of(read(body, by=by)) == body


def test_over_http_refused_arrivals_are_kept_within_their_budget() -> None:
    by, body = reports(), b" " * WEBHOOK_BYTES_MAX
    units = [by.single(Source("webhook", None, body, UUID(int=n))).units for n in range(5)]
    assert [len(each) for each in units] == [1, 1, 1, 0, 0]  # the headers and the row cost, too


def test_a_stranger_who_knows_a_key_id_does_not_use_up_the_partners_budget() -> None:
    by, body = reports(), b" " * WEBHOOK_BYTES_MAX
    forged = header_of(KEY, b"another body", NOW)
    strangers = [by.single(Source("webhook", forged, body, UUID(int=n))).units for n in range(4)]
    assert [len(each) for each in strangers] == [1, 1, 1, 0]
    (unit,) = by.single(Source("webhook", header_of(KEY, body, NOW), body, UUID(int=9))).units
    assert (kept(unit).source, kept(unit).verdict) == ("sandbox-bank", "invalid_body")


@pytest.mark.parametrize("transport", ["webhook", "kafka"])
def test_of_a_malformed_signature_only_the_beginning_is_kept(transport: str) -> None:
    (unit,) = reports().single(Source(transport, "\xff" * 15_000, b"{}", UUID(int=1))).units
    arrival = kept(unit)
    headers = SEALING.opened(arrival.arrival_id, arrival.source, arrival.body, arrival.headers)[1]
    assert json.loads(headers) == {HEADER: "\xff" * SIGNATURE_CHARS_MAX}


def test_a_record_that_is_too_large_is_parked_whole() -> None:
    read(b" " * WEBHOOK_BYTES_MAX)
    with pytest.raises(api.RecordTooLarge):  # what a reader raises, the consumer parks with the record's bytes
        read(b" " * (WEBHOOK_BYTES_MAX + 1))


# in bulk


@dataclass
class Door:
    """The door over a store in memory."""

    store: MemoryStore
    deposits: api.Deposits
    new_id: Ids

    async def receives(self, *items: Any) -> list[tuple[int, Any]]:
        body = json.dumps({"deposits": items}).encode()
        response = await self.deposits.report_all(Source("webhook", header_of(KEY, body, NOW), body, UUID(int=99)))
        results = json.loads(bytes(response.body))["results"]
        assert [each["index"] for each in results] == list(range(len(items)))
        return [(each["status"], each["body"]) for each in results]

    async def receives_one(self, report: Any) -> tuple[int, Any]:
        body = json.dumps(report).encode()
        response = await self.deposits.report(Source("webhook", header_of(KEY, body, NOW), body, self.new_id()))
        return response.status_code, json.loads(bytes(response.body))

    def verdicts(self) -> list[str]:
        return [row[6] for row in self.store.tables.arrivals.values()]

    def opened(self) -> list[tuple[bytes, bytes]]:
        rows = self.store.tables.arrivals.values()
        return [SEALING.opened(row[0], row[2], row[4], row[5]) for row in rows]

    def said(self, event: type) -> int:
        return [each.event_type for each in self.store.tables.events].count(event.type)  # type: ignore[attr-defined]

    def claims(self) -> list[str]:
        return sorted(namespace for _, namespace, _ in self.store.tables.claims)


@pytest.fixture
async def door() -> AsyncIterator[Door]:
    store = MemoryStore(Clock())
    engine = Engine(store, [handlers.decider(Deadlines())], "corridor.deposit.events.v1", Ids())
    commands = GroupCommit(engine)
    running = asyncio.create_task(commands.run())
    new_id = Ids(1)
    yield Door(store, api.Deposits(commands, engine, reports(), new_id), new_id)
    running.cancel()


# what is kept is sealed


async def test_nothing_of_what_came_is_kept_in_clear_whatever_became_of_it(door: Door) -> None:
    for report in (GOOD, GOOD, OTHER, GOOD | {"currency": "QQQ"}):
        with suppress(Problem):
            await door.receives_one(report)
    await door.receives(GOOD, None)
    with pytest.raises(Problem):
        await door.deposits.report(Source("webhook", None, json.dumps(GOOD).encode(), door.new_id()))
    assert door.verdicts() == [
        "accepted", "duplicate", "reference_mismatch", "invalid_body", "batch", "duplicate", "invalid_item",
        "invalid_signature:missing",
    ]  # fmt: skip
    rows = list(door.store.tables.arrivals.values())
    for word in (b"route", b"amount_minor", ROUTE.encode(), b"kid=", HEADER.encode(), b"batch"):
        assert [row for row in rows if word in row[4] or word in row[5]] == []


async def test_each_arrival_is_read_back_as_it_came(door: Door) -> None:
    bodies = [json.dumps(report).encode() for report in (GOOD, GOOD, OTHER)]
    for body in (*bodies, b"not json"):
        source = Source("webhook", header_of(KEY, body, NOW), body, door.new_id())
        with suppress(Problem):
            await door.deposits.report(source)
    headers = [json.dumps({HEADER: header_of(KEY, body, NOW)}).encode() for body in (*bodies, b"not json")]
    assert door.opened() == list(zip((*bodies, b"not json"), headers, strict=True))


def test_a_strangers_bytes_are_sealed_with_the_strangers_key() -> None:
    unit = read(b"hello", (HEADER, b"t=1772443800,kid=nobodys,v1=" + b"0" * 64))
    assert kept(unit).source == STRANGERS
    assert bytes_of(unit) == b"hello"


@pytest.mark.parametrize("body", [b"{}", json.dumps(GOOD).encode()])
def test_nothing_is_judged_before_there_are_keys(body: bytes) -> None:
    keys = ArrivalKeys(MemoryKeys(), SEALING.wrapping, "main", ["sandbox-bank"], now=Clock())
    by = Reports(Verifier([KEY]), "main", lambda: NOW, keys.seal)
    with pytest.raises(Unavailable):  # over HTTP a 503; the consumer waits for the keys
        by.single(Source("webhook", header_of(KEY, body, NOW), body, UUID(int=1)))


# the same reference for other content

CONFLICT = "https://corridor.dev/problems/webhook/reference-mismatch"


async def test_a_conflicting_report_is_said_once_however_often_it_is_repeated(door: Door) -> None:
    await door.receives_one(GOOD)
    answers = [await door.receives_one(OTHER) for _ in range(3)]
    assert answers == [answers[0]] * 3
    assert (answers[0][0], answers[0][1]["type"]) == (409, CONFLICT)
    assert door.said(DepositReferenceMismatched) == 1
    assert door.verdicts() == ["accepted", *["reference_mismatch"] * 3]


async def test_each_other_content_is_said(door: Door) -> None:
    await door.receives_one(GOOD)
    for amount_minor in (1, 2, 1, 2):
        assert (await door.receives_one(GOOD | {"amount_minor": amount_minor}))[0] == 409
    assert door.said(DepositReferenceMismatched) == 2


async def test_a_conflict_that_is_repeated_inside_one_bulk_is_said_once(door: Door) -> None:
    results = await door.receives(GOOD, OTHER, OTHER, GOOD)
    assert [status for status, _ in results] == [200, 409, 409, 200]
    assert door.said(DepositReferenceMismatched) == 1


async def test_the_right_report_is_still_a_duplicate_after_a_conflict(door: Door) -> None:
    answers = [await door.receives_one(report) for report in (GOOD, OTHER, GOOD)]
    assert answers[2] == answers[0]
    assert door.verdicts() == ["accepted", "reference_mismatch", "duplicate"]


async def test_money_without_a_conflict_claims_its_reference_alone(door: Door) -> None:
    await door.receives_one(GOOD)
    assert door.claims() == ["deposit"]
    await door.receives_one(OTHER)
    assert door.claims() == ["deposit", "deposit-conflict"]


# in bulk, each item for itself


BAD = [
    ({**GOOD, "currency": "QQQ"}, None),
    ({**GOOD, "booked_at": "yesterday"}, {"pointer": "/booked_at", "code": "time-invalid"}),
    ({**GOOD, "colour": "red"}, {"pointer": "/colour", "code": "unknown-member"}),
    ({**GOOD, "amount_minor": 1.0}, {"pointer": "/amount_minor", "code": "type-invalid"}),
    ({**GOOD, "amount_minor": True}, {"pointer": "/amount_minor", "code": "type-invalid"}),
    ({"reference": "R1"}, {"pointer": "/route", "code": "missing"}),
    ("text", None),
    (None, None),
]


@pytest.mark.parametrize(("bad", "error"), BAD)
async def test_a_bad_report_in_a_bulk_is_refused_alone(door: Door, bad: Any, error: Any) -> None:
    first, second, third = await door.receives({**GOOD, "reference": "A"}, bad, {**GOOD, "reference": "B"})
    assert first == (200, {"reference": "A", "status": "accepted"})
    assert third == (200, {"reference": "B", "status": "accepted"})
    assert (second[0], second[1]["code"]) == (422, "WEBHOOK_BODY_INVALID")
    assert error is None or error in second[1]["errors"]


async def test_the_bytes_of_a_bulk_are_kept_once_and_each_item_with_its_verdict(door: Door) -> None:
    await door.receives(GOOD, None)
    bodies = [body for body, _ in door.opened()]
    assert door.verdicts() == ["batch", "accepted", "invalid_item"]
    assert [len(body) > 0 for body in bodies] == [True, False, False]


@pytest.mark.parametrize(
    "body",
    [
        b"[]",
        b"{}",
        b'{"deposits":[]}',
        b'{"deposits":7}',
        b'{"deposits":[{}],"more":1}',
        b'{"deposits":[{"a":1,"a":2}]}',
    ],
)
def test_a_bulk_whose_envelope_cannot_be_read_is_refused_whole(body: bytes) -> None:
    judged = reports().batch(Source("webhook", header_of(KEY, body, NOW), body, UUID(int=1)))
    assert judged.refused is not None
    assert judged.refused.status in {400, 422}
    assert [kept(unit).verdict for unit in judged.units] == ["invalid_body"]


def test_a_bulk_has_at_most_500_reports() -> None:
    for count, refused in ((500, False), (501, True)):
        body = json.dumps({"deposits": [GOOD] * count}).encode()
        judged = reports().batch(Source("webhook", header_of(KEY, body, NOW), body, UUID(int=1)))
        assert (judged.refused is not None) is refused
