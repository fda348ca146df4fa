"""What a process works on at once has a bound; whoever looks after it is answered beyond it."""

from __future__ import annotations

import asyncio
from typing import Any

from services.kernel import metrics
from services.kernel.admission import Admission
from services.kernel.http import create_app, json_reply
from services.kernel.routing import Request, Router
from tests.unit.kernel.door import SETTINGS, send


async def test_what_is_too_much_is_refused_at_once_and_probes_are_answered() -> None:
    router, going = Router(), asyncio.Event()

    @router.get("/long")
    async def get_long(_request: Request) -> Any:
        await going.wait()
        return json_reply({})

    app = Admission(create_app(SETTINGS, [router]), 2)
    under_way = [asyncio.create_task(send(app, "GET", "/long")) for _ in range(2)]
    await asyncio.sleep(0)
    before = metrics.HTTP_REFUSED._value.get()
    refused = await send(app, "GET", "/long")
    assert (refused.status, refused.json["code"], refused.headers["retry-after"]) == (503, "OVERLOADED", "1")
    assert len(refused.headers["x-request-id"]) == 32
    assert metrics.HTTP_REFUSED._value.get() == before + 1
    assert [(await send(app, "GET", path)).status for path in ("/healthz", "/readyz", "/metrics")] == [200, 200, 200]
    going.set()
    assert [(await each).status for each in under_way] == [200, 200]
    assert (await send(app, "GET", "/long")).status == 200
