"""The process of review: wiring, by hand. `python -m services.review`"""

from __future__ import annotations

from contextlib import AsyncExitStack

from services.kernel import process
from services.kernel.http import create_app
from services.kernel.service import Runtime, Service
from services.kernel.settings import Kernel, load_or_exit


def service() -> Service:
    """The service as a value."""
    return Service(name="review", schema="review", topic="corridor.review.events.v1", deciders=())


def main() -> None:
    """Serve until told to stop."""
    settings = load_or_exit(Kernel, "review")

    async def build(opened: AsyncExitStack) -> process.Running:
        runtime = Runtime(service(), settings)
        opened.push_async_callback(runtime.close)
        health = runtime.health()
        return process.Running(app=create_app(settings, [], health), tasks=dict(runtime.tasks()), health=health)

    process.run(settings, build)


if __name__ == "__main__":
    main()
