"""What a load process is told, and what it says: JSON on its stdin and lines of JSON on its stdout."""

from collections.abc import Callable
from typing import Literal

import msgspec

Mode = Literal["bulk", "single", "paced"]


class Plan(msgspec.Struct, kw_only=True):
    """One phase. Loops are created during `warm_up_seconds` and then `seconds`; then the rest may drain."""

    mode: Mode
    system: dict[str, object]  # the content of system.json
    seconds: float
    warm_up_seconds: float
    drain_seconds: float
    batch: int = 500  # loops in a bulk request
    in_flight: int = 64  # bulk: chains of requests, each one batch; single: clients
    outstanding: int = 4_000  # created and not yet posted: beyond it nothing new begins, so that a queue cannot grow
    loops_per_second: float = 100.0  # paced


class Window(msgspec.Struct, kw_only=True, tag="window"):
    """Said when the measured window begins and when it ends; epoch seconds."""

    at: float


class Outcome(msgspec.Struct, kw_only=True, tag="outcome"):
    """Said at the end. `seconds` by hop, from the intended start where the load is paced."""

    begin: float
    end: float
    funded: int  # loops whose deposit was acknowledged
    drained_seconds: float  # from the last request to the last posting; the bound when it was not reached
    drained: bool
    retries: int
    retried: dict[str, int]
    refused: dict[str, int]
    seconds: dict[str, list[float]]
    intended: dict[str, float]  # paced: transfer -> intended start of its creation, epoch seconds


class AlonePlan(msgspec.Struct, kw_only=True):
    """Engine, relay, rebuild and baseline; `schemas` of the running system have the events whose bytes are written."""

    administrator: str
    system_database: str
    schemas: list[str]
    bootstrap: str
    partitions: int
    events: int
    parts: list[str]


class LedgerPlan(msgspec.Struct, kw_only=True):
    """Entries per second: alone in a scratch database, then at `url` with a service's `token`, `seconds` each."""

    administrator: str
    url: str
    token: str
    seconds: float


Said = Window | Outcome
encode = msgspec.json.Encoder().encode
decode_plan = msgspec.json.Decoder(Plan).decode
decode_said: Callable[[bytes], Said] = msgspec.json.Decoder(Said).decode
