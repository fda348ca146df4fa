"""The signature, against a value that openssl made."""

from services.sandbox.signing import sign


def test_a_signature_covers_time_and_raw_bytes() -> None:
    # printf '1700000000.{"a":1}' | openssl dgst -sha256 -hmac secret
    mac = "49f24e537407743fa4a0242bb63b94b9a47ee99cbbe071ccd8a22550ae411686"
    assert sign("secret", "kid-1", b'{"a":1}', 1_700_000_000) == f"t=1700000000,kid=kid-1,v1={mac}"
