"""Arrays on their way to PostgreSQL.

asyncpg asks of each element of an array whether it is an array itself, by an abstract class in Python: a tenth of what
a batch of the engine costs. Our arrays are lists and tuples, so two plain types give the same answer.
"""

from __future__ import annotations

from asyncpg.protocol import protocol


def only_lists_and_tuples() -> None:
    """No other class is an array to asyncpg from now on; a set or a view in its place is a DataError."""
    assert hasattr(protocol, "IterableABC"), "asyncpg looks at the elements of an array in another way now"
    protocol.IterableABC = (list, tuple)
