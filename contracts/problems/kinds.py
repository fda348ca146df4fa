"""What a type of problem is: RFC 9457's `type`, and what we promise of it."""

from __future__ import annotations

from dataclasses import dataclass

BASE = "https://corridor.dev/problems/"  # stable: the whole `type` is the contract, also for stored answers


@dataclass(frozen=True, kw_only=True)
class ProblemType:
    """One entry of the catalogue. `code` and `title` follow from `slug`, unless a runbook has a literal of its own."""

    slug: str
    status: int
    meaning: str  # for somebody who has never seen it: what has happened, and what has not
    action: str  # what the caller does now
    code: str = ""
    title: str = ""

    def __post_init__(self) -> None:
        """Derive what is not given, by the rule by which it is raised."""
        words = self.slug.replace("/", "-").replace("-", " ")
        code = self.code or words.upper().replace(" ", "_")
        object.__setattr__(self, "title", self.title or code.replace("_", " ").capitalize())
        object.__setattr__(self, "code", code)

    @property
    def uri(self) -> str:
        """The `type` of the answer."""
        return BASE + self.slug
