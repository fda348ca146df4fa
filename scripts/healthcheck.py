"""Whether the process of this container lives: python -m scripts.healthcheck; exit 0 or 1, for HEALTHCHECK.

Asks HEALTH_URL, by default /healthz on PORT. Readiness is for who routes traffic, not for who restarts.
"""

import os
import sys
import urllib.request

ANSWER_SECONDS = 2.0
DIRECT = urllib.request.build_opener(urllib.request.ProxyHandler({}))  # Docker may set HTTP_PROXY in every container


def main() -> int:
    """0 when it answers 200 in time."""
    url = os.environ.get("HEALTH_URL") or f"http://127.0.0.1:{os.environ.get('PORT', '8080')}/healthz"
    try:
        with DIRECT.open(url, timeout=ANSWER_SECONDS) as answer:
            return 0 if answer.status == 200 else 1
    except OSError as error:
        print(f"{url}: {error}", file=sys.stderr)
        return 1


if __name__ == "__main__":
    sys.exit(main())
