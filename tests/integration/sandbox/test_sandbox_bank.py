"""The paying bank over real HTTP: what it accepts it keeps, pays once, and tells later."""

import pytest

from tests.integration.sandbox.player import Corridor, Sandbox, eventually, payment, signed_by

CALLBACK = "/v1/webhooks/payout"


def settled(sandbox: Sandbox, end_to_end_id: str) -> bool:
    return bool(sandbox.call("GET", f"/bank/payments/{end_to_end_id}")[1].get("status") == "ACSC")


def test_the_same_payment_again_gets_the_same_answer_and_is_booked_once(sandbox: Sandbox) -> None:
    one = payment()

    first, again = sandbox.submit(one), sandbox.submit(one, one)

    assert first[0]["status"] == "ACCP"
    assert again == first * 2
    assert len(sandbox.payouts()) == 1


def test_the_same_id_with_another_amount_is_refused_as_a_duplicate(sandbox: Sandbox) -> None:
    one = payment()
    sandbox.submit(one)

    (answer,) = sandbox.submit(one | {"amount_minor": 1})

    assert (answer["status"], answer["reason_code"]) == ("RJCT", "DUPL")
    assert [row["amount_minor"] for row in sandbox.payouts()] == [one["amount_minor"]]


def test_a_misshapen_item_is_refused_alone(sandbox: Sandbox) -> None:
    good = payment()

    answers = sandbox.submit(payment(amount_minor=1.5), good, payment(end_to_end_id="not a uuid"))

    assert [(one["status"], one["reason_code"]) for one in answers] == [
        ("RJCT", "FF01"),
        ("ACCP", None),
        ("RJCT", "FF01"),
    ]
    assert [row["end_to_end_id"] for row in sandbox.payouts()] == [good["end_to_end_id"]]


def test_a_status_says_what_is_booked_and_what_is_unknown(sandbox: Sandbox) -> None:
    one, unknown = payment(), payment()["end_to_end_id"]
    sandbox.submit(one)
    eventually(lambda: settled(sandbox, one["end_to_end_id"]))

    _, answer = sandbox.call("POST", "/bank/payments/status", {"end_to_end_ids": [one["end_to_end_id"], unknown]})

    assert [found["status"] for found in answer["results"]] == ["ACSC", "NOT_FOUND"]
    assert sandbox.call("GET", f"/bank/payments/{unknown}")[0] == 404


def test_the_callback_is_signed_and_comes_again_until_it_is_taken(sandbox: Sandbox, corridor: Corridor) -> None:
    corridor.script = [503, 500, 404]
    one = payment()
    (answer,) = sandbox.submit(one)

    eventually(lambda: len(corridor.heard) == 4)

    assert {signed_by(headers["x-webhook-signature"], body) for _, headers, body in corridor.heard} == {"kid-pay"}
    told = corridor.payouts()[-1]
    assert (told["status"], told["reference"]) == ("ACSC", answer["reference"])
    eventually(lambda: deliveries(sandbox).get("acknowledged_items") == 1)
    assert deliveries(sandbox)["attempts"] == 4


def test_a_bulk_is_called_back_in_one_call(sandbox: Sandbox, corridor: Corridor) -> None:
    sandbox.submit(*[payment() for _ in range(500)])

    eventually(lambda: len(corridor.payouts()) == 500)

    assert len(corridor.heard) == 1


def test_a_stranger_is_turned_away(sandbox: Sandbox) -> None:
    sandbox.call("PUT", "/config", {"api_key": "right"})

    assert sandbox.call("POST", "/bank/payments", payment(), key="wrong")[0] == 401
    assert sandbox.call("POST", "/bank/payments", payment(), key="right")[0] == 200


def test_two_payments_for_one_transfer_are_a_double_payment(sandbox: Sandbox) -> None:
    sandbox.submit(payment(remittance_information="one"), payment(remittance_information="two"))
    assert sandbox.call("GET", "/book/summary")[1]["double_paid"] == 0

    sandbox.submit(payment(remittance_information="one"))

    assert sandbox.call("GET", "/book/summary")[1]["double_paid_ids"] == ["one"]


def test_after_a_kill_the_book_is_there_and_the_callbacks_go_on(sandbox: Sandbox, corridor: Corridor) -> None:
    sandbox.call("PUT", "/config", {"settle_delay_seconds": 0.5})
    payments = [payment() for _ in range(50)]
    answers = sandbox.submit(*payments)
    sandbox.kill()
    assert corridor.heard == []

    sandbox.start()

    eventually(lambda: len(corridor.payouts()) == 50)
    assert sandbox.submit(*payments) == answers
    assert {row["status"] for row in sandbox.payouts()} == {"ACSC"}


@pytest.mark.parametrize("fault", ["drop_after_accept", "error_500", "malformed"])
def test_a_lost_answer_hides_a_payment_that_was_made(sandbox: Sandbox, fault: str) -> None:
    sandbox.fault(on="submit", fault=fault, times=1)
    one = payment()

    with pytest.raises((OSError, ValueError, AssertionError)):
        sandbox.submit(one)

    eventually(lambda: settled(sandbox, one["end_to_end_id"]))
    assert sandbox.submit(one)[0]["status"] == "ACCP"
    assert len(sandbox.payouts()) == 1


@pytest.mark.parametrize("fault", ["drop_before_accept", "error_503"])
def test_a_bank_that_did_not_take_it_knows_nothing(sandbox: Sandbox, fault: str) -> None:
    sandbox.fault(on="submit", fault=fault, times=1)

    with pytest.raises((OSError, AssertionError)):
        sandbox.submit(payment())

    assert sandbox.payouts() == []


def test_a_refusal_hits_only_the_item_that_matches(sandbox: Sandbox) -> None:
    bad = payment(creditor_account="closed")
    sandbox.fault(on="submit", fault="refuse", match={"creditor_account": "closed"}, reason_code="AC04")

    answers = sandbox.submit(payment(), bad, payment())

    assert [(one["status"], one["reason_code"]) for one in answers] == [
        ("ACCP", None),
        ("RJCT", "AC04"),
        ("ACCP", None),
    ]
    assert sandbox.call("GET", f"/bank/payments/{bad['end_to_end_id']}")[1]["status"] == "RJCT"


def test_a_delay_holds_the_answer_back(sandbox: Sandbox) -> None:
    sandbox.fault(on="submit", fault="delay", seconds=30)
    one = payment()

    with pytest.raises(OSError, match="timed out"):
        sandbox.submit(one)

    assert settled(sandbox, one["end_to_end_id"])


def test_a_spent_fault_stays_spent_after_a_kill(sandbox: Sandbox) -> None:
    sandbox.fault(on="submit", fault="refuse", times=1)
    assert sandbox.submit(payment())[0]["status"] == "RJCT"

    sandbox.kill()
    sandbox.start()

    assert sandbox.submit(payment())[0]["status"] == "ACCP"


@pytest.mark.parametrize(
    ("rule", "statuses"),
    [
        ({"fault": "duplicate_callback", "n": 2}, ["ACSC", "ACSC", "ACSC"]),
        ({"fault": "contradict"}, ["RJCT", "ACSC"]),
        ({"fault": "refuse", "reason_code": "AC04"}, ["RJCT"]),
        ({"fault": "late_callback", "seconds": 0.3}, ["ACSC"]),
        ({"fault": "malformed"}, ["ACSC"]),
    ],
)
def test_a_callback_goes_wrong(
    sandbox: Sandbox, corridor: Corridor, rule: dict[str, object], statuses: list[str]
) -> None:
    sandbox.fault(on="callback", **rule)

    sandbox.submit(payment())

    eventually(lambda: len(corridor.payouts()) == len(statuses))
    eventually(lambda: deliveries(sandbox).get("pending", 0) == 0)
    assert [told["status"] for told in corridor.payouts()] == statuses


def test_a_callback_that_never_comes_leaves_the_status(sandbox: Sandbox, corridor: Corridor) -> None:
    silent, loud = payment(creditor_name="silent"), payment()
    sandbox.fault(on="callback", fault="no_callback", match={"creditor_name": "silent"})

    sandbox.submit(silent, loud)

    eventually(corridor.payouts)
    assert [told["end_to_end_id"] for told in corridor.payouts()] == [loud["end_to_end_id"]]
    eventually(lambda: settled(sandbox, silent["end_to_end_id"]))


def test_a_status_can_lie_while_the_book_does_not(sandbox: Sandbox) -> None:
    one = payment()
    sandbox.submit(one)
    sandbox.fault(on="status", fault="not_found", match={"end_to_end_id": one["end_to_end_id"]}, times=1)

    assert sandbox.call("GET", f"/bank/payments/{one['end_to_end_id']}")[0] == 404
    assert sandbox.call("GET", f"/bank/payments/{one['end_to_end_id']}")[0] == 200


def test_an_impossible_fault_is_refused(sandbox: Sandbox) -> None:
    assert sandbox.call("PUT", "/faults", [{"on": "deposit", "fault": "error_500"}])[0] == 400


def deliveries(sandbox: Sandbox) -> dict[str, int]:
    found: dict[str, int] = sandbox.call("GET", "/book/summary")[1]["deliveries"].get("callback_http", {})
    return found
