"""The bank's adapter against a real HTTP server: every rung of the error map."""

import asyncio
import json
import socket
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import aiohttp
import pytest
from aiohttp import web

from services.kernel.money import Money, iso4217
from services.payout_orchestrator.adapters import bank
from services.payout_orchestrator.ports import (
    Accepted,
    Deferred,
    Instruction,
    NotKnown,
    Pending,
    Refused,
    Settled,
    Unknown,
)
from tests.support.bank import ONE, SETTLED, result

ETB = iso4217("ETB")
TWO = UUID(int=2)
SETTLED_AT = datetime(2026, 3, 1, 12, tzinfo=UTC)

Handler = Callable[[web.Request], Awaitable[web.StreamResponse]]


@dataclass
class Bank:
    """Answers every request with `reply`, and remembers what it was asked."""

    url: str = ""
    reply: Handler | None = None
    asked: list[tuple[str, str | None, Any]] = field(default_factory=list)

    async def serve(self, request: web.Request) -> web.StreamResponse:
        self.asked.append((request.path, request.headers.get("Authorization"), await request.json()))
        assert self.reply is not None
        return await self.reply(request)

    def answers(self, *results: Any, status: int = 200) -> None:
        self.says(json.dumps({"results": results}).encode(), status=status)

    def says(self, body: bytes = b"", *, status: int = 200, headers: dict[str, str] | None = None) -> None:
        async def reply(request: web.Request) -> web.StreamResponse:
            return web.Response(status=status, body=body, headers=headers, content_type="application/json")

        self.reply = reply


@pytest.fixture
async def partner() -> AsyncIterator[Bank]:
    served = Bank()
    app = web.Application()
    app.router.add_post("/bank/payments/{call}", served.serve)
    runner = web.AppRunner(app, shutdown_timeout=0.1)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    served.url = f"http://127.0.0.1:{runner.addresses[0][1]}"
    yield served
    await runner.cleanup()


@pytest.fixture
async def session() -> AsyncIterator[aiohttp.ClientSession]:
    async with aiohttp.ClientSession() as opened:
        yield opened


@pytest.fixture
def rail(partner: Bank, session: aiohttp.ClientSession) -> bank.BankRail:
    return bank.BankRail(session, partner.url + "/", "s3cret", timeout_seconds=1)


def instruction(payout_id: UUID = ONE) -> Instruction:
    return Instruction(
        payout_id=payout_id, amount=Money(2_000_000, ETB), creditor_name="Abebe Bikila", creditor_account="ET01",
        remittance_information="transfer",
    )  # fmt: skip


async def submitted(rail: bank.BankRail) -> Any:
    (verdict,) = await rail.submit([instruction()])
    return verdict


async def asked(rail: bank.BankRail) -> Any:
    (verdict,) = await rail.status([ONE])
    return verdict


# what is sent


async def test_payments_go_out_in_one_request_as_the_bank_wants_them(rail: bank.BankRail, partner: Bank) -> None:
    partner.answers(result(), result(TWO))
    await rail.submit([instruction(), instruction(TWO)])
    ((path, authorization, body),) = partner.asked
    assert (path, authorization) == ("/bank/payments/bulk", "Bearer s3cret")
    assert [one["end_to_end_id"] for one in body["payments"]] == [str(ONE), str(TWO)]
    assert body["payments"][0] == {
        "end_to_end_id": str(ONE), "amount_minor": 2_000_000, "currency": "ETB", "creditor_name": "Abebe Bikila",
        "creditor_account": "ET01", "remittance_information": "transfer",
    }  # fmt: skip


async def test_questions_go_out_in_one_request(rail: bank.BankRail, partner: Bank) -> None:
    partner.answers()
    await rail.status([ONE, TWO])
    assert partner.asked == [
        ("/bank/payments/status", "Bearer s3cret", {"end_to_end_ids": [str(ONE), str(TWO)]}),
    ]


async def test_no_request_is_larger_than_the_bank_allows(rail: bank.BankRail, partner: Bank) -> None:
    partner.answers()
    verdicts = await rail.submit([instruction(uuid4()) for _ in range(501)])
    assert sorted(len(body["payments"]) for _, _, body in partner.asked) == [1, 500]
    assert len(verdicts) == 501


async def test_nothing_to_send_is_not_sent(rail: bank.BankRail, partner: Bank) -> None:
    assert (list(await rail.submit([])), list(await rail.status([])), partner.asked) == ([], [], [])


# good answers to a submission


@pytest.mark.parametrize("status", ["ACCP", "ACSP", "PDNG"])
async def test_in_progress_is_accepted(rail: bank.BankRail, partner: Bank, status: str) -> None:
    partner.answers(result(status=status))
    assert await submitted(rail) == Accepted(status, "B-1")


async def test_rejected_is_refused_with_the_code_as_received(rail: bank.BankRail, partner: Bank) -> None:
    partner.answers(result(status="RJCT", reason_code="AC04", reference=None))
    assert await submitted(rail) == Refused("AC04")


async def test_rejected_without_a_code_is_still_refused(rail: bank.BankRail, partner: Bank) -> None:
    partner.answers(result(status="RJCT", reference=None))
    assert await submitted(rail) == Refused("none given")


async def test_rejected_as_a_duplicate_is_unknown_because_the_first_one_may_be_paid(
    rail: bank.BankRail, partner: Bank
) -> None:
    partner.answers(result(status="RJCT", reason_code="DUPL"))
    assert await submitted(rail) == Unknown("duplicate")


async def test_answers_are_matched_by_id_and_not_by_place(rail: bank.BankRail, partner: Bank) -> None:
    partner.answers(result(uuid4()), result(TWO, reference="second"), result(ONE, reference="first"))
    verdicts = await rail.submit([instruction(), instruction(TWO)])
    assert list(verdicts) == [Accepted("ACSP", "first"), Accepted("ACSP", "second")]


# wrong content: unknown for that item alone


@pytest.mark.parametrize(
    "wrong",
    [
        result(status="ACSC"), result(status="WHAT"), result(reference=None), result(reference=7), {"status": "ACSP"},
        result(status="x" * 141), "text", None,
    ],
)  # fmt: skip
async def test_an_item_that_cannot_be_used_leaves_its_neighbour_alone(
    rail: bank.BankRail, partner: Bank, wrong: Any
) -> None:
    partner.answers(wrong, result(TWO))
    first, second = await rail.submit([instruction(), instruction(TWO)])
    assert isinstance(first, Unknown)
    assert second == Accepted("ACSP", "B-1")


async def test_a_payment_missing_in_the_answer_is_unknown(rail: bank.BankRail, partner: Bank) -> None:
    partner.answers(result(TWO))
    first, second = await rail.submit([instruction(), instruction(TWO)])
    assert (first, second) == (Unknown("missing in the answer"), Accepted("ACSP", "B-1"))


async def test_two_different_answers_about_one_payment_are_none(rail: bank.BankRail, partner: Bank) -> None:
    partner.answers(result(), result(status="RJCT", reason_code="AC04"), result())
    assert await submitted(rail) == Unknown("two answers")


async def test_the_same_answer_twice_is_one(rail: bank.BankRail, partner: Bank) -> None:
    partner.answers(result(), result())
    assert await submitted(rail) == Accepted("ACSP", "B-1")


# wrong answers as a whole


@pytest.mark.parametrize(
    "body",
    [b"", b"{", b"null", b"[]", b"{}", b'{"results": 7}', b"<html>", b"\xff\xfe", b"[" * 100_000, b'{"results": [' * 9],
)
async def test_a_2xx_with_another_content_is_unknown(rail: bank.BankRail, partner: Bank, body: bytes) -> None:
    partner.says(body)
    assert await submitted(rail) == Unknown("answer unreadable")


async def test_an_endless_answer_is_unknown(rail: bank.BankRail, partner: Bank) -> None:
    partner.says(b" " * (bank.ANSWER_BYTES_MAX + 1))
    assert isinstance(await submitted(rail), Unknown)


async def test_an_answer_of_the_longest_length_is_read(rail: bank.BankRail, partner: Bank) -> None:
    body = json.dumps({"results": [result()]}).encode()
    partner.says(body.ljust(bank.ANSWER_BYTES_MAX))
    assert await submitted(rail) == Accepted("ACSP", "B-1")


@pytest.mark.parametrize("status", [201, 202])
async def test_any_2xx_with_the_content_counts(rail: bank.BankRail, partner: Bank, status: int) -> None:
    partner.answers(result(), status=status)
    assert await submitted(rail) == Accepted("ACSP", "B-1")


@pytest.mark.parametrize("status", [400, 401, 403, 404, 405, 413, 415, 422, 429])
async def test_a_refusal_of_the_whole_call_is_provably_not_accepted(
    rail: bank.BankRail, partner: Bank, status: int
) -> None:
    partner.says(status=status)
    assert await submitted(rail) == Deferred(f"HTTP {status}")


@pytest.mark.parametrize("status", [302, 408, 409, 425, 500, 502, 503, 504])
async def test_any_other_status_is_unknown(rail: bank.BankRail, partner: Bank, status: int) -> None:
    partner.says(status=status, headers={"Location": "/elsewhere"})
    assert await submitted(rail) == Unknown(f"HTTP {status}")


async def test_unavailable_with_a_time_to_come_back_is_deferred_until_then(rail: bank.BankRail, partner: Bank) -> None:
    partner.says(status=503, headers={"Retry-After": "17"})
    assert await submitted(rail) == Deferred("HTTP 503", 17)


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("3600", 3600), ("3601", 3600), ("Wed, 21 Oct 2026 07:28:00 GMT", 0), ("-1", 0), ("9" * 5000, 0), ("", 0)],
)
async def test_a_time_to_come_back_is_bounded(rail: bank.BankRail, partner: Bank, text: str, seconds: int) -> None:
    partner.says(status=429, headers={"Retry-After": text})
    assert await submitted(rail) == Deferred("HTTP 429", seconds)


async def test_a_whole_bulk_gets_the_verdict_of_its_call(rail: bank.BankRail, partner: Bank) -> None:
    partner.says(status=500)
    assert list(await rail.submit([instruction(), instruction(TWO)])) == [Unknown("HTTP 500")] * 2


# one bad payment among many


@pytest.fixture
def patient(partner: Bank, session: aiohttp.ClientSession) -> bank.BankRail:
    return bank.BankRail(session, partner.url, "s3cret", timeout_seconds=60)


def refusing(partner: Bank, status: int, *culprits: UUID, headers: dict[str, str] | None = None) -> None:
    """The bank refuses every bulk that holds one of these."""
    bad = {str(each) for each in culprits}

    async def reply(request: web.Request) -> web.StreamResponse:
        ids = [one["end_to_end_id"] for one in (await request.json())["payments"]]
        if bad & set(ids):
            return web.Response(status=status, headers=headers)
        return web.json_response({"results": [result(UUID(each)) for each in ids]})

    partner.reply = reply


MANY = [instruction(UUID(int=n)) for n in range(1, 501)]
GONE = Accepted("ACSP", "B-1")


@pytest.mark.parametrize("status", [400, 413, 422])
async def test_a_bulk_refused_for_what_is_in_it_is_halved_down_to_the_culprit(
    patient: bank.BankRail, partner: Bank, status: int
) -> None:
    refusing(partner, status, UUID(int=300))
    verdicts = list(await patient.submit(MANY))
    assert verdicts[299] == Deferred(f"HTTP {status}")
    assert verdicts[:299] + verdicts[300:] == [GONE] * 499
    assert len(partner.asked) <= 19


async def test_each_payment_is_in_the_hands_of_the_bank_once(patient: bank.BankRail, partner: Bank) -> None:
    refusing(partner, 422, UUID(int=2))
    await patient.submit(MANY[:4])
    sizes = [len(body["payments"]) for _, _, body in partner.asked]
    assert sizes == [4, 2, 2, 1, 1]


async def test_halving_ends_and_what_is_left_is_deferred(patient: bank.BankRail, partner: Bank) -> None:
    refusing(partner, 400, *(one.payout_id for one in MANY))
    assert list(await patient.submit(MANY)) == [Deferred("HTTP 400")] * 500
    assert len(partner.asked) == bank.REQUESTS_MAX


@pytest.mark.parametrize("status", [401, 403, 404, 429, 500])
async def test_a_bulk_refused_for_another_reason_is_not_halved(
    patient: bank.BankRail, partner: Bank, status: int
) -> None:
    refusing(partner, status, ONE)
    await patient.submit(MANY)
    assert len(partner.asked) == 1


async def test_a_bank_that_names_a_time_to_come_back_is_not_asked_again_before(
    patient: bank.BankRail, partner: Bank
) -> None:
    refusing(partner, 413, ONE, headers={"Retry-After": "9"})
    assert list(await patient.submit(MANY)) == [Deferred("HTTP 413", 9)] * 500
    assert len(partner.asked) == 1


async def test_halving_stays_within_the_time_of_one_call(rail: bank.BankRail, partner: Bank) -> None:
    async def slow(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(0.3)
        return web.Response(status=400)

    partner.reply = slow
    began = asyncio.get_running_loop().time()
    assert list(await rail.submit(MANY)) == [Deferred("HTTP 400")] * 500
    assert asyncio.get_running_loop().time() - began < 1.0 + 0.3
    assert len(partner.asked) in (1, 2)


# the line


async def test_a_refused_connection_is_provably_not_accepted(session: aiohttp.ClientSession) -> None:
    with socket.socket() as taken:  # bound and never listening: nobody else can listen there meanwhile
        taken.bind(("127.0.0.1", 0))
        away = bank.BankRail(session, f"http://127.0.0.1:{taken.getsockname()[1]}", "key", timeout_seconds=1)
        assert await submitted(away) == Deferred("not connected: ClientConnectorError", unsent=True)


async def test_a_name_that_does_not_resolve_is_provably_not_sent(session: aiohttp.ClientSession) -> None:
    away = bank.BankRail(session, "http://bank.invalid", "key", timeout_seconds=5)
    verdict = await submitted(away)
    assert isinstance(verdict, Deferred)
    assert verdict.unsent


async def test_a_handshake_that_fails_is_provably_not_sent(partner: Bank, session: aiohttp.ClientSession) -> None:
    plain = bank.BankRail(session, partner.url.replace("http:", "https:"), "key", timeout_seconds=5)
    assert await submitted(plain) == Deferred("not connected: ClientConnectorSSLError", unsent=True)
    assert partner.asked == []


async def test_a_handshake_that_hangs_is_provably_not_sent_however_short_the_time_of_a_call(
    session: aiohttp.ClientSession,
) -> None:
    with socket.socket() as mute:  # the kernel accepts, nobody answers
        mute.bind(("127.0.0.1", 0))
        mute.listen()
        hanging = bank.BankRail(session, f"https://127.0.0.1:{mute.getsockname()[1]}", "key", timeout_seconds=1)
        assert await submitted(hanging) == Deferred("not connected: ConnectionTimeoutError", unsent=True)


async def test_what_left_us_in_a_bulk_has_left_us_though_its_half_cannot_be_sent(
    patient: bank.BankRail, partner: Bank, monkeypatch: pytest.MonkeyPatch
) -> None:
    post, answers = patient._post, iter([None, Deferred("not connected", unsent=True), None])

    async def once_away(*arguments: Any) -> Any:
        return next(answers) or await post(*arguments)

    monkeypatch.setattr(patient, "_post", once_away)
    refusing(partner, 422, ONE)
    assert list(await patient.submit(MANY[:2])) == [Deferred("not connected"), GONE]


async def test_a_timeout_after_sending_is_unknown(rail: bank.BankRail, partner: Bank) -> None:
    async def hang(request: web.Request) -> web.StreamResponse:
        await asyncio.sleep(5)
        return web.Response()

    partner.reply = hang
    assert await submitted(rail) == Unknown("no answer: TimeoutError")


async def cut(request: web.Request) -> web.StreamResponse:
    assert request.transport is not None
    request.transport.abort()
    return web.Response()


async def test_a_reset_after_sending_is_unknown(rail: bank.BankRail, partner: Bank) -> None:
    partner.reply = cut
    assert isinstance(await submitted(rail), Unknown)


async def test_a_reset_on_a_kept_connection_is_unknown_and_not_sent_again_by_the_client(
    rail: bank.BankRail, partner: Bank
) -> None:
    partner.answers(result())
    assert await submitted(rail) == Accepted("ACSP", "B-1")
    partner.reply = cut
    assert isinstance(await submitted(rail), Unknown)
    assert len(partner.asked) == 2


async def test_a_cut_answer_is_unknown(rail: bank.BankRail, partner: Bank) -> None:
    async def half(request: web.Request) -> web.StreamResponse:
        response = web.StreamResponse(headers={"Content-Length": "500"})
        await response.prepare(request)
        await response.write(b'{"results": [')
        assert request.transport is not None
        request.transport.close()
        return response

    partner.reply = half
    assert await submitted(rail) == Unknown("no answer: ClientPayloadError")


# answers to a question


async def test_settled_carries_amount_reference_and_time(rail: bank.BankRail, partner: Bank) -> None:
    partner.answers(SETTLED)
    assert await asked(rail) == Settled(Money(2_000_000, ETB), "B-1", SETTLED_AT)


async def test_settled_may_come_without_a_time(rail: bank.BankRail, partner: Bank) -> None:
    partner.answers({name: value for name, value in SETTLED.items() if name != "settled_at"} | {"status": "ACCC"})
    assert await asked(rail) == Settled(Money(2_000_000, ETB), "B-1", None)


@pytest.mark.parametrize("status", ["ACSP", "ACCP", "PDNG"])
async def test_in_progress_is_pending(rail: bank.BankRail, partner: Bank, status: str) -> None:
    partner.answers(result(status=status))
    assert await asked(rail) == Pending(status, "B-1")


async def test_not_found_is_not_known(rail: bank.BankRail, partner: Bank) -> None:
    partner.answers({"end_to_end_id": str(ONE), "status": "NOT_FOUND"})
    assert await asked(rail) == NotKnown()


async def test_rejected_when_asked_is_refused(rail: bank.BankRail, partner: Bank) -> None:
    partner.answers(result(status="RJCT", reason_code="AM04"))
    assert await asked(rail) == Refused("AM04")


@pytest.mark.parametrize(
    "wrong",
    [
        {"amount_minor": None}, {"amount_minor": -1}, {"amount_minor": 10**16}, {"amount_minor": 2_000_000.0},
        {"amount_minor": "2000000"}, {"currency": None}, {"currency": "etb"}, {"currency": "XXX"}, {"reference": None},
        {"settled_at": "2026-03-01T12:00:00"}, {"settled_at": "yesterday"}, {"status": "WHAT"},
    ],
)  # fmt: skip
async def test_settled_without_a_usable_amount_is_not_settled(
    rail: bank.BankRail, partner: Bank, wrong: dict[str, Any]
) -> None:
    partner.answers(SETTLED | wrong)
    assert isinstance(await asked(rail), Unknown)


async def test_no_answer_to_a_question_is_unknown(rail: bank.BankRail, partner: Bank) -> None:
    partner.says(status=500)
    assert await asked(rail) == Unknown("HTTP 500")
