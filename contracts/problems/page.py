"""The page of a problem type as Markdown: the same under docs/errors/ and at GET /problems/<slug>."""

from __future__ import annotations

import json
import re
from typing import Any

from contracts.problems import PROBLEMS
from contracts.problems.kinds import ProblemType

TRACE_ID = "4bf92f3577b34da6a3ce929d0e0e4736"
_SENTENCE = re.compile(r"(?<=\.)\s")
PAGE = """\
# {title}

| type | status | code |
|---|---|---|
| `{uri}` | {status} | `{code}` |

## What it means

{meaning}

## What to do

{action}

## Example

```json
{example}
```
"""
INDEX = """\
# Problems

Whatever is refused is answered as `application/problem+json` (RFC 9457). `type` and `code` never change their meaning;
`detail` is for people. Every type has a page that says what it means and what to do; core_api serves it at
`GET /problems/<slug>`.

| status | code | what it means |
|---|---|---|
{rows}
"""


def first_sentence(text: str) -> str:
    """Up to its full stop."""
    return _SENTENCE.split(text, maxsplit=1)[0]


def example(kind: ProblemType) -> dict[str, Any]:
    """An answer of this type."""
    faults = {"errors": [{"pointer": "/send_minor", "code": "missing"}]} if "`errors`" in kind.meaning else {}
    return {
        "type": kind.uri, "title": kind.title, "status": kind.status,
        "detail": first_sentence(kind.meaning).replace("`", ""), "code": kind.code, **faults,
        "instance": f"urn:corridor:request:{TRACE_ID}", "trace_id": TRACE_ID,
    }  # fmt: skip


def page(kind: ProblemType) -> str:
    """The whole page."""
    shown = json.dumps(example(kind), indent=2, ensure_ascii=False)
    return PAGE.format(
        title=kind.title, uri=kind.uri, status=kind.status, code=kind.code, meaning=kind.meaning, action=kind.action,
        example=shown,
    )  # fmt: skip


def index(before: str = "", after: str = ".md") -> str:
    """All types by status; a slug between `before` and `after` is the address of its page."""
    rows = (
        f"| {kind.status} | [`{kind.code}`]({before}{kind.slug}{after}) | {first_sentence(kind.meaning)} |"
        for kind in PROBLEMS.values()
    )
    return INDEX.format(rows="\n".join(rows))
