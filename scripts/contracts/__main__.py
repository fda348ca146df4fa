"""Schemas, golden examples, AsyncAPI, OpenAPI, docs/events.md and docs/errors/, from contracts/ and the services.

python -m scripts.contracts write                   write what differs; refuses what would break a frozen schema
python -m scripts.contracts check [--against REF]   exit 1 when a file differs or a schema would do more than grow;
                                                    REF: also against the schemas of that commit (CI: origin/main)
"""

import sys

from scripts.contracts.files import faults, since, write


def main(arguments: list[str]) -> int:
    """The exit code. Raises SystemExit with the usage for anything else."""
    match arguments:
        case ["write"]:
            found = write()
        case ["check"]:
            found = faults()
        case ["check", "--against", reference]:
            found = faults() + since(reference)
        case _:
            raise SystemExit(__doc__)
    for fault in found:
        print(fault, file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
