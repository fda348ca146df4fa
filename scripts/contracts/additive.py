"""A schema may only grow: what a change breaks, for readers of new events by the old schema and of old ones by the new.

Within a version only an optional field may be added. Everything else is a new version with an upcast; a new meaning is
a new type.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

Schema = Mapping[str, Any]
ANNOTATIONS = frozenset({"title", "description", "$comment", "$defs", "examples", "$schema"})  # may change at will
STRUCTURE = frozenset({"properties", "required", "items", "anyOf", "$ref"})  # compared by the rules and the walk
_ABSENT = object()


@dataclass(frozen=True, slots=True)
class Break:
    """A change that is not allowed: which rule, at which path of the schema, and what it was about."""

    rule: str
    path: str
    what: str

    def __str__(self) -> str:
        return f"{self.rule} at {self.path}: {self.what}"


class Rule(NamedTuple):
    """`find` gives what is wrong between two nodes, one text each. `why` is for the reader of the refusal."""

    name: str
    why: str
    find: Callable[[Schema, Schema], Iterator[str]]


def _removed(old: Schema, new: Schema) -> Iterator[str]:
    for name, node in _gone(old, new).items():
        if not _successors(node, old, new):
            yield name


def _renamed(old: Schema, new: Schema) -> Iterator[str]:
    for name, node in _gone(old, new).items():
        if found := _successors(node, old, new):
            yield f"{name} -> {' or '.join(found)}"


def _new_required(old: Schema, new: Schema) -> Iterator[str]:
    renamed = {name for node in _gone(old, new).values() for name in _successors(node, old, new)}
    added = new.get("properties", {}).keys() - old.get("properties", {}).keys() - renamed
    yield from sorted(added & set(new.get("required", ())))


def _made_required(old: Schema, new: Schema) -> Iterator[str]:
    yield from sorted(_both(old, new) & set(new.get("required", ())) - set(old.get("required", ())))


def _made_optional(old: Schema, new: Schema) -> Iterator[str]:
    yield from sorted(_both(old, new) & set(old.get("required", ())) - set(new.get("required", ())))


def _enum_removed(old: Schema, new: Schema) -> Iterator[str]:
    if "enum" in old and "enum" in new:
        yield from (str(value) for value in old["enum"] if value not in new["enum"])


def _enum_added(old: Schema, new: Schema) -> Iterator[str]:
    if "enum" in old and "enum" in new:
        yield from (str(value) for value in new["enum"] if value not in old["enum"])


def _alternatives(old: Schema, new: Schema) -> Iterator[str]:
    if len(old.get("anyOf", ())) != len(new.get("anyOf", ())):
        yield f"{len(old.get('anyOf', ()))} alternatives became {len(new.get('anyOf', ()))}"


def _changed(key: str) -> Callable[[Schema, Schema], Iterator[str]]:
    def find(old: Schema, new: Schema) -> Iterator[str]:
        before, after = old.get(key, _ABSENT), new.get(key, _ABSENT)
        if before != after:
            yield f"{_text(before)} -> {_text(after)}"

    return find


def _other(old: Schema, new: Schema) -> Iterator[str]:
    known = ANNOTATIONS | STRUCTURE | NAMED_KEYS | {"enum"}
    for key in sorted((old.keys() | new.keys()) - known):
        if old.get(key, _ABSENT) != new.get(key, _ABSENT):
            yield f"{key}: {_text(old.get(key, _ABSENT))} -> {_text(new.get(key, _ABSENT))}"
    if ("enum" in old) != ("enum" in new):
        yield "enum: present on one side only"


NAMED_KEYS = frozenset({"$id", "type", "format", "pattern", "default", "additionalProperties"})
RULES: tuple[Rule, ...] = (
    Rule("field_removed", "a reader relies on it", _removed),
    Rule("field_renamed", "it is a removal and an addition: add the new one, keep the old one", _renamed),
    Rule("new_required_field", "stored events do not have it", _new_required),
    Rule("field_made_required", "stored events may lack it", _made_required),
    Rule("field_made_optional", "a reader relies on its being there", _made_optional),
    Rule("type_changed", "narrower refuses stored events, wider surprises readers", _changed("type")),
    Rule("alternatives_changed", "null or another form came or went", _alternatives),
    Rule("format_changed", "the text is read in another way", _changed("format")),
    Rule("pattern_changed", "stored texts may not fit, or readers' checks may not", _changed("pattern")),
    Rule("enum_value_removed", "stored events have it", _enum_removed),
    Rule("enum_value_added", "a new meaning: readers know the closed list only", _enum_added),
    Rule("default_changed", "what stored events left out would mean something else", _changed("default")),
    Rule("closed", "unknown members must stay allowed, or nothing can be added", _changed("additionalProperties")),
    Rule("id_changed", "the `ce_dataschema` of stored records names it", _changed("$id")),
    Rule("constraint_changed", "any other keyword that judges values", _other),
)


def breaks(old: Schema, new: Schema) -> list[Break]:
    """What `new` breaks for those who rely on `old`; nothing when it only adds optional fields."""
    return list(_walk("$", old, new, old, new))


def _walk(path: str, old: Schema, new: Schema, old_root: Schema, new_root: Schema) -> Iterator[Break]:
    old, new = _resolved(old, old_root), _resolved(new, new_root)
    for rule in RULES:
        yield from (Break(rule.name, path, what) for what in rule.find(old, new))
    for name in sorted(_both(old, new)):
        yield from _walk(f"{path}.{name}", old["properties"][name], new["properties"][name], old_root, new_root)
    if "items" in old and "items" in new:
        yield from _walk(f"{path}[]", old["items"], new["items"], old_root, new_root)
    for at, (before, after) in enumerate(zip(old.get("anyOf", ()), new.get("anyOf", ()), strict=False)):
        yield from _walk(f"{path}|{at}", before, after, old_root, new_root)


def _resolved(node: Schema, root: Schema) -> Schema:
    """The node with its local reference followed; what stands beside a reference counts too."""
    if "$ref" not in node:
        return node
    beside = {key: value for key, value in node.items() if key != "$ref"}
    return {**root["$defs"][node["$ref"].removeprefix("#/$defs/")], **beside}


def _gone(old: Schema, new: Schema) -> dict[str, Schema]:
    return {name: node for name, node in old.get("properties", {}).items() if name not in new.get("properties", {})}


def _successors(node: Schema, old: Schema, new: Schema) -> list[str]:
    """Added fields that look like the one that is gone."""
    added = {name: each for name, each in new.get("properties", {}).items() if name not in old.get("properties", {})}
    return [name for name, each in added.items() if _judging(each) == _judging(node)]


def _judging(node: Schema) -> dict[str, Any]:
    return {key: value for key, value in node.items() if key not in ANNOTATIONS | {"default"}}


def _both(old: Schema, new: Schema) -> set[str]:
    return set(old.get("properties", {}).keys() & new.get("properties", {}).keys())


def _text(value: Any) -> str:
    return "nothing" if value is _ABSENT else repr(value)
