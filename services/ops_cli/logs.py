"""The logs of this checkout's own system: one JSON line for each event."""

from __future__ import annotations

import json
from collections import Counter
from pathlib import Path

TAIL_BYTES = 256 * 1024  # of each file: minutes, not history
LEVELS = frozenset({"error", "critical"})


def trouble(folder: Path) -> dict[str, int]:
    """How often each service wrote which error, at the end of its file: `payout_orchestrator call_failed` -> 3."""
    counts: Counter[str] = Counter()
    for path in sorted(folder.glob("*.log")):
        for line in tail(path).splitlines():
            event = _read(line)
            if event and str(event.get("level", "")).lower() in LEVELS:
                counts[f"{path.stem} {event.get('event', '?')}"] += 1
    return dict(counts)


def tail(path: Path) -> str:
    """The last of it; a line that is cut is left out."""
    with path.open("rb") as file:
        file.seek(0, 2)
        begin = max(0, file.tell() - TAIL_BYTES)
        file.seek(begin)
        content = file.read().decode(errors="replace")
    return content.partition("\n")[2] if begin else content


def _read(line: str) -> dict[str, object] | None:
    if not line.startswith("{"):
        return None
    try:
        found = json.loads(line)
    except ValueError:
        return None
    return found if isinstance(found, dict) else None
