"""One more payout worker beside those that run: python -m app.workers.payout_worker

A process of the payout service with the settings of that service: it takes what is due that no other has taken, and on
SIGTERM finishes what it has in hand. Its probes and /metrics are on its own PORT.
"""

from services.payout_orchestrator.__main__ import main

if __name__ == "__main__":
    main()
