"""A planted change for each rule: what a schema may do, and what it may not."""

from collections.abc import Callable
from copy import deepcopy
from typing import Any

import pytest

from contracts.transfer.v1 import PayoutInitiated, TransferOpened
from scripts.contracts.additive import RULES, Break, breaks
from scripts.contracts.schema import schema_of

Schema = dict[str, Any]
OLD: Schema = {
    "$id": "contracts/schemas/corridor.jar.added.v1.json",
    "type": "object",
    "properties": {
        "jar_id": {"type": "string", "format": "uuid"},
        "label": {"type": "string", "pattern": "^[a-z]+$"},
        "side": {"type": "string", "enum": ["debit", "credit"]},
        "lid": {"anyOf": [{"$ref": "#/$defs/Lid"}, {"type": "null"}]},
        "amounts": {"type": "array", "items": {"$ref": "#/$defs/Money"}},
        "rail": {"type": "string", "default": "bank"},
    },
    "required": ["jar_id", "label", "side", "lid", "amounts"],
    "$defs": {
        "Money": {
            "type": "object",
            "properties": {"minor": {"type": "integer", "minimum": 0}, "currency": {"type": "string"}},
            "required": ["minor", "currency"],
        },
        "Lid": {"type": "object", "properties": {"colour": {"type": "string"}}, "required": ["colour"]},
    },
}


def changed(change: Callable[[Schema], Any]) -> list[Break]:
    """What `change` breaks."""
    new = deepcopy(OLD)
    change(new)
    return breaks(OLD, new)


def at(schema: Schema, *names: str) -> Schema:
    """A property, however deep in the definitions."""
    *definition, name = names
    node: Schema = schema["$defs"][definition[0]] if definition else schema
    found: Schema = node["properties"][name]
    return found


def removed(schema: Schema) -> None:
    del schema["properties"]["side"]
    schema["required"].remove("side")


def renamed(schema: Schema) -> None:
    schema["properties"]["caption"] = schema["properties"].pop("label")
    schema["required"] = ["caption" if name == "label" else name for name in schema["required"]]


def newly_required(schema: Schema) -> None:
    schema["properties"]["weight"] = {"type": "integer"}
    schema["required"].append("weight")


PLANTED: tuple[tuple[str, str, Callable[[Schema], Any]], ...] = (
    ("field_removed", "$", removed),
    ("field_renamed", "$", renamed),
    ("new_required_field", "$", newly_required),
    ("field_made_required", "$", lambda new: new["required"].append("rail")),
    ("field_made_optional", "$", lambda new: new["required"].remove("side")),
    ("field_made_optional", "$.amounts[]", lambda new: new["$defs"]["Money"]["required"].remove("currency")),
    ("type_changed", "$.jar_id", lambda new: at(new, "jar_id").update(type=["string", "null"])),
    ("type_changed", "$.amounts[].minor", lambda new: at(new, "Money", "minor").update(type="number")),
    ("alternatives_changed", "$.lid", lambda new: at(new, "lid")["anyOf"].pop()),
    ("format_changed", "$.jar_id", lambda new: at(new, "jar_id").pop("format")),
    ("pattern_changed", "$.label", lambda new: at(new, "label").update(pattern="^[a-z]{3}$")),
    ("pattern_changed", "$.lid|0.colour", lambda new: at(new, "Lid", "colour").update(pattern="^red$")),
    ("enum_value_removed", "$.side", lambda new: at(new, "side").update(enum=["debit"])),
    ("enum_value_added", "$.side", lambda new: at(new, "side").update(enum=["debit", "credit", "both"])),
    ("default_changed", "$.rail", lambda new: at(new, "rail").update(default="mobile")),
    ("closed", "$", lambda new: new.update(additionalProperties=False)),
    ("id_changed", "$", lambda new: new.update({"$id": "elsewhere"})),
    ("constraint_changed", "$.amounts[].minor", lambda new: at(new, "Money", "minor").update(minimum=1)),
    ("constraint_changed", "$.label", lambda new: at(new, "label").update(maxLength=10)),
    ("constraint_changed", "$.label", lambda new: at(new, "label").update(enum=["a"])),
)


@pytest.mark.parametrize(("rule", "path", "change"), PLANTED)
def test_a_breaking_change_is_named_with_its_place(rule: str, path: str, change: Callable[[Schema], Any]) -> None:
    assert [(found.rule, found.path) for found in changed(change)] == [(rule, path)]


def test_every_rule_has_a_planted_change() -> None:
    assert {rule for rule, _, _ in PLANTED} == {rule.name for rule in RULES}


def test_every_rule_has_a_name_of_its_own_and_a_reason() -> None:
    assert len({rule.name for rule in RULES}) == len(RULES)
    assert all(rule.why for rule in RULES)


def test_an_optional_field_may_be_added() -> None:
    assert changed(lambda new: new["properties"].update(weight={"type": "integer", "default": 0})) == []


def test_an_optional_field_may_be_added_deep_inside() -> None:
    added = {"type": "string", "default": ""}
    assert changed(lambda new: new["$defs"]["Money"]["properties"].update(note=added)) == []


def test_words_may_change() -> None:
    assert changed(lambda new: at(new, "label").update(description="what it says")) == []


def test_a_rename_names_both() -> None:
    assert changed(renamed) == [Break("field_renamed", "$", "label -> caption")]


def test_a_schema_breaks_nothing_of_its_own() -> None:
    assert breaks(schema_of(TransferOpened), schema_of(TransferOpened)) == []


def test_another_event_under_the_same_name_breaks() -> None:
    assert breaks(schema_of(PayoutInitiated), schema_of(TransferOpened))
