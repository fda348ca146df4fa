"""Is the set-up sound: this machine, the door, tokens, clocks, releases; database and Kafka are in `stores`."""

from __future__ import annotations

import os
import shutil
import sys
import time
from email.utils import parsedate_to_datetime

from services.ops_cli.checks import Check, run
from services.ops_cli.context import Context
from services.ops_cli.exits import OpsError
from services.ops_cli.scrape import processes
from services.ops_cli.stores import database, kafka
from services.ops_cli.target import ROOT
from services.ops_cli.tokens import ends
from services.ops_cli.views import span

SKEW_SECONDS_MAX = 5.0  # a token of another machine's clock is refused beyond it
DATE_SECONDS = 2.0  # the header tells whole seconds, and a server makes it once a second
PYTHON_OLDEST = (3, 11)


def look(ctx: Context) -> list[Check]:
    """Local first: what does not need the system is said also when there is none."""
    local = [python(), installed()]
    try:
        target = ctx.target
    except OpsError as error:
        return [*local, Check("context", "bad", error.message, error.hint)]
    context = Check("context", "ok", f"{target.name} ({target.env}), from {target.source}")
    remote = run(
        [
            ("door", lambda: clock(ctx)),
            ("tokens", lambda: tokens(ctx)),
            ("releases", lambda: releases(ctx)),
            ("processes", lambda: ready(ctx)),
            ("database", lambda: database(target.database_url, lambda: sessions(ctx))),
            ("Kafka", lambda: kafka(target.kafka_bootstrap)),
        ]
    )
    return [*local, context, *remote]


def python() -> Check:
    """The interpreter."""
    version = ".".join(str(part) for part in sys.version_info[:3])
    if sys.version_info < PYTHON_OLDEST:
        return Check("Python", "bad", version, "3.11 or later is needed: make PYTHON=/path/to/python bootstrap")
    return Check("Python", "ok", f"{version}, {sys.prefix}")


def installed() -> Check:
    """Whether `ops-cli` is found by its name."""
    found = shutil.which("ops-cli")
    if found is None:
        hint = f'export PATH="{ROOT}/.venv/bin:$PATH", or ln -s {ROOT}/ops-cli ~/.local/bin/'
        return Check("ops-cli", "attention", "is not on the PATH", hint)
    elsewhere = not os.path.realpath(found).startswith(str(ROOT))
    return Check("ops-cli", "attention" if elsewhere else "ok", f"{found}{' is of another checkout' * elsewhere}")


def clock(ctx: Context) -> list[Check]:
    """The door answers, and its clock is ours."""
    began, before = time.monotonic(), time.time()
    answer = ctx.http.ask("GET", "/healthz", role=None)
    milliseconds, after = 1_000 * (time.monotonic() - began), time.time()
    checks = [Check("door", "ok", f"{ctx.target.base_url} answered in {milliseconds:.0f} ms")]
    date = answer.headers.get("date")
    if date is None:
        return [*checks, Check("clock", "unknown", "the door does not tell its time")]
    told = parsedate_to_datetime(date).timestamp()
    return [*checks, skewed("clock", "of the door", beyond(told, before, after, DATE_SECONDS), DATE_SECONDS)]


def beyond(told: float, before: float, after: float, resolution: float) -> float:
    """Seconds that the other clock is certainly ahead (or, below 0, behind): it told its time, at most `resolution`
    old, between `before` and `after` of ours."""
    return max(told - after, 0.0) or min(told + resolution - before, 0.0)


def skewed(name: str, whose: str, skew: float, resolution: float) -> Check:
    """`skew`: see `beyond`."""
    if not skew:
        return Check(name, "ok", f"{whose} is ours, to {resolution:.0f} s")
    words = f"{whose} is {span(abs(skew))} {'ahead' if skew > 0 else 'behind'}"
    bad = abs(skew) > SKEW_SECONDS_MAX
    return Check(name, "bad" if bad else "attention", words, "set the clocks by NTP: tokens and signatures have times")


def tokens(ctx: Context) -> list[Check]:
    """Each is believed by the door."""
    known = dict(ctx.target.tokens) or ({"token": ctx.target.token} if ctx.target.token else {})
    if not known:
        return [Check("tokens", "bad", f"the context {ctx.target.name} has none", "set OPS_TOKEN")]
    roles = []
    for name, token in known.items():
        answer = ctx.http.ask("GET", "/v1/me", headers={"Authorization": f"Bearer {token}"}, role=None).json()
        told = "/".join(answer["roles"])
        roles.append(name if name == told else f"{name} ({told})")
    return [Check("tokens", "ok", f"{', '.join(roles)}; {ends(next(iter(known.values())))}")]


def releases(ctx: Context) -> Check:
    """One release everywhere."""
    door = ctx.http.get("/version", role=None)
    found = {each.name: _release(each.values("corridor_build_info"), each.samples) for each in processes(ctx.target)}
    other = sorted(name for name, sha in found.items() if sha not in {None, door["git_sha"]})
    words = f"{door['release_id']} ({door['git_sha']}), {door['environment']}"
    if other:
        return Check("release", "attention", f"{words}; others run: {', '.join(other)}", "is a deploy under way?")
    return Check("release", "ok", words)


def _release(values: list[float], samples: object) -> str | None:
    if not values or not isinstance(samples, dict):
        return None
    return next((dict(labels).get("sha") for name, labels in samples if name == "corridor_build_info"), None)


def sessions(ctx: Context) -> dict[str, int]:
    """By process: how many sessions its lanes may open."""
    found = {each.name: int(sum(each.values("corridor_db_pool_size"))) for each in processes(ctx.target)}
    return {name: count for name, count in found.items() if count}


def ready(ctx: Context) -> Check:
    """Those that the context lists."""
    found = processes(ctx.target)
    away = [each.name for each in found if not each.ready]
    if away:
        return Check("processes", "bad", f"not ready: {', '.join(away)}", "ops-cli triage")
    return Check("processes", "ok", f"{len(found)} ready" if found else "the context lists none")
