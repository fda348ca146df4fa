"""The committed files, what they should be, and what is wrong with them."""

from __future__ import annotations

import json
import subprocess
from collections.abc import Iterator, Mapping
from functools import cache
from pathlib import Path
from typing import Any

import msgspec

from contracts.problems import PROBLEMS
from contracts.problems import page as problem_page
from contracts.topics import INTERNAL, PARTNER_DEPOSITS
from contracts.upcasts import UPCASTS
from scripts.contracts import asyncapi, golden, openapi
from scripts.contracts.additive import breaks
from scripts.contracts.page import page
from scripts.contracts.schema import DIALECT, schema_id, schema_of
from scripts.contracts.text import as_yaml
from services.deposit_watcher.api.reports import DepositReport
from services.kernel.codec import EventCodec, encode_event

ROOT = Path(__file__).parents[2]
SCHEMAS = Path("contracts/schemas")
ASYNCAPI = Path("contracts/asyncapi.yaml")
OPENAPI = Path("contracts/openapi.yaml")
SERVED = Path("services/core_api/static")  # what core_api's pages show
ERRORS = Path("docs/errors")
PAGE = Path("docs/events.md")
EVENTS: tuple[Any, ...] = tuple(event for topic in INTERNAL for event in topic.events)
CODEC = EventCodec(EVENTS, UPCASTS)


def example_path(event_type: str) -> Path:
    """corridor.transfer.opened.v1 -> contracts/transfer/examples/opened.v1.json"""
    _, owner, name, version = event_type.split(".")
    return Path("contracts", owner, "examples", f"{name}.{version}.json")


PARTNER_EXAMPLE = Path("contracts/deposit/examples") / f"{PARTNER_DEPOSITS.name}.json"


def schemas() -> dict[Path, dict[str, Any]]:
    """Every schema, by its file."""
    found = {SCHEMAS / f"{event.type}.json": schema_of(event) for event in EVENTS}
    head = {"$schema": DIALECT, "$id": schema_id(PARTNER_DEPOSITS.name)}
    found[SCHEMAS / f"{PARTNER_DEPOSITS.name}.json"] = head | DepositReport.model_json_schema()
    return found


def examples() -> dict[Path, bytes]:
    """Every golden example, by its file: the exact bytes of the event."""
    made = {example_path(event.type): encode_event(event) for event in golden.EVENTS}
    made[PARTNER_EXAMPLE] = msgspec.json.encode(golden.PARTNER_DEPOSIT)
    return made


def wanted() -> dict[Path, bytes]:
    """Every generated file and its content."""
    made = {
        path: json.dumps(schema, indent=2, ensure_ascii=False).encode() + b"\n" for path, schema in schemas().items()
    }
    made |= {path: data + b"\n" for path, data in examples().items()}
    events = asyncapi.document()
    shown = {event.type: json.loads(encode_event(event)) for event in golden.EVENTS}
    shown[PARTNER_DEPOSITS.name] = golden.PARTNER_DEPOSIT
    made |= {ASYNCAPI: as_yaml(events), PAGE: page().encode()}
    made[SERVED / "asyncapi.json"] = _json(asyncapi.whole(events, schemas(), shown))
    return made | _reference() | _problems()


@cache
def _reference() -> dict[Path, bytes]:
    """The routes, once in a process: their code does not change while it runs."""
    routes = openapi.document()
    return {OPENAPI: as_yaml(routes), SERVED / "openapi.json": _json(routes)}


def _json(document: Any) -> bytes:
    return json.dumps(document, ensure_ascii=False, separators=(",", ":")).encode() + b"\n"


def _problems() -> dict[Path, bytes]:
    """A page for each type of problem, and the list of all."""
    head = "<!-- Generated: python -m scripts.contracts write -->\n\n"
    made = {ERRORS / f"{kind.slug}.md": (head + problem_page.page(kind)).encode() for kind in PROBLEMS.values()}
    return made | {ERRORS / "README.md": (head + problem_page.index()).encode()}


def faults(root: Path = ROOT) -> list[str]:
    """What `check` finds, one sentence each; nothing when the files are frozen and up to date."""
    return [*not_additive(_committed(root)), *_differing(root), *_strangers(root), *_outdated(root)]


def not_additive(committed: Mapping[Path, bytes]) -> list[str]:
    """Schemas that would change other than by an optional addition."""
    now = schemas()
    return [
        f"{path}: {broken}"
        for path, data in sorted(committed.items())
        if path in now
        for broken in breaks(json.loads(data), now[path])
    ]


def _committed(root: Path) -> dict[Path, bytes]:
    return {path.relative_to(root): path.read_bytes() for path in sorted((root / SCHEMAS).glob("*.json"))}


def _differing(root: Path) -> Iterator[str]:
    for path, content in wanted().items():
        there = root / path
        if not there.exists():
            yield f"{path}: is missing"
        elif there.read_bytes() != content:
            yield f"{path}: is not what is generated"


def _strangers(root: Path) -> Iterator[str]:
    """A schema of a type that nobody writes stays as long as its events may be stored, and they need an upcast."""
    known = schemas().keys()
    for path in _committed(root):
        if path not in known and path.stem not in UPCASTS:
            yield f"{path}: its events cannot be read any more: no class and no upcast"
    pages = _problems().keys()
    for found in sorted((root / ERRORS).rglob("*.md")):
        if found.relative_to(root) not in pages:
            yield f"{found.relative_to(root)}: no such type of problem is in contracts/problems; remove it"


def older_examples(root: Path = ROOT) -> Iterator[tuple[str, Path]]:
    """(type, file) of examples that are not made any more: an older form, kept beside, or an older version."""
    made = examples().keys()
    for path in sorted((root / "contracts").glob("*/examples/*.json")):
        relative = path.relative_to(root)
        if relative not in made:
            name, version = relative.name.split(".")[:2]
            yield f"corridor.{relative.parts[1]}.{name}.{version}", path


def _outdated(root: Path) -> Iterator[str]:
    for event_type, path in older_examples(root):
        try:
            CODEC.decode(event_type, path.read_bytes().rstrip(b"\n"))
        except ValueError as error:
            yield f"{path.relative_to(root)}: stored events of this form cannot be read any more: {error}"


def since(reference: str, root: Path = ROOT) -> list[str]:
    """Judged against a commit, so that nobody edits a frozen schema by hand. Raises CalledProcessError."""
    listed = _git(root, "ls-tree", "-r", "--name-only", reference, "contracts").decode().split()
    paths = [Path(name) for name in listed if name.endswith(".json")]
    then = {path: _git(root, "show", f"{reference}:{path}") for path in paths}
    frozen = {path: data for path, data in then.items() if path.parent == SCHEMAS}
    gone = [f"{path}: was removed since {reference}" for path in then if not (root / path).exists()]
    return not_additive(frozen) + gone


def _git(root: Path, *arguments: str) -> bytes:
    return subprocess.run(["git", "-C", str(root), *arguments], check=True, capture_output=True).stdout


def write(root: Path = ROOT) -> list[str]:
    """Write what is missing or differs, unless a schema would break; the faults that forbid it."""
    if broken := not_additive(_committed(root)):
        return broken
    for path, content in wanted().items():
        _keep_older_form(root / path, content)
        (root / path).parent.mkdir(parents=True, exist_ok=True)
        (root / path).write_bytes(content)
    return []


def _keep_older_form(path: Path, content: bytes) -> None:
    """An example with other members than the new one is stored somewhere: it is kept beside, to be read for ever."""
    if path.parent.name != "examples" or not path.exists():
        return
    before = path.read_bytes()
    if _form(json.loads(before)) != _form(json.loads(content)):
        number = len(list(path.parent.glob(f"{path.stem}.form*.json"))) + 1
        path.with_name(f"{path.stem}.form{number}.json").write_bytes(before)


def _form(value: Any) -> Any:
    """The members of a value, however deep, without what they hold."""
    match value:
        case dict():
            return {name: _form(each) for name, each in value.items()}
        case list():
            return [_form(each) for each in value[:1]]
        case _:
            return None
