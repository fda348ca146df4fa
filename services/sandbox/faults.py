"""Fault switches: which answer, callback or deposit goes wrong, how and how often. Holds rules and dice, no I/O."""

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import asdict, dataclass, field
from random import Random
from typing import Any

Item = Mapping[str, Any]

ITEM_FAULTS = frozenset({"refuse", "contradict", "not_found"})  # inside a bulk answer these hit one item
ANSWER_FAULTS = frozenset({"delay", "drop_after_accept", "drop_before_accept", "error_500", "error_503", "malformed"})
SENDING_FAULTS = frozenset(
    {"delay", "late_callback", "no_callback", "duplicate_callback", "malformed", "bad_signature", "contradict"}
)
ALLOWED: Mapping[str, frozenset[str]] = {
    "submit": ANSWER_FAULTS | {"refuse", "contradict"},
    "status": ANSWER_FAULTS | {"contradict", "not_found"},
    "callback": SENDING_FAULTS | {"refuse"},  # refuse here: accepted at first, RJCT instead of settled
    "deposit": SENDING_FAULTS,
}
KINDS: Mapping[str, Any] = {
    "on": str, "fault": str, "match": dict, "times": int | None, "probability": int | float, "seconds": int | float,
    "reason_code": str, "n": int, "accept": bool | None, "hits": int,
}  # fmt: skip
COPIES_MAX = 100  # duplicates of one callback
RULES_MAX = 1_000  # a list that a person or a test writes


@dataclass(kw_only=True)
class Rule:
    """One switch. `times` counts down, per item for item faults and per answer for answer faults; None: for ever."""

    on: str
    fault: str
    match: dict[str, Any] = field(default_factory=dict)  # every field equal, or one of a list; {}: everything
    times: int | None = None
    probability: float = 1.0
    seconds: float = 0.0  # delay, late_callback; for a drop: how long the line hangs first
    reason_code: str = "AC01"  # refuse
    n: int = 1  # duplicate_callback: how many more
    accept: bool | None = None  # error_500, error_503: booked before the error? None: 500 yes, 503 no
    hits: int = 0

    def matches(self, item: Item) -> bool:
        return all(_equal(item.get(name), wanted) for name, wanted in self.match.items())

    def spent(self) -> bool:
        return self.times is not None and self.times <= 0

    def books(self) -> bool:
        """Whether the payments of this answer are in the book although the answer goes wrong."""
        if self.accept is not None:
            return self.accept
        return self.fault not in {"drop_before_accept", "error_503"}

    def hit(self) -> "Rule":
        self.hits += 1
        if self.times is not None:
            self.times -= 1
        return self


@dataclass(frozen=True)
class Strike:
    """What one request gets: rules for its answer as a whole, and a rule for single items by their index."""

    whole: tuple[Rule, ...]
    items: Mapping[int, Rule]

    @property
    def hit(self) -> bool:
        return bool(self.whole or self.items)


class Faults:
    def __init__(self, rng: Random, rules: Iterable[Rule] = ()) -> None:
        self._rng = rng
        self._rules = list(rules)

    def replace(self, rules: Sequence[Rule]) -> None:
        self._rules = list(rules)

    def add(self, rules: Sequence[Rule]) -> None:
        if len(self._rules) + len(rules) > RULES_MAX:
            raise ValueError(f"more than {RULES_MAX} rules")
        self._rules.extend(rules)

    def listed(self) -> list[dict[str, Any]]:
        return [asdict(rule) for rule in self._rules]

    def strike(self, on: str, items: Sequence[Item]) -> Strike:
        """Rolls the dice once for each answer fault that some item matches, once for each item otherwise."""
        live = [rule for rule in self._rules if rule.on == on and not rule.spent()]
        if not live:
            return NOTHING
        whole = [r for r in live if r.fault in ANSWER_FAULTS and any(map(r.matches, items)) and self._falls(r)]
        return Strike(tuple(rule.hit() for rule in whole), self._per_item(live, items))

    def for_item(self, on: str, item: Item) -> tuple[Rule, ...]:
        """All rules that hit one thing that is sent on its own: a callback's payment, a deposit."""
        live = [rule for rule in self._rules if rule.on == on and not rule.spent() and rule.matches(item)]
        return tuple(rule.hit() for rule in live if self._falls(rule))

    def _per_item(self, live: Sequence[Rule], items: Sequence[Item]) -> dict[int, Rule]:
        single = [rule for rule in live if rule.fault in ITEM_FAULTS]
        struck: dict[int, Rule] = {}
        for index, item in enumerate(items) if single else ():
            rule = next((r for r in single if not r.spent() and r.matches(item) and self._falls(r)), None)
            if rule is not None:
                struck[index] = rule.hit()
        return struck

    def _falls(self, rule: Rule) -> bool:
        return rule.probability >= 1.0 or self._rng.random() < rule.probability


NOTHING = Strike((), {})


def parse_rules(body: Any) -> list[Rule]:
    """One rule, a list of them, or `{"rules": [...]}`. Raises ValueError with a sentence."""
    raw = body.get("rules", [body]) if isinstance(body, dict) else body
    if not isinstance(raw, list) or len(raw) > RULES_MAX:
        raise ValueError(f"a list of at most {RULES_MAX} rules")
    return [_parse_rule(rule) for rule in raw]


def _parse_rule(raw: Any) -> Rule:
    try:
        rule = Rule(**raw)
    except TypeError as error:
        raise ValueError(f"not a rule: {error}") from None
    wrong = [name for name, kinds in KINDS.items() if not isinstance(getattr(rule, name), kinds)]
    if wrong:
        raise ValueError(f"wrong type: {', '.join(wrong)}")
    if rule.on not in ALLOWED or rule.fault not in ALLOWED[rule.on]:
        possible = {on: sorted(faults) for on, faults in ALLOWED.items()}
        raise ValueError(f"no fault {rule.fault!r} on {rule.on!r}; possible: {possible}")
    if not 0 <= rule.probability <= 1 or not 0 <= rule.seconds <= 86_400 or not 0 <= rule.n <= COPIES_MAX:
        raise ValueError(f"probability 0..1, seconds 0..86400, n 0..{COPIES_MAX}")
    return rule


def _equal(value: Any, wanted: Any) -> bool:
    return value in wanted if isinstance(wanted, list) else bool(value == wanted)
