"""Corridors as written in `deploy/corridors.json`. A file that is not wholly right is refused at the start."""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

from services.kernel.money import Money, iso4217
from services.kernel.rejected import Invalid
from services.quote.domain import Corridor, Corridors

BASIS_POINTS_MAX = 2_000  # 20 %: a fee or spread above it is a typing error
WORD = re.compile(r"[a-z0-9][a-z0-9-]{0,31}", re.ASCII)  # becomes part of an account's path, so it has no colon
FIELDS = frozenset({
    "source", "target", "send_minor_min", "send_minor_max", "fee_flat_minor", "fee_basis_points", "fee_minor_min",
    "spread_basis_points", "tolerance_minor", "rail", "partner", "quote_seconds", "funding_seconds",
    "rate_max_age_seconds",
})  # fmt: skip


class CorridorsInvalid(Exception):
    """The configuration cannot be used; the service does not start with it."""


def load(path: Path) -> Corridors:
    """The corridors of that file. Raises CorridorsInvalid, OSError."""
    return parse(path.read_bytes())


def parse(body: bytes) -> Corridors:
    """The corridors of that JSON text. Raises CorridorsInvalid."""
    try:
        document = json.loads(body)
        version = whole("version", document["version"], 1)
        corridors = {name: corridor(name, version, entry) for name, entry in document["corridors"].items()}
    except (KeyError, TypeError, AttributeError, ValueError, Invalid) as error:
        raise CorridorsInvalid(f"not in the form of corridors.json: {error!r}") from error
    if not corridors:
        raise CorridorsInvalid("no corridor")
    return Corridors(version, corridors)


def corridor(name: str, version: int, entry: dict[str, Any]) -> Corridor:
    """One corridor; its amounts are in minor units of the source currency."""
    if set(entry) != FIELDS:
        raise CorridorsInvalid(f"{name}: missing or unknown {sorted(set(entry) ^ FIELDS)}")
    source = iso4217(entry["source"])

    def minor(field: str, least: int) -> Money:
        return Money(whole(f"{name}.{field}", entry[field], least), source)

    result = Corridor(
        name=name,
        version=version,
        source=source,
        target=iso4217(entry["target"]),
        send_min=minor("send_minor_min", 1),
        send_max=minor("send_minor_max", 1),
        fee_flat=minor("fee_flat_minor", 0),
        fee_basis_points=whole(f"{name}.fee_basis_points", entry["fee_basis_points"], 0, BASIS_POINTS_MAX),
        fee_min=minor("fee_minor_min", 0),
        spread_basis_points=whole(f"{name}.spread_basis_points", entry["spread_basis_points"], 0, BASIS_POINTS_MAX),
        tolerance=minor("tolerance_minor", 0),
        rail=word(f"{name}.rail", entry["rail"]),
        partner=word(f"{name}.partner", entry["partner"]),
        quote_seconds=whole(f"{name}.quote_seconds", entry["quote_seconds"], 1),
        funding_seconds=whole(f"{name}.funding_seconds", entry["funding_seconds"], 1),
        rate_max_age_seconds=whole(f"{name}.rate_max_age_seconds", entry["rate_max_age_seconds"], 1),
    )
    if result.send_max < result.send_min or not result.tolerance < result.send_min:
        raise CorridorsInvalid(
            f"{name}: the limits contradict each other, or the tolerance swallows the smallest amount"
        )
    return result


def whole(field: str, value: object, least: int, most: int = 10**12) -> int:
    """A whole number in its bounds; true and 1.0 are none."""
    if type(value) is not int or not least <= value <= most:
        raise CorridorsInvalid(f"{field} must be a whole number from {least} to {most}")
    return value


def word(field: str, value: object) -> str:
    """A short name of lower case letters, digits and hyphens."""
    if not isinstance(value, str) or not WORD.fullmatch(value):
        raise CorridorsInvalid(f"{field} must be a short lower-case name")
    return value
