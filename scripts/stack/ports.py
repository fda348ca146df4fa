"""Free TCP ports on the loopback interface."""

import random
import socket

# Below the range from which kernels take ports for outgoing connections (32768 on Linux, 49152 elsewhere): a port
# found free here cannot be taken by a client before our server has bound it.
LOWEST, HIGHEST = 20_000, 32_000
ATTEMPTS = 200


class NoFreePort(Exception):
    """No run of free ports was found in the range."""


def is_free(port: int) -> bool:
    """True when a server could listen on 127.0.0.1:`port` now."""
    with socket.socket() as probe:
        probe.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            probe.bind(("127.0.0.1", port))
        except OSError:
            return False
    return True


def free_port(adjacent: int = 1) -> int:
    """The first of `adjacent` consecutive free ports. Raises NoFreePort."""
    for _ in range(ATTEMPTS):
        first = random.randrange(LOWEST, HIGHEST - adjacent)  # noqa: S311 - not a secret; concurrent callers must differ
        if all(is_free(port) for port in range(first, first + adjacent)):
            return first
    raise NoFreePort(adjacent)
