"""A rate publisher: mid-market rates for the pairs of the demo. Freezing its clock makes the rates stale."""

from datetime import UTC, datetime

from services.sandbox.control import Control
from services.sandbox.web import Reply, Request, answer

PUBLISHER = "sandbox-fx"
RATES = (
    ("GBP", "ETB", "205.1234"),
    ("USD", "KES", "129.3500"),
    ("AED", "NPR", "38.9125"),
)


class Publisher:
    """`GET /rates`; PUT /config {"rates_published_at": RFC 3339} freezes its clock, null lets it run."""

    def __init__(self, control: Control) -> None:
        self._control = control

    async def get_rates(self, request: Request) -> Reply:
        published_at = self._control.config.rates_published_at or datetime.now(UTC).isoformat()
        rates = [{"source": source, "target": target, "value": value} for source, target, value in RATES]
        return answer({"publisher": PUBLISHER, "published_at": published_at, "rates": rates})
