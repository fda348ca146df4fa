"""Counts what is handed to a rail, by provider and result. Resends count, questions about the outcome do not."""

from __future__ import annotations

from services.kernel import metrics
from services.payout_orchestrator.ports import Accepted, Deferred, Refused, SubmitVerdict


def count(provider: str, verdict: SubmitVerdict) -> None:
    """One payout of a call that was tried. FAILED: not accepted or not reached; UNKNOWN: sent, and no answer."""
    metrics.PAYOUT_ATTEMPTS.labels(provider, result_of(verdict)).inc()


def result_of(verdict: SubmitVerdict) -> str:
    """One of metrics.ATTEMPT_RESULTS."""
    match verdict:
        case Accepted():
            return "SENT"
        case Refused():
            return "REFUSED"
        case Deferred():
            return "FAILED"
        case _:
            return "UNKNOWN"
