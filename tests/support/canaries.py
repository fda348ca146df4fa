"""Secrets and personal data planted wherever a stranger may write, to be looked for where nobody may read them."""

from __future__ import annotations

import base64
import json
import re
import time
from datetime import UTC, datetime

from aiokafka import AIOKafkaProducer

from scripts.system.system import System
from services.sandbox.signing import HEADER, sign
from tests.support.signals import ask

CANARIES = {
    "password": "Kestrel-9-password-canary", "jwt": "eyJjYW5hcnkiOjF9.eyJzdWIiOiJjYW5hcnkifQ.Y2FuYXJ5LXNpZw",
    "pan": "4111111111111111", "pan_spaced": "4111 1111 1111 1111", "iban": "GB33BUKB20201555555555",
    "phone": "+447700900123", "account": "ET7711CANARY0099", "name": "Zebediah Canarysson",
    "receiver": "Philomena Kanarienvogel", "login": "canary@example.org",
}  # fmt: skip
EVERYTHING = " ".join(CANARIES.values())


def secrets_of(system: System) -> dict[str, str]:
    installation = system.installation
    kek = base64.b64decode(installation.kek)
    return {
        "jwt_secret": installation.jwt_secret, "kek": installation.kek, "kek_hex": kek.hex(),
        "webhook_secret": installation.webhook_secret, "bank_api_key": installation.bank_api_key,
        **{f"database password of {role}": text for role, text in installation.passwords.items()},
        **{f"password of {login}": text for login, text in installation.logins.items()},
        **{f"token of {login}": text for login, text in system.facts.tokens.items()},
    }  # fmt: skip


def plant(system: System) -> None:
    """Canaries in each place of a request, on each route, signed and not."""
    base = system.facts.base_url
    routes = json.loads(ask("GET", f"{base}/openapi.json")[1]).get("paths", {}) or {"/v1/quotes": {"post": {}}}
    body = {**CANARIES, "reference": EVERYTHING, "route": CANARIES["pan"], "amount_minor": EVERYTHING, "nul": "\x00"}
    bodies = [json.dumps(body).encode(), EVERYTHING.encode(), b'{"password": "' + CANARIES["password"].encode()]
    headers = {
        "Content-Type": "application/json", "Authorization": f"Bearer {CANARIES['jwt']}", "Cookie": EVERYTHING,
        "Idempotency-Key": CANARIES["pan"], "User-Agent": EVERYTHING, "X-Forwarded-For": EVERYTHING,
        HEADER: f"t=1,kid={CANARIES['pan']},v1={EVERYTHING}", "traceparent": EVERYTHING, "X-Name": CANARIES["name"],
    }  # fmt: skip
    known = headers | {"Authorization": f"Bearer {system.facts.tokens['operator']}"}
    query = "?" + "&".join(f"{name}={text.replace(' ', '%20')}" for name, text in CANARIES.items())
    for path, methods in routes.items():
        filled = re.sub(r"\{[^}]*\}", CANARIES["pan"], path)
        for method in methods:
            for sent in (headers, known):
                for each in bodies:
                    ask(method.upper(), base + filled + query, each, sent)
    ask("GET", f"{base}/{CANARIES['iban']}/{CANARIES['phone']}{query}", headers=headers)
    key = system.installation.webhook_key
    for reference in (*CANARIES.values(), "\x00" + EVERYTHING, "x" * 100 + CANARIES["name"]):
        signed = json.dumps({
            "reference": reference, "route": reference[:60], "amount_minor": 5, "currency": "GBP",
            "booked_at": datetime.now(UTC).isoformat(),
        }).encode()  # fmt: skip
        header = sign(key["secret"], key["key_id"], signed, int(time.time()))
        ask("POST", f"{base}/v1/webhooks/deposit", signed, {"Content-Type": "application/json", HEADER: header})
        settled = json.dumps({"payouts": [{"end_to_end_id": reference, "status": reference}]}).encode()
        header = sign(key["secret"], key["key_id"], settled, int(time.time()))
        ask("POST", f"{base}/v1/webhooks/payout", settled, {"Content-Type": "application/json", HEADER: header})


async def plant_on_kafka(system: System) -> None:
    producer = AIOKafkaProducer(bootstrap_servers=system.facts.kafka_bootstrap)
    await producer.start()
    try:
        for value in (EVERYTHING.encode(), b"\xff\xfe" + EVERYTHING.encode(), json.dumps(CANARIES).encode()):
            headers = [(name, text.encode()) for name, text in CANARIES.items()]
            headers += [(HEADER, EVERYTHING.encode()), ("traceparent", EVERYTHING.encode()), (EVERYTHING, b"\xff")]
            await producer.send_and_wait("partner.deposits.v1", value, key=EVERYTHING.encode(), headers=headers)
    finally:
        await producer.stop()
