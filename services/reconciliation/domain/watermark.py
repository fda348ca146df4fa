"""Until when the topics are known to have said everything. Pure."""

from __future__ import annotations

from collections.abc import Mapping
from datetime import datetime, timedelta


def watermark(read_at: datetime, newest: Mapping[str, datetime | None], grace: timedelta, quiet: timedelta) -> datetime:
    """The time of which all topics are believed to have told.

    `read_at`: every topic was read to the end that it had then. `newest`: the newest event of each topic, None without
    one. What was written may still wait for its relay, so a topic that falls more than `grace` behind the others is
    believed only as far as it speaks, until it has been silent for `quiet`: then there is nothing behind its silence,
    or it is itself what must be reported.
    """
    latest = max((at for at in newest.values() if at is not None), default=None)
    if latest is None:
        return read_at
    floor = read_at - quiet
    silent = [at or floor for at in newest.values() if at is None or at < latest - grace]
    return min(read_at, max(floor, min(silent))) if silent else read_at
