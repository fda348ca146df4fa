"""The story: 200 transfers in waves; in the middle of each something is killed, and the outside misbehaves."""

import asyncio
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from scripts.demo.board import Board
from scripts.demo.client import Client, Json, Log
from scripts.system.system import System

TRANSFERS = 200
# The first is what takes longest to be sure again: a payout that was in hand waits for its lease.
KILLED = (
    "payout_orchestrator", "deposit_watcher", "ledger", "transfer", "quote", "core_api", "reconciliation", "review",
    "sandbox",
)  # fmt: skip
WAVES = len(KILLED) + 1
IN_FLIGHT_MIN = 5
WRONG_AMOUNT, DROPPED = 30, 60  # which transfers these are
DUPLICATE_EVERY = 5  # every fifth deposit is reported three times
REPORTED_AGAIN = 10
LOOK_SECONDS = 0.5
LOOKS_AT_ONCE = 8
SINGLES_AT_ONCE = 8


@dataclass(frozen=True, kw_only=True)
class Pair:
    """A corridor with the people in it. `least_minor`: the smallest amount that we send through it."""

    corridor: str
    currency: str
    least_minor: int
    sender: tuple[str, str]  # country, name
    receiver: tuple[str, str, str]  # country, name, account


PAIRS = (
    Pair(
        corridor="GB-ET", currency="GBP", least_minor=5_000,
        sender=("GB", "Grace Hopper"), receiver=("ET", "Abebe Bikila", "ET100200300400"),
    ),
    Pair(
        corridor="US-KE", currency="USD", least_minor=7_500,
        sender=("US", "Ada Lovelace"), receiver=("KE", "Wangari Maathai", "KE11223344556677"),
    ),
    Pair(
        corridor="AE-NP", currency="AED", least_minor=25_000,
        sender=("AE", "Ibn al-Haytham"), receiver=("NP", "Pasang Lhamu Sherpa", "NP00998877665544"),
    ),
)  # fmt: skip


@dataclass(frozen=True)
class People:
    """Profiles of a pair, their KYC passed."""

    sender_id: str
    receiver_id: str


@dataclass(frozen=True, kw_only=True)
class Opened:
    """A transfer that we were told of."""

    number: int
    pair: Pair
    answer: Json


class Story:
    """Tells it once. Raises Refused when Corridor says no to something it should do."""

    def __init__(self, client: Client, log: Log, board: Board, system: System) -> None:
        self._client, self._log, self._board, self._system = client, log, board, system
        self._people: dict[str, People] = {}
        self._used: list[Json] = []

    async def tell(self) -> None:
        """Until every transfer that was paid in rightly has been paid out."""
        await self._meet_people()
        looking = asyncio.create_task(self._look())
        try:
            await self._waves()
            await self._report_again()
            await self._until_quiet()
        finally:
            looking.cancel()

    # -- people

    async def _meet_people(self) -> None:
        for pair in PAIRS:
            sender = await self._profile("sender", *pair.sender)
            receiver = await self._profile("receiver", *pair.receiver)
            self._people[pair.corridor] = People(sender, receiver)
        self._board.note(f"{2 * len(PAIRS)} people registered, their KYC approved by an operator")

    async def _profile(self, kind: str, country: str, name: str, account: str | None = None) -> str:
        wish = {"kind": kind, "country": country, "name": name} | ({"account": account} if account else {})
        profile = await self._client.post("/v1/profiles", wish)
        verdict = {"verdict": "approved", "reason": "documents seen"}
        await self._client.post(f"/v1/profiles/{profile['profile_id']}/kyc", verdict, who="operator")
        return str(profile["profile_id"])

    # -- waves

    async def _waves(self) -> None:
        """The next wave is being opened while the kill of the last one happens, so requests are on the way as well."""
        killing: asyncio.Task[None] | None = None
        for wave in range(WAVES):
            numbers = range(wave, TRANSFERS, WAVES)
            opened = await self._open(list(numbers))
            if killing:
                await killing
            await self._pay_in(opened)
            if wave < len(KILLED):
                killing = asyncio.create_task(self._kill(KILLED[wave]))
        if killing:
            await killing

    async def _open(self, numbers: Sequence[int]) -> list[Opened]:
        """Half of them one by one, half in bulk."""
        half = len(numbers) // 2
        slots = asyncio.Semaphore(SINGLES_AT_ONCE)

        async def single(number: int) -> Opened:
            async with slots:
                return await self._open_one(number)

        async with asyncio.TaskGroup() as group:
            many = group.create_task(self._open_many(numbers[half:]))
            singles = [group.create_task(single(number)) for number in numbers[:half]]
        return [*many.result(), *(each.result() for each in singles)]

    async def _open_one(self, number: int) -> Opened:
        quote = await self._client.post("/v1/quotes", _wish(number))
        return self._acknowledged(number, quote, await self._client.post("/v1/transfers", self._taking(number, quote)))

    async def _open_many(self, numbers: Sequence[int]) -> list[Opened]:
        quotes = await self._client.post_all("/v1/quotes/batch", "quotes", [_wish(number) for number in numbers])
        wishes = [self._taking(number, quote) for number, quote in zip(numbers, quotes, strict=True)]
        answers = await self._client.post_all("/v1/transfers/batch", "transfers", wishes)
        return [
            self._acknowledged(number, quote, answer)
            for number, quote, answer in zip(numbers, quotes, answers, strict=True)
        ]

    def _taking(self, number: int, quote: Json) -> Json:
        people = self._people[_pair(number).corridor]
        return {"quote_id": quote["quote_id"], "sender_id": people.sender_id, "receiver_id": people.receiver_id}

    def _acknowledged(self, number: int, quote: Json, answer: Json) -> Opened:
        pair = _pair(number)
        receiver = {"name": pair.receiver[1], "account": pair.receiver[2]}
        self._log.write("transfer", answer=answer, quote=quote, receiver=receiver)
        self._board.opened(answer["transfer_id"], answer["state"], pair.corridor)
        return Opened(number=number, pair=pair, answer=answer)

    # -- money in

    async def _pay_in(self, opened: Sequence[Opened]) -> None:
        """By webhook and by Kafka, single and in bulk; some are reported three times."""
        deposits = []
        for one in opened:
            if one.number == DROPPED:
                await self._drop_answer(one)
            deposits.append(_deposit(one))
            self._log.write("pay_in", transfer_id=one.answer["transfer_id"], plan=_plan(one), **deposits[-1])
            if one.number == WRONG_AMOUNT:
                self._board.note(f"fault: {one.answer['transfer_id']} is paid in with less than half of its amount")
        half = len(deposits) // 2
        await self._collect(deposits[:half], in_bulk=True)
        await self._collect(deposits[half:], in_bulk=False)
        if not self._used:
            self._used = [deposit | {"copies": 1} for deposit in deposits[:REPORTED_AGAIN]]
            await self._pay_in_for_nobody()

    async def _collect(self, deposits: Sequence[Mapping[str, Any]], *, in_bulk: bool) -> None:
        await self._client.sandbox("POST", "/collect", {"deposits": deposits, "bulk": in_bulk})

    async def _pay_in_for_nobody(self) -> None:
        deposit = {
            "reference": "DEMO-NOBODY", "route": "RF00NOBODYKNOWSTHISROUTE", "amount_minor": 12_345, "currency": "GBP",
            "transport": "webhook", "copies": 2,
        }  # fmt: skip
        self._log.write("pay_in", transfer_id=None, plan="unknown_route", **deposit)
        await self._collect([deposit], in_bulk=False)
        self._board.note("fault: a deposit on a route that nobody knows (its grace is 5 s here, 15 min otherwise)")

    async def _drop_answer(self, one: Opened) -> None:
        match = {"remittance_information": one.answer["transfer_id"]}
        await self._client.sandbox(
            "POST", "/faults", {"on": "submit", "fault": "drop_after_accept", "match": match, "times": 1}
        )
        self._board.note(f"fault: the paying bank takes the payout of {one.answer['transfer_id']} and never answers")

    async def _report_again(self) -> None:
        """Deposits of the first wave, long after they were used."""
        self._log.write("reported_again", references=[deposit["reference"] for deposit in self._used])
        await self._collect(self._used, in_bulk=False)
        self._board.note(f"{len(self._used)} deposits that were used long ago are reported once more")

    # -- kills

    async def _kill(self, name: str) -> None:
        """Only when transfers are in flight for sure: acknowledged, and a fresh look says not completed."""
        flying = await self._in_flight()
        at = datetime.now(UTC).isoformat()
        pid = await asyncio.to_thread(self._system.kill, name)
        began = self._board.seconds()
        await asyncio.sleep(0.05)
        await asyncio.to_thread(self._system.wait_ready, name)
        new_pid, seconds = self._system.pid(name), round(self._board.seconds() - began, 1)
        self._log.write("kill", name=name, pid=pid, new_pid=new_pid, at=at, in_flight=len(flying), ready_after=seconds)
        self._board.note(
            f"kill -9 {name} ({pid}) with {len(flying)} transfers in flight; ready again after {seconds} s"
        )

    async def _in_flight(self) -> list[str]:
        while True:
            await self._refresh(self._board.open_transfers()[-2 * IN_FLIGHT_MIN :])
            if len(flying := self._board.open_transfers()) >= IN_FLIGHT_MIN:
                return flying
            await asyncio.sleep(0.05)

    # -- looking

    async def _look(self) -> None:
        while True:
            await self._refresh(self._board.open_transfers())
            self._board.retries = self._client.retries
            self._board.tick()
            await asyncio.sleep(LOOK_SECONDS)

    async def _refresh(self, transfer_ids: Sequence[str]) -> None:
        """What GET says of these now."""
        slots = asyncio.Semaphore(LOOKS_AT_ONCE)

        async def one(transfer_id: str) -> None:
            async with slots:
                if found := await self._client.look(f"/v1/transfers/{transfer_id}"):
                    self._board.states[transfer_id] = found["state"]

        await asyncio.gather(*map(one, transfer_ids))

    async def _until_quiet(self) -> None:
        """Only the one that was paid in wrongly is left."""
        while len(self._board.open_transfers()) > 1:  # noqa: ASYNC110 - who looks is another task
            await asyncio.sleep(LOOK_SECONDS)
        self._board.note("every transfer that was paid in rightly has been paid out")


def _pair(number: int) -> Pair:
    return PAIRS[number % len(PAIRS)]


def _wish(number: int) -> Json:
    pair = _pair(number)
    return {"corridor": pair.corridor, "send_minor": pair.least_minor + 37 * number, "send_currency": pair.currency}


def _plan(one: Opened) -> str:
    return "wrong_amount" if one.number == WRONG_AMOUNT else "right"


def _deposit(one: Opened) -> Json:
    send = int(one.answer["send_minor"])
    return {
        "reference": f"DEMO-{one.number:04d}",
        "route": one.answer["route"],
        "amount_minor": send * 2 // 5 if one.number == WRONG_AMOUNT else send,
        "currency": one.answer["send_currency"],
        "transport": "kafka" if one.number % 2 else "webhook",
        "copies": 3 if one.number % DUPLICATE_EVERY == 0 else 1,
    }
