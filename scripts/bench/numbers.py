"""Arithmetic of measurements. Pure."""

import math
from collections.abc import Mapping, Sequence

Figures = dict[str, float]  # by a name that ends in its unit


def percentile(values: Sequence[float], share: float) -> float:
    """The smallest value that at least `share` (0..1] of all values do not exceed (nearest rank). NaN of nothing."""
    if not values:
        return math.nan
    return sorted(values)[max(0, math.ceil(share * len(values)) - 1)]


def milliseconds(name: str, seconds: Sequence[float]) -> Figures:
    """p50 and p99 under `name`."""
    return {f"{name}_p50_ms": percentile(seconds, 0.5) * 1000, f"{name}_p99_ms": percentile(seconds, 0.99) * 1000}


def completed(settled: Mapping[str, float], posted: Mapping[str, float]) -> dict[str, float]:
    """When each loop was complete: its payout settled in the bank's book and posted in our ledger, the later of both.

    By transfer id; times in epoch seconds. A loop that has only one of the two is not complete.
    """
    return {transfer: max(at, posted[transfer]) for transfer, at in settled.items() if transfer in posted}


def within(times: Mapping[str, float], begin: float, end: float) -> int:
    """How many fall into [begin, end)."""
    return sum(begin <= at < end for at in times.values())


def ratios(figures: Mapping[str, float], baselines: Mapping[str, str]) -> Figures:
    """`<name>_ratio` for each figure of which a baseline is named and measured; `baselines` maps figure -> baseline."""
    return {
        f"{name}_ratio": figures[name] / figures[base]
        for name, base in baselines.items()
        if name in figures and figures.get(base)
    }


def rounded(figures: Mapping[str, float]) -> Figures:
    """Four significant digits, as no measurement here has more; what could not be measured is left out."""
    return {
        name: float(f"{value:.4g}") if abs(value) < 1000 else float(round(value))
        for name, value in figures.items()
        if math.isfinite(value)
    }
