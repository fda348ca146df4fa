"""What a timeline shows of an event: who, when, why, and none of what is sealed."""

from __future__ import annotations

from uuid import UUID

import msgspec
from hypothesis import given
from hypothesis import strategies as st

from services.kernel.codec import encode
from services.kernel.sealed import Sealed
from services.kernel.timeline import MASK, masked, trace_id

JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.text(),
    lambda inner: st.lists(inner, max_size=3) | st.dictionaries(st.text(max_size=5), inner, max_size=3),
)
BOX = "c2VjcmV0LW5hbWU="


def sealed() -> object:
    return msgspec.json.decode(encode(Sealed(UUID(int=1), 1, BOX)))


@given(before=JSON, after=JSON)
def test_a_sealed_value_is_masked_wherever_it_is(before: object, after: object) -> None:
    shown = masked({"before": before, "deep": [{"name": sealed(), "all": [sealed(), after]}]})
    assert BOX not in str(shown)
    assert shown == {"before": before, "deep": [{"name": MASK, "all": [MASK, after]}]}


def test_a_trace_is_the_second_field_of_its_parent() -> None:
    assert trace_id(f"00-{'a' * 32}-{'b' * 16}-01") == "a" * 32
    assert trace_id(None) is trace_id("nonsense") is None
