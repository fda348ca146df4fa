"""What the generator makes of a class."""

from dataclasses import dataclass
from datetime import datetime
from typing import Any, ClassVar, Literal
from uuid import UUID

import pytest
from jsonschema import Draft202012Validator

from contracts.transfer.v1 import PayoutInitiated
from scripts.contracts.files import schemas
from scripts.contracts.schema import Unschematic, schema_of
from services.kernel.envelope import headers_of
from tests.contracts.samples import stored


@dataclass(frozen=True, kw_only=True, slots=True)
class Poured:
    """Something was poured."""

    type: ClassVar[str] = "corridor.jar.poured.v1"
    jar_id: UUID
    at: datetime
    times: int  # from 1
    side: Literal["debit", "credit"] | None
    marks: tuple[str, ...] = ()


@dataclass(frozen=True, kw_only=True, slots=True)
class Weighed:
    """A float is no amount."""

    type: ClassVar[str] = "corridor.jar.weighed.v1"
    kilograms: float


def test_a_class_becomes_its_schema() -> None:
    assert schema_of(Poured) == {
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "$id": "contracts/schemas/corridor.jar.poured.v1.json",
        "title": "Poured",
        "description": "Something was poured.",
        "type": "object",
        "properties": {
            "jar_id": {"type": "string", "format": "uuid"},
            "at": {"type": "string", "format": "date-time"},
            "times": {"type": "integer", "description": "from 1"},
            "side": {"anyOf": [{"type": "string", "enum": ["debit", "credit"]}, {"type": "null"}]},
            "marks": {"type": "array", "items": {"type": "string"}, "default": []},
        },
        "required": ["jar_id", "at", "times", "side"],
    }


def test_money_is_whole_minor_units_within_its_limits() -> None:
    money = schema_of(PayoutInitiated)["$defs"]["Money"]["properties"]
    assert money["minor"] == {"type": "integer", "minimum": 0, "maximum": 10**15}
    assert money["currency"] == {"type": "string", "pattern": "^[A-Z]{3}$"}


def test_a_float_has_no_schema() -> None:
    with pytest.raises(Unschematic):
        schema_of(Weighed)


@pytest.mark.parametrize("schema", schemas().values(), ids=lambda schema: schema["$id"])
def test_every_schema_is_one(schema: dict[str, Any]) -> None:
    Draft202012Validator.check_schema(schema)


def test_the_id_of_a_schema_is_what_the_records_name() -> None:
    headers = dict(headers_of(stored(), "/corridor/quote", 1))
    assert (
        schema_of(PayoutInitiated)["$id"].replace("transfer.payout_initiated", "quote.created")
        == headers["ce_dataschema"].decode()
    )
