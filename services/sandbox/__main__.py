"""Wiring of the sandbox. Only here arguments, environment, clock's dice and connections."""

import argparse
import asyncio
import json
import logging
import os
import sys
from collections.abc import Sequence
from pathlib import Path
from random import Random
from socket import socket
from typing import Any

import aiohttp
import uvicorn
import uvloop

from services.sandbox.app import application
from services.sandbox.bank import Settler
from services.sandbox.config import Config, patched
from services.sandbox.control import Control
from services.sandbox.courier import HTTP_SECONDS, HTTP_SLOTS, KAFKA_SLOTS, Lane, Records, Webhooks
from services.sandbox.store import Store
from services.sandbox.web import CuttableProtocol

REQUESTS_MAX = 2_000  # at the same time; beyond it 503


class AnnouncingServer(uvicorn.Server):
    """Says on stdout, in one line of JSON, that it listens, and where."""

    async def startup(self, sockets: list[socket] | None = None) -> None:
        await super().startup(sockets=sockets)
        host, port = self.servers[0].sockets[0].getsockname()[:2]
        ready = {"event": "ready", "service": "sandbox", "url": f"http://{host}:{port}", "pid": os.getpid()}
        print(json.dumps(ready), flush=True)  # noqa: T201 - whoever started us waits for this line


def arguments(argv: Sequence[str] | None = None) -> argparse.Namespace:
    """Flags win over the environment (SANDBOX_*), and both over `--config`."""
    parser = argparse.ArgumentParser("python -m services.sandbox")
    parser.add_argument("--host", default=os.environ.get("SANDBOX_HOST", "127.0.0.1"))
    parser.add_argument("--port", type=int, default=int(os.environ.get("SANDBOX_PORT", "8090")), help="0: any free one")
    parser.add_argument("--data", type=Path, default=Path(os.environ.get("SANDBOX_DATA", "var/sandbox")))
    parser.add_argument("--bootstrap", default=os.environ.get("KAFKA_BOOTSTRAP_SERVERS"))
    parser.add_argument(
        "--config", type=Path, default=os.environ.get("SANDBOX_CONFIG"), help="JSON as PUT /config takes"
    )
    parser.add_argument("--corridor-url", default=os.environ.get("SANDBOX_CORRIDOR_URL"))
    parser.add_argument("--api-key", default=os.environ.get("SANDBOX_API_KEY"))
    parser.add_argument(
        "--signing-keys",
        default=os.environ.get("SANDBOX_SIGNING_KEYS"),
        help="partner:key_id:secret, several by commas",
    )
    parser.add_argument("--settle-delay-seconds", type=float, default=os.environ.get("SANDBOX_SETTLE_DELAY_SECONDS"))
    parser.add_argument("--seed", type=int, default=None, help="of the dice for faults and backoff")
    return parser.parse_args(argv)


def configured(args: argparse.Namespace) -> Config:
    """Raises ValueError when a setting is unknown or of a wrong type."""
    patch: dict[str, Any] = json.loads(args.config.read_bytes()) if args.config else {}
    named = {name: getattr(args, name) for name in ("corridor_url", "api_key", "settle_delay_seconds")}
    if args.signing_keys:
        named["signing_keys"] = [signing_key(part) for part in args.signing_keys.split(",")]
    return patched(Config(), patch | {name: value for name, value in named.items() if value is not None})


def signing_key(text: str) -> dict[str, str]:
    """From partner:key_id:secret; the secret may have colons."""
    partner, _, rest = text.strip().partition(":")
    key_id, _, secret = rest.partition(":")
    return {"partner": partner, "key_id": key_id, "secret": secret}


async def serve(args: argparse.Namespace) -> None:
    """Runs until a signal. If one part ends with an error all do: what is on the disk goes on after the restart."""
    rng = Random(args.seed)  # noqa: S311 - dice, not keys
    control = Control(Store(args.data), configured(args), rng)
    await control.load()
    limits = aiohttp.ClientTimeout(total=HTTP_SECONDS)
    async with aiohttp.ClientSession(timeout=limits, connector=aiohttp.TCPConnector(limit=HTTP_SLOTS)) as session:
        http = Lane("http", Webhooks(control, session), HTTP_SLOTS, control, rng)
        kafka = Lane("kafka", Records(control, args.bootstrap), KAFKA_SLOTS, control, rng)
        parts = [server(args, control).serve(), Settler(control, http.wake.set).run(), http.run(), kafka.run()]
        tasks = [asyncio.ensure_future(part) for part in [*parts, spread(control, [http, kafka])]]
        done, _ = await asyncio.wait(tasks, return_when=asyncio.FIRST_COMPLETED)
        for task in tasks:
            task.cancel()
        for task in done:
            task.result()


async def spread(control: Control, lanes: Sequence[Lane]) -> None:
    """A change wakes both lanes."""
    while True:
        await control.changed.wait()
        control.changed.clear()
        for lane in lanes:
            lane.wake.set()


def server(args: argparse.Namespace, control: Control) -> AnnouncingServer:
    config = uvicorn.Config(
        application(control),
        host=args.host, port=args.port, http=CuttableProtocol, ws="none", lifespan="off", access_log=False,
        log_config=None, limit_concurrency=REQUESTS_MAX, timeout_graceful_shutdown=2, backlog=1_024,
        server_header=False,
        proxy_headers=False, date_header=False,
    )  # fmt: skip
    return AnnouncingServer(config)


def main() -> None:
    logging.basicConfig(
        level=logging.WARNING, stream=sys.stderr, format="%(asctime)s %(levelname)s %(name)s %(message)s"
    )
    args = arguments()
    try:
        configured(args)
    except (ValueError, OSError) as error:
        sys.exit(f"sandbox: {error}")
    uvloop.run(serve(args))


if __name__ == "__main__":
    main()
