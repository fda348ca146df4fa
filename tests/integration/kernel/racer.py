"""A process that races: python racer.py DSN SCHEMA MODE COUNT STREAM.. ; prints the answers it got as JSON."""

from __future__ import annotations

import asyncio
import json
import sys
from uuid import UUID, uuid4

from services.kernel.engine import Units
from services.kernel.group_commit import GroupCommit
from tests.integration.kernel.backends import Postgres
from tests.support.builders import Add, ask, keyed, name


async def race(postgres: Postgres, mode: str, count: int, streams: list[UUID]) -> list[object]:
    engine = postgres.engine()
    lane = GroupCommit(engine)
    run = asyncio.create_task(lane.run())
    print("ready", flush=True)
    await asyncio.to_thread(sys.stdin.readline)
    try:
        match mode:
            case "add":
                units = [ask(streams[number % len(streams)], Add(number)) for number in range(count)]
                answers = [lane.ask(unit) for unit in units]
                return [outcome.heads[0].version for outcome in await asyncio.gather(*answers)]
            case "name":
                wishes = [engine.run(Units([name(uuid4(), f"n{number}")])) for number in range(count)]
                return [outcome.refusal is None for wish in wishes for outcome in await wish]
            case "cross":
                for number in range(count):
                    order = streams if number % 2 else streams[::-1]
                    await engine.run(Units([ask(each, Add(number)) for each in order]))
                return [count]
            case "key":
                same = [lane.ask(keyed(streams[0], Add(1), "one key")) for _ in range(count)]
                return [outcome.answer[1].decode() for outcome in await asyncio.gather(*same) if outcome.answer]
            case _:
                raise ValueError(mode)
    finally:
        run.cancel()


if __name__ == "__main__":
    dsn, schema, mode, count, *streams = sys.argv[1:]
    print(json.dumps(asyncio.run(race(Postgres(dsn, schema), mode, int(count), [UUID(each) for each in streams]))))
