"""Work that goes past HTTP, to the end: what the kernel raises becomes a code and a sentence."""

from __future__ import annotations

from collections.abc import Coroutine, Mapping
from typing import Any, TypeVar

import uvloop
from aiokafka.errors import KafkaError

from services.kernel import heap
from services.kernel.fold import TooManyParked
from services.kernel.operations import Busy, NoProjection
from services.kernel.projection_check import StoreUnreadable
from services.kernel.rebuild import NobodyFollows, TopicShortened, Unappliable
from services.kernel.store import ContentRefused, Unavailable
from services.kernel.topic_admin import TopicsDiffer
from services.kernel.topic_reader import TopicMissing
from services.ops_cli.exits import Exit, OpsError

T = TypeVar("T")
# what was raised -> the code, and what to do about it
CODES: Mapping[type[Exception], tuple[Exit, str]] = {
    Busy: (Exit.PRECONDITION, "somebody else rebuilds it; wait for that: ops-cli projection list"),
    NoProjection: (Exit.NOT_FOUND, "see: ops-cli projection list"),
    TopicShortened: (Exit.PRECONDITION, "topics are kept for ever: see what has shortened this one"),
    Unappliable: (Exit.ANSWER_IS_NO, "the live version stays; --accept-parked shows the new one all the same"),
    TooManyParked: (Exit.ANSWER_IS_NO, "the live version stays; this release cannot read the topic"),
    StoreUnreadable: (Exit.ANSWER_IS_NO, "which events were altered: ops-cli event verify"),
    NobodyFollows: (Exit.PRECONDITION, "start the service, then do it again"),
    TimeoutError: (Exit.TIMED_OUT, "the live version stays; see the log of the service"),
    TopicMissing: (Exit.NOT_FOUND, "make it: ops-cli topic ensure"),
    TopicsDiffer: (Exit.ANSWER_IS_NO, "a topic that is there is never changed from here"),
    KafkaError: (Exit.UNAVAILABLE, "is the broker there? ops-cli doctor"),
    ContentRefused: (Exit.FAILED, "the database refuses it"),
    Unavailable: (Exit.UNAVAILABLE, "nothing was changed for those who read; safe to try again"),
}


def done(work: Coroutine[Any, Any, T]) -> T:
    """What comes of it. Raises OpsError."""
    heap.keep()
    try:
        return uvloop.run(work)
    except tuple(CODES) as error:
        code, hint = next(found for kind, found in CODES.items() if isinstance(error, kind))
        raise OpsError(code, _words(error), hint=hint) from error


def _words(error: Exception) -> str:
    match error:
        case Busy():
            return f"{error} is being rebuilt by somebody else"
        case TopicMissing():
            return f"the broker has no topic {error}"
        case _:
            return str(error) or type(error).__name__
