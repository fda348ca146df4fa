"""All routes of the sandbox in one table, and the small handlers of the control API."""

from functools import partial

from services.sandbox import deliveries, report
from services.sandbox.bank import Bank
from services.sandbox.collect import Collector
from services.sandbox.config import as_json
from services.sandbox.control import Control
from services.sandbox.faults import parse_rules
from services.sandbox.rates import Publisher
from services.sandbox.web import App, Reply, Request, answer

VERSION = "1"
PAGE_MAX = 10_000


def application(control: Control) -> App:
    bank, collector, desk = Bank(control), Collector(control), Desk(control)
    app = App(
        {
            ("POST", "/bank/payments"): bank.post_payment,
            ("POST", "/bank/payments/bulk"): bank.post_payments,
            ("POST", "/bank/payments/status"): bank.post_status,
            ("GET", "/bank/payments/*"): bank.get_payment,
            ("POST", "/collect"): collector.post_collect,
            ("PUT", "/config"): desk.put_config,
            ("GET", "/config"): desk.get_config,
            ("PUT", "/faults"): desk.put_faults,
            ("POST", "/faults"): desk.post_faults,
            ("GET", "/faults"): desk.get_faults,
            ("DELETE", "/faults"): desk.delete_faults,
            ("GET", "/rates"): Publisher(control).get_rates,
            ("GET", "/book"): desk.get_book,
            ("GET", "/book/summary"): desk.get_summary,
            ("GET", "/healthz"): desk.get_health,
            ("GET", "/readyz"): desk.get_ready,
            ("GET", "/version"): desk.get_version,
            ("GET", "/metrics"): desk.get_metrics,
        }
    )
    desk.answers = app.answers
    return app


class Desk:
    """The control API. For tests only: it asks nobody who they are, so it listens on the loopback by default."""

    def __init__(self, control: Control) -> None:
        self._control = control
        self.answers: dict[int, int] = {}

    async def put_config(self, request: Request) -> Reply:
        patch = request.json()
        if not isinstance(patch, dict):
            raise ValueError("the settings are an object")  # noqa: TRY004 - the answer is 400
        await self._control.set_config(patch)
        return await self.get_config(request)

    async def get_config(self, request: Request) -> Reply:
        return answer(as_json(self._control.config, secrets=False))

    async def put_faults(self, request: Request) -> Reply:
        await self._control.set_faults(parse_rules(request.json()))
        return await self.get_faults(request)

    async def post_faults(self, request: Request) -> Reply:
        await self._control.add_faults(parse_rules(request.json()))
        return await self.get_faults(request)

    async def delete_faults(self, request: Request) -> Reply:
        await self._control.set_faults([])
        return await self.get_faults(request)

    async def get_faults(self, request: Request) -> Reply:
        return answer({"rules": self._control.faults.listed()})

    async def get_book(self, request: Request) -> Reply:
        since, limit = _number(request, "since", 0, 2**62), _number(request, "limit", 1_000, PAGE_MAX)
        return answer(await self._control.store.read(partial(report.page, since=since, limit=max(1, limit))))

    async def get_summary(self, request: Request) -> Reply:
        return answer(await self._control.store.read(report.summary))

    async def get_health(self, request: Request) -> Reply:
        return answer({"status": "ok"})

    async def get_ready(self, request: Request) -> Reply:
        """Ready when the book can be read. Corridor and the broker may be down: that is what the retries are for."""
        return answer({"status": "ready", "pending": await self._control.store.read(deliveries.pending)})

    async def get_version(self, request: Request) -> Reply:
        return answer({"service": "sandbox", "version": VERSION})

    async def get_metrics(self, request: Request) -> Reply:
        pending = await self._control.store.read(deliveries.pending)
        lines = [
            "# HELP sandbox_http_answers_total Answers given", "# TYPE sandbox_http_answers_total counter",
        ]  # fmt: skip
        lines += [f'sandbox_http_answers_total{{status="{code}"}} {n}' for code, n in sorted(self.answers.items())]
        lines += ["# HELP sandbox_deliveries_pending Calls that wait to be made"]
        lines += ["# TYPE sandbox_deliveries_pending gauge", f"sandbox_deliveries_pending {pending}", ""]
        return Reply(200, "\n".join(lines).encode(), b"text/plain; version=0.0.4; charset=utf-8")


def _number(request: Request, name: str, default: int, highest: int) -> int:
    text = request.query.get(name, str(default))
    if not (text.isascii() and text.isdigit() and len(text) < 20):
        raise ValueError(f"{name} is a number")
    return min(int(text), highest)
