"""The one Kafka request that tells whether a broker serves clients. Blocking, by hand: no client library to start."""

import socket
import struct

METADATA, VERSION = 3, 1
CLIENT_ID = b"corridor-probe"
ANSWER_SECONDS = 1.0
MAX_ANSWER_BYTES = 1 << 20  # an answer without topics is some hundred bytes; more means that this is no broker


def brokers_answering(host: str, port: int) -> int:
    """How many brokers a Metadata request names; 0 while nobody answers."""
    try:
        with socket.create_connection((host, port), timeout=ANSWER_SECONDS) as connection:
            connection.sendall(_request())
            return _brokers(_read(connection))
    except (OSError, struct.error):
        return 0


def _request() -> bytes:
    """Metadata v1 with an empty list of topics: brokers only."""
    body = struct.pack(f">hhih{len(CLIENT_ID)}si", METADATA, VERSION, 1, len(CLIENT_ID), CLIENT_ID, 0)
    return struct.pack(">i", len(body)) + body


def _read(connection: socket.socket) -> bytes:
    (size,) = struct.unpack(">i", _exactly(connection, 4))
    if not 0 < size <= MAX_ANSWER_BYTES:
        raise OSError(f"an answer of {size} bytes")
    return _exactly(connection, size)


def _exactly(connection: socket.socket, size: int) -> bytes:
    data = b""
    while len(data) < size:
        part = connection.recv(size - len(data))
        if not part:
            raise OSError("closed")
        data += part
    return data


def _brokers(answer: bytes) -> int:
    """The answer begins with the correlation id and the number of brokers, four bytes each."""
    correlation, brokers = struct.unpack_from(">ii", answer)
    return int(brokers) if correlation == 1 else 0
