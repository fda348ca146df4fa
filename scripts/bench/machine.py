"""CPU and memory of processes, from the kernel's own counters."""

import os
import platform
import subprocess
from collections.abc import Mapping
from contextlib import suppress
from dataclasses import dataclass
from pathlib import Path

import psutil

MIB = 1024 * 1024


@dataclass(frozen=True, slots=True)
class Sample:
    """CPU seconds since each process began, with its children; of the machine the busy and all CPU seconds."""

    processes: Mapping[str, float]
    busy: float
    total: float


def sample(pids: Mapping[str, int]) -> Sample:
    """Now. A process that has gone counts nothing."""
    times = psutil.cpu_times()
    total = sum(times) - getattr(times, "guest", 0.0) - getattr(times, "guest_nice", 0.0)  # are in user and nice too
    idle = times.idle + getattr(times, "iowait", 0.0)
    return Sample({name: cpu_seconds(pid) for name, pid in pids.items()}, total - idle, total)


def used(before: Sample, after: Sample) -> dict[str, float]:
    """CPU seconds between two samples, by process."""
    return {name: max(0.0, after.processes[name] - at) for name, at in before.processes.items()}


def busy_percent(before: Sample, after: Sample) -> float:
    """Of all cores together, 100 is all of them."""
    return 100 * (after.busy - before.busy) / max(after.total - before.total, 1e-9)


def cpu_seconds(pid: int) -> float:
    """Of the process, its living children (PostgreSQL's sessions) and those that it has reaped."""
    try:
        process = psutil.Process(pid)
        own = process.cpu_times()
        family = process.children(recursive=True)
    except psutil.NoSuchProcess:
        return 0.0
    seconds = own.user + own.system + own.children_user + own.children_system
    for child in family:
        with suppress(psutil.NoSuchProcess):
            times = child.cpu_times()
            seconds += times.user + times.system
    return float(seconds)


def rss_mib(pid: int) -> float:
    """Resident memory of the process alone."""
    try:
        return float(psutil.Process(pid).memory_info().rss / MIB)
    except psutil.NoSuchProcess:
        return 0.0


def describe(root: Path) -> dict[str, str]:
    """What a figure must be published with."""
    sha = subprocess.run(["git", "rev-parse", "--short", "HEAD"], cwd=root, capture_output=True, text=True, check=False)
    dirty = subprocess.run(["git", "status", "--porcelain"], cwd=root, capture_output=True, text=True, check=False)
    return {
        "machine": f"{os.cpu_count()} cores, {_cpu_model()}, {psutil.virtual_memory().total / 2**30:.0f} GiB",
        "system": f"{platform.system()} {platform.release()}, Python {platform.python_version()}",
        "commit": sha.stdout.strip() + (" with changes" if dirty.stdout.strip() else ""),
    }


def _cpu_model() -> str:
    info = Path("/proc/cpuinfo")
    lines = info.read_text().splitlines() if info.exists() else []
    models = [line.partition(":")[2].strip() for line in lines if line.startswith("model name")]
    return models[0] if models else platform.processor() or "unknown"
