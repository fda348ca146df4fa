"""What PostgreSQL does for a statement with the plan that our sessions use: the generic one."""

from __future__ import annotations

import json
from typing import Any

import asyncpg


async def planned(session: asyncpg.Connection[Any], sql: str, values: list[Any]) -> list[dict[str, Any]]:
    """The nodes of the plan, as it ran."""
    await session.execute(f"DEALLOCATE ALL; PREPARE page AS {sql}")
    given = f"({', '.join(map(_literal, values))})"
    (row,) = await session.fetch(f"EXPLAIN (ANALYZE, FORMAT JSON) EXECUTE page{given}")
    return _nodes(json.loads(row[0])[0]["Plan"])


def indexes_of(nodes: list[dict[str, Any]]) -> list[str]:
    """The indexes that it reads."""
    return [node["Index Name"] for node in nodes if "Index Name" in node]


def _nodes(plan: dict[str, Any]) -> list[dict[str, Any]]:
    return [plan, *(node for each in plan.get("Plans", ()) for node in _nodes(each))]


def _literal(value: Any) -> str:
    match value:
        case bytes():
            return f"'\\x{value.hex()}'"
        case list():
            return "'{" + ",".join(f'"{each}"' for each in value) + "}'"
        case _:
            return f"'{value}'"
