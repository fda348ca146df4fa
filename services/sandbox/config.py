"""What a test may set while the sandbox runs. Pure: reading and writing it is the book's job."""

from collections.abc import Mapping
from dataclasses import asdict, dataclass, fields, replace
from typing import Any

Json = Mapping[str, Any]


@dataclass(frozen=True, kw_only=True)
class SigningKey:
    """The key id tells Corridor which partner speaks."""

    partner: str
    key_id: str
    secret: str


@dataclass(frozen=True, kw_only=True)
class Config:
    """All times in seconds. Without `corridor_url` everything is booked and nothing is sent."""

    corridor_url: str | None = None
    signing_keys: tuple[SigningKey, ...] = ()
    settle_delay_seconds: float = 0.2
    callbacks: bool = True  # off: payments settle silently, Corridor has to ask
    api_key: str | None = None  # what /bank/* wants as bearer; None: no door
    bank_partner: str | None = None  # signs payout callbacks; None: the first key's partner
    collect_partner: str | None = None  # reports deposits that name nobody; None: the first key's partner
    rates_published_at: str | None = None  # RFC 3339; None: the rates are always of this moment
    attempts_max: int = 1_000  # then a delivery is abandoned; with the 5 s ceiling about 80 minutes

    def key(self, partner: str) -> SigningKey | None:
        """The newest key of `partner`, that is the last one given."""
        return next((key for key in reversed(self.signing_keys) if key.partner == partner), None)

    def bank(self) -> str:
        return self.bank_partner or self._first_partner()

    def collector(self) -> str:
        return self.collect_partner or self._first_partner()

    def _first_partner(self) -> str:
        return self.signing_keys[0].partner if self.signing_keys else ""


KINDS: Mapping[str, tuple[type, ...]] = {
    "corridor_url": (str, type(None)),
    "signing_keys": (list,),
    "settle_delay_seconds": (int, float),
    "callbacks": (bool,),
    "api_key": (str, type(None)),
    "bank_partner": (str, type(None)),
    "collect_partner": (str, type(None)),
    "rates_published_at": (str, type(None)),
    "attempts_max": (int,),
}
assert set(KINDS) == {field.name for field in fields(Config)}


def patched(config: Config, patch: Json) -> Config:
    """`config` with the named fields replaced. Raises ValueError with a sentence."""
    for name, value in patch.items():
        if name not in KINDS:
            raise ValueError(f"unknown setting {name}")
        if not isinstance(value, KINDS[name]) or (isinstance(value, bool) and bool not in KINDS[name]):
            raise ValueError(f"{name} has the wrong type")
    changes = dict(patch)
    if "signing_keys" in changes:
        changes["signing_keys"] = tuple(_signing_key(key) for key in changes["signing_keys"])
    if isinstance(changes.get("corridor_url"), str):
        changes["corridor_url"] = changes["corridor_url"].rstrip("/")
    return replace(config, **changes)


def _signing_key(key: Any) -> SigningKey:
    if not isinstance(key, dict) or not all(isinstance(value, str) and value for value in key.values()):
        raise ValueError("a signing key is {partner, key_id, secret}")
    try:
        return SigningKey(**key)
    except TypeError:
        raise ValueError("a signing key is {partner, key_id, secret}") from None


def as_json(config: Config, *, secrets: bool) -> dict[str, Any]:
    """For the book (`secrets=True`) or for eyes."""
    shown = asdict(config)
    shown["signing_keys"] = list(shown["signing_keys"])
    if not secrets:
        shown["api_key"] = shown["api_key"] and "***"
        shown["signing_keys"] = [{**key, "secret": "***"} for key in shown["signing_keys"]]
    return shown
