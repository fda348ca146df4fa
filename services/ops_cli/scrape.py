"""What the processes say of themselves: readiness and metrics, each asked once and not waited for long."""

from __future__ import annotations

import json
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from typing import Any

import httpx2

from services.ops_cli.target import Target

SECONDS = 3.0
AT_ONCE = 8
Samples = dict[tuple[str, tuple[tuple[str, str], ...]], float]  # (name, labels) -> value


@dataclass(frozen=True)
class Process:
    """One process. `report` is the body of its readiness, empty when it did not answer."""

    name: str
    ready: bool
    report: dict[str, Any]
    samples: Samples = field(repr=False, default_factory=dict)

    def lacks(self, part: str) -> bool:
        """Whether it says that this part of what it depends on is away."""
        return bool(self.report.get("dependencies", {}).get(part) == "down")

    def values(self, metric: str, **labels: str) -> list[float]:
        """Of all series of that name that have these labels."""
        wanted = set(labels.items())
        return [value for (name, known), value in self.samples.items() if name == metric and wanted <= set(known)]


def processes(target: Target) -> list[Process]:
    """All that the context knows; none when it knows only the door."""
    with ThreadPoolExecutor(max_workers=AT_ONCE) as pool, httpx2.Client(timeout=SECONDS, trust_env=False) as http:
        return list(pool.map(lambda each: _look(http, each["name"], each["probe_url"]), target.processes))


def _look(http: httpx2.Client, name: str, probe_url: str) -> Process:
    try:
        probe = http.get(probe_url)
        metrics = http.get(probe_url.removesuffix("/readyz") + "/metrics")
    except httpx2.TransportError:
        return Process(name, ready=False, report={})
    samples = parse(metrics.text) if metrics.status_code == 200 else {}
    return Process(name, ready=probe.status_code == 200, report=_json(probe.text), samples=samples)


def _json(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text)
    except ValueError:
        return {}
    return found if isinstance(found, dict) else {}


def parse(text: str) -> Samples:
    """Prometheus's text format; what cannot be read is left out."""
    from prometheus_client.parser import text_string_to_metric_families  # noqa: PLC0415 - slow, and rarely needed

    samples: Samples = {}
    try:
        for family in text_string_to_metric_families(text):
            for sample in family.samples:
                if sample.value == sample.value:  # NaN: not known yet
                    samples[sample.name, tuple(sorted(sample.labels.items()))] = sample.value
    except ValueError:
        return samples
    return samples


def total(found: Sequence[Process], metric: str, **labels: str) -> float:
    """Over all processes."""
    return sum(sum(process.values(metric, **labels)) for process in found)


def highest(found: Sequence[Process], metric: str, **labels: str) -> float:
    """Of all processes; 0 when nobody has it."""
    return max([value for process in found for value in process.values(metric, **labels)], default=0.0)
