"""What review listens to: the table of contents. It asks nothing of an engine, since it decides nothing."""

from __future__ import annotations

from services.kernel.decider import Consumes
from services.review.projections import deposits, issues, payouts, transfers

CONSUMES: Consumes = {}
PROJECTIONS = (deposits.PROJECTION, payouts.PROJECTION, transfers.PROJECTION, issues.PROJECTION)
