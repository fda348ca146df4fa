"""The only exceptions that a domain raises: a wish that is refused, with its reason and its data."""

from __future__ import annotations

import re
from typing import ClassVar

_CAMEL = re.compile(r"(?<!^)(?=[A-Z])")


class Rejected(Exception):
    """A refusal. The class name says why; `code` is UPPER_SNAKE, `slug` the last part of the problem's `type`.

    Positional arguments are the data of the refusal; they are shown to the caller and hold no secret.
    """

    code: ClassVar[str] = "REJECTED"
    slug: ClassVar[str] = "rejected"
    status: ClassVar[int] = 409

    def __init_subclass__(cls) -> None:
        """Derive code and slug from the name, unless the class gives its own (a runbook's literal)."""
        words = _CAMEL.sub("_", cls.__name__)
        if "code" not in cls.__dict__:
            cls.code = words.upper()
        if "slug" not in cls.__dict__:
            cls.slug = cls.code.lower().replace("_", "-")

    @property
    def detail(self) -> str:
        """One sentence for a person: the docstring of the class, then the data."""
        sentence = (type(self).__doc__ or self.code).strip().splitlines()[0]
        return f"{sentence} ({', '.join(str(part) for part in self.args)})" if self.args else sentence


class NotFound(Rejected):
    """There is no such thing, or it belongs to somebody else."""

    status = 404


class Forbidden(Rejected):
    """The role of the caller does not allow this."""

    status = 403


class Invalid(Rejected):
    """The value can be read but means nothing here."""

    status = 422
