"""The catalogue of problems: whatever the code can raise has an entry, and the entry says what is raised."""

from __future__ import annotations

import ast
import importlib
import json
import pkgutil
import re
from collections.abc import Iterator
from http import HTTPStatus
from pathlib import Path
from typing import Any

import pytest

import services
from contracts.problems import PROBLEMS, page
from contracts.problems.kinds import BASE, ProblemType
from scripts.contracts.files import ROOT
from services.kernel import problem
from services.kernel.rejected import Forbidden, Invalid, NotFound, Rejected

APART = ("sandbox", "ops_cli")  # the outside world, and who only reads our answers
ROOTS = {Rejected, NotFound, Forbidden, Invalid}  # what refusals are derived from; none is raised itself
CALLS = {"Problem": 1, "closing": 1, "problem": 2}  # which argument is the slug
ELSEWHERE = {  # calls whose slug is a value: what else says which slugs they can have
    "services/kernel/edge.py": "of HTTPException, a phrase of the framework; and of Rejected, its own slug",
    "services/kernel/problem.py": "the makers themselves",
}
FRAMEWORK = (404, 405)  # what the framework itself refuses with


def raised() -> Iterator[tuple[str, int, str, str]]:
    """(slug, status, code, where) of every problem that the code can raise."""
    for path in sources():
        for call in (node for node in ast.walk(ast.parse(path.read_text())) if isinstance(node, ast.Call)):
            yield from of_call(call, path.relative_to(ROOT).as_posix())
    for refusal in refusals():
        yield refusal.slug, refusal.status, refusal.code, f"{refusal.__module__}.{refusal.__name__}"
    for status in FRAMEWORK:
        slug = HTTPStatus(status).phrase.lower().replace(" ", "-")
        yield slug, status, slug.upper().replace("-", "_"), "the framework"


def sources() -> list[Path]:
    """All code that may answer."""
    found = sorted((ROOT / "services").rglob("*.py"))
    return [path for path in found if path.relative_to(ROOT).parts[1] not in APART]


def of_call(call: ast.Call, where: str) -> Iterator[tuple[str, int, str, str]]:
    """What this call raises, if it is one that makes a problem."""
    name = call.func.id if isinstance(call.func, ast.Name) else ""
    if name not in CALLS or not isinstance(call.args[0] if call.args else None, ast.Constant):
        return
    status, slug = call.args[0], call.args[CALLS[name]]
    assert isinstance(status, ast.Constant)
    assert isinstance(status.value, int)
    if isinstance(slug, ast.Constant):
        text = str(slug.value)
        code = ast.literal_eval(call.args[1]) if name == "problem" else re.sub(r"\W", "_", text).upper()
        yield text, status.value, code, f"{where}:{call.lineno}"
    elif not (isinstance(slug, ast.Attribute) and slug.attr == "slug"):  # a refusal's own, which is looked at below
        yield f"? {ast.unparse(slug)}", status.value, "", f"{where}:{call.lineno}"


def refusals() -> list[type[Rejected]]:
    """Every class of refusal in the code."""
    for module in pkgutil.walk_packages(services.__path__, "services."):
        if module.name.split(".")[1] not in APART and not module.name.endswith(("__main__", ".env")):
            importlib.import_module(module.name)
    found, waiting = set[type[Rejected]](), [Rejected]
    while waiting:
        found |= (below := set(waiting.pop().__subclasses__()))
        waiting += below
    ours = {each for each in found - ROOTS if each.__module__.startswith("services.")}
    return sorted(ours, key=lambda each: (each.__module__, each.__name__))


RAISED = sorted(set(raised()))


@pytest.mark.parametrize(("slug", "status", "code", "where"), RAISED, ids=str)
def test_what_is_raised_is_in_the_catalogue(slug: str, status: int, code: str, where: str) -> None:
    kind = PROBLEMS.get(slug)
    assert kind is not None, f"{where}: `{slug}` needs an entry in contracts/problems/ (then: scripts.contracts write)"
    assert (kind.status, kind.code) == (status, code), where


def test_a_planted_call_and_a_planted_refusal_are_found() -> None:
    call = ast.parse("Problem(418, 'tea/pot')").body[0].value  # type: ignore[attr-defined]
    assert list(of_call(call, "x.py")) == [("tea/pot", 418, "TEA_POT", "x.py:1")]
    called = ast.parse("Problem(418, slug)").body[0].value  # type: ignore[attr-defined]
    assert list(of_call(called, "x.py")) == [("? slug", 418, "", "x.py:1")]
    assert len(RAISED) > 60


def test_one_base_and_the_runbooks_literals() -> None:
    assert BASE == problem.BASE
    assert PROBLEMS["webhook/reference-mismatch"].status == 409
    assert PROBLEMS["idempotency-conflict"].code == "IDEMPOTENCY_CONFLICT"


def answered(kind: ProblemType) -> dict[str, Any]:
    """What is really sent for it."""
    _, body = problem.Problem(kind.status, kind.slug).answer
    found: dict[str, Any] = json.loads(problem.situated(body, "0" * 32))
    return found


@pytest.mark.parametrize("kind", PROBLEMS.values(), ids=lambda kind: kind.slug)
def test_an_entry_is_what_is_sent_and_says_enough(kind: ProblemType) -> None:
    sent = answered(kind)
    assert sent["type"] == kind.uri
    if kind.code == sent["code"]:  # the others have a literal of their own
        assert kind.title == sent["title"]
    assert sent.keys() <= page.example(kind).keys()
    assert re.fullmatch(r"[a-z0-9]+(-[a-z0-9]+)*(/[a-z0-9-]+)?", kind.slug)
    assert kind.meaning.endswith(".")
    assert kind.action.endswith(".")
