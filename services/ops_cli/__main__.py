"""python -m services.ops_cli; `ops-cli` beside the Makefile calls it from anywhere."""

import sys

from services.ops_cli.app import run


def main() -> None:
    """Ends with one of the codes of exits.Exit."""
    sys.exit(run(sys.argv[1:]))


if __name__ == "__main__":
    main()
