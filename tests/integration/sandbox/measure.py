"""What the sandbox costs: `python -m tests.integration.sandbox.measure [payments a second] [seconds] [bulk size]`.

Pays in bulks at a fixed pace, takes the callbacks in this process, and prints payments/s and the sandbox's CPU.
"""

import asyncio
import json
import sys
import tempfile
import time
from pathlib import Path

import aiohttp
import psutil
from aiohttp import web

from tests.integration.sandbox.player import KEYS, Sandbox, payment


async def measure(rate: int, seconds: int, bulk: int) -> None:
    confirmed, everything = 0, asyncio.Event()

    async def hear(request: web.Request) -> web.Response:
        nonlocal confirmed
        confirmed += len((await request.json())["payouts"])
        if confirmed >= rate * seconds // bulk * bulk:
            everything.set()
        return web.Response()

    corridor = web.Application(client_max_size=2**22)
    corridor.router.add_post("/v1/webhooks/payout", hear)
    runner = web.AppRunner(corridor)
    await runner.setup()
    site = web.TCPSite(runner, "127.0.0.1", 0)
    await site.start()
    with tempfile.TemporaryDirectory() as data, Sandbox(Path(data)) as sandbox:
        sandbox.call(
            "PUT", "/config", {"corridor_url": f"http://127.0.0.1:{runner.addresses[0][1]}", "signing_keys": KEYS}
        )
        process = psutil.Process(sandbox.process.pid)
        before, begun, calls = process.cpu_times(), time.monotonic(), rate * seconds // bulk
        async with aiohttp.ClientSession() as session:
            await asyncio.gather(*[pay(session, sandbox.url, begun + i * bulk / rate, bulk) for i in range(calls)])
        await everything.wait()
        took, after = time.monotonic() - begun, process.cpu_times()
        cpu = after.user + after.system - before.user - before.system
        print(
            f"{confirmed} payments in bulks of {bulk} with callbacks in {took:.1f} s = {confirmed / took:.0f}/s; "
            f"CPU {cpu:.2f} s = {cpu / took:.1%} of a core, {1e6 * cpu / confirmed:.0f} us each; "
            f"{process.memory_info().rss / 2**20:.0f} MiB"
        )
        begun = time.monotonic()
        print(json.dumps(sandbox.call("GET", "/book/summary")[1]), f"{time.monotonic() - begun:.2f} s")
    await runner.cleanup()


async def pay(session: aiohttp.ClientSession, url: str, at: float, bulk: int) -> None:
    await asyncio.sleep(max(0, at - time.monotonic()))
    path, body = (
        ("/bank/payments/bulk", {"payments": [payment() for _ in range(bulk)]})
        if bulk > 1
        else ("/bank/payments", payment())
    )
    async with session.post(url + path, json=body) as reply:
        assert reply.status == 200
        await reply.read()


if __name__ == "__main__":
    asyncio.run(measure(*[int(text) for text in (sys.argv[1:] + ["1000", "20", "500"][len(sys.argv) - 1 :])]))
