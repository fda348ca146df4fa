"""What the bank says of a payment, as its API has it."""

from typing import Any
from uuid import UUID

ONE = UUID(int=1)


def result(payout_id: UUID = ONE, **fields: Any) -> dict[str, Any]:
    return {"end_to_end_id": str(payout_id), "status": "ACSP", "reason_code": None, "reference": "B-1"} | fields


SETTLED = result(status="ACSC", amount_minor=2_000_000, currency="ETB", settled_at="2026-03-01T12:00:00Z")
