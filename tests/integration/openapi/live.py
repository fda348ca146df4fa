"""The running system with something in it, and its callers by role."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID, uuid4

import requests

from contracts.deposit.routes import route_id
from scripts.system.system import System
from services.kernel.settings import Secret, SharedKey
from services.kernel.webhook import header_of
from tests.integration.openapi.fuzz import Caller

QUOTES = 8  # for as many transfers
SESSIONS = 12  # each is good for one refresh or one logout
SECONDS_MAX = 30.0  # for a deposit to become a payout
TENANT = "corridor"


class Live:
    """The system and what exists in it."""

    def __init__(self, system: System) -> None:
        self.url = system.facts.base_url
        self.tokens = system.facts.tokens
        self._passwords = system.installation.logins
        key = system.installation.webhook_key
        self._key = SharedKey(key["partner"], key["key_id"], Secret(key["secret"]))
        self.known = self._story()

    def caller(self, role: str) -> Caller:
        """Maintenance stays off: it would refuse whoever comes after."""
        sign = self._sign if role == "partner" else None
        return Caller(
            role=role, headers=self.headers(role), known=self.known, always={"enabled": [False]}, sign=sign
        )  # fmt: skip

    def headers(self, role: str) -> dict[str, str]:
        """Its token, if the role has one."""
        return {"Authorization": f"Bearer {self.tokens[role]}"} if role in self.tokens else {}

    def ask(self, method: str, path: str, role: str, body: Any = None) -> Any:
        """The JSON of an answer that is a success."""
        headers = self.headers(role) | {"Idempotency-Key": str(uuid4())}
        answer = requests.request(method, self.url + path, json=body, headers=headers, timeout=10)
        assert answer.status_code < 300, answer.text
        return answer.json()

    def _story(self) -> dict[str, list[Any]]:
        """One transfer that was paid in and is paid out, one that waits, and all that they are made of."""
        sender = self._person({"kind": "sender", "country": "GB", "name": "Ada"})
        receiver = self._person({"kind": "receiver", "country": "ET", "name": "Abebe", "account": "ET0100012345"})
        paid, waiting = (self._transfer(sender, receiver) for _ in range(2))
        self._pay_in(paid)
        transfers = [paid["transfer_id"], waiting["transfer_id"]]
        run = self.ask("POST", "/v1/recon/runs", "operator", {"reason": "daily reconciliation"})
        sessions = [self._session() for _ in range(SESSIONS)]
        booked = self._booked(transfers[0])
        return {
            "profile_id": [receiver, sender], "sender_id": [sender], "receiver_id": [receiver],
            "transfer_id": transfers, "payout_id": [self._payout_id(transfers[0])],
            "end_to_end_id": [self._payout_id(transfers[0])], "route": [waiting["route"]],
            "route_id": [str(route_id(TENANT, each["route"])) for each in (paid, waiting)],
            "run_id": [run["run_id"]], "account_id": ["safeguarding:sandbox-bank:GBP"],
            "entry_id": [booked["entry_id"]], "cause_id": [booked["cause_id"]], "as_of": [1], "since": [0],
            "until": [booked["entry_id"]],
            "quote_id": [self._quote() for _ in range(QUOTES)],
            "corridor": ["GB-ET"], "send_currency": ["GBP"], "send_minor": [10_000], "currency": ["GBP"],
            "refresh_token": sessions, "login": ["customer"], "password": [self._passwords["customer"]],
            "tenant": [TENANT], "booked_at": ["2026-03-02T09:30:00Z"], "reason": ["a reason"],
        }  # fmt: skip

    def _person(self, body: dict[str, str]) -> str:
        profile_id: str = self.ask("POST", "/v1/profiles", "customer", body)["profile_id"]
        self.ask("POST", f"/v1/profiles/{profile_id}/kyc", "operator", {"verdict": "approved", "reason": "seen"})
        return profile_id

    def _quote(self) -> str:
        wish = {"corridor": "GB-ET", "send_minor": 10_000, "send_currency": "GBP"}
        quote_id: str = self.ask("POST", "/v1/quotes", "customer", wish)["quote_id"]
        return quote_id

    def _transfer(self, sender: str, receiver: str) -> dict[str, Any]:
        wish = {"quote_id": self._quote(), "sender_id": sender, "receiver_id": receiver}
        transfer: dict[str, Any] = self.ask("POST", "/v1/transfers", "customer", wish)
        return transfer

    def _session(self) -> str:
        body = {"login": "customer", "password": self._passwords["customer"]}
        token: str = self.ask("POST", "/v1/auth/login", "nobody", body)["refresh_token"]
        return token

    def _pay_in(self, transfer: dict[str, Any]) -> None:
        report = (
            f'{{"reference":"{UUID(transfer["transfer_id"]).hex}","route":"{transfer["route"]}","amount_minor":10000,'
            f'"currency":"GBP","booked_at":"{transfer["opened_at"]}"}}'
        ).encode()
        headers = {"X-Webhook-Signature": self._sign(report), "Content-Type": "application/json"}
        answer = requests.post(f"{self.url}/v1/webhooks/deposit", data=report, headers=headers, timeout=10)
        assert answer.status_code == 200, answer.text

    def _payout_id(self, transfer_id: str) -> str:
        deadline = time.monotonic() + SECONDS_MAX
        while not (payout_id := self.ask("GET", f"/v1/transfers/{transfer_id}", "customer")["payout_id"]):
            assert time.monotonic() < deadline, "the deposit became no payout"
            time.sleep(0.1)
        return str(payout_id)

    def _booked(self, transfer_id: str) -> dict[str, Any]:
        deadline = time.monotonic() + SECONDS_MAX
        while not (entries := self.ask("GET", f"/v1/ledger/transfers/{transfer_id}/entries", "operator")["entries"]):
            assert time.monotonic() < deadline, "nothing was booked"
            time.sleep(0.1)
        first: dict[str, Any] = entries[0]
        return first

    def _sign(self, body: bytes) -> str:
        return header_of(self._key, body, int(time.time()))
