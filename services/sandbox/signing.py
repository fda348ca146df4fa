"""How a partner signs what it sends. Written from the public description, not from Corridor's verifier."""

import hmac

HEADER = "X-Webhook-Signature"


def sign(secret: str, key_id: str, body: bytes, at_seconds: int) -> str:
    """The header's value over the raw `body`; `at_seconds` is unix time, ten digits."""
    mac = hmac.digest(secret.encode(), b"%d." % at_seconds + body, "sha256").hex()
    return f"t={at_seconds},kid={key_id},v1={mac}"


def sign_wrongly(key_id: str, at_seconds: int) -> str:
    """A well-formed signature that no secret made: the `bad_signature` fault."""
    return f"t={at_seconds},kid={key_id},v1={'0' * 64}"
