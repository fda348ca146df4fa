"""House rules that a machine holds: each event has its papers; money and decisions are pure; rooms, names, metrics."""

import ast
import inspect
import pkgutil
import re
from collections.abc import Iterator
from importlib import import_module
from pathlib import Path
from typing import Any

import pytest

import services
from contracts.topics import INTERNAL
from scripts import money_flows, states
from scripts.contracts import golden
from scripts.contracts.files import EVENTS, ROOT, SCHEMAS, example_path
from scripts.contracts.readers import SERVICES, UNREAD, readers
from scripts.system.installation import ROLES
from services.kernel import metrics

ROOMS = {"__init__", "__main__", "api", "handlers", "projections", "adapters", "ports", "domain", "sql", "static"}
DOMAINS = tuple(
    path for service in SERVICES for path in sorted((ROOT / "services" / service).glob("domain*/**/*.py"))
) + tuple(ROOT / "services" / service / "domain.py" for service in SERVICES)  # fmt: skip
EXACT = ("money", "book", "decider", "sealed")  # of the kernel: as pure of floats as a domain
IMPURE_MODULES = {"time", "random", "secrets", "uuid_utils", "os", "asyncio", "threading", "socket"}
IMPURE_CALLS = {"now", "utcnow", "today", "uuid1", "uuid4", "uuid7", "urandom", "monotonic", "token_hex"}


def sources() -> list[Path]:
    """Every file of a domain, whether it is a module or a package."""
    return sorted({path for path in DOMAINS if path.exists()})


def exact_sources() -> list[Path]:
    """Every file in which a float would be money."""
    kernel = [ROOT / "services" / "kernel" / f"{name}.py" for name in EXACT]
    return [*sources(), *kernel, *sorted((ROOT / "contracts").rglob("*.py"))]


def floats(tree: ast.AST) -> Iterator[str]:
    """Where a float is named, written, or made by dividing."""
    for node in ast.walk(tree):
        match node:
            case (
                ast.Constant(value=float())
                | ast.Name(id="float")
                | ast.BinOp(op=ast.Div())
                | ast.AugAssign(op=ast.Div())
            ):
                yield f"line {node.lineno}"
            case _:
                pass


def impurities(tree: ast.AST) -> Iterator[str]:
    """Where the clock is read or dice are thrown: the time and ids come in with the command."""
    for node in ast.walk(tree):
        match node:
            case ast.Import(names=names) if any(each.name.partition(".")[0] in IMPURE_MODULES for each in names):
                yield f"line {node.lineno}"
            case ast.ImportFrom(module=str(module)) if module.partition(".")[0] in IMPURE_MODULES:
                yield f"line {node.lineno}"
            case ast.ImportFrom(names=names) if any(each.name in IMPURE_CALLS for each in names):
                yield f"line {node.lineno}"
            case ast.Attribute(attr=name) if name in IMPURE_CALLS:
                yield f"line {node.lineno}"
            case _:
                pass


def shown(path: Path) -> str:
    return path.relative_to(ROOT).as_posix()


def parsed(path: Path) -> ast.AST:
    return ast.parse(path.read_text())


@pytest.mark.parametrize("event", EVENTS, ids=lambda event: event.type)
def test_every_event_has_a_schema_an_example_and_a_sentence(event: Any) -> None:
    assert (ROOT / SCHEMAS / f"{event.type}.json").exists()
    assert (ROOT / example_path(event.type)).exists()
    assert event in golden.BY_CLASS
    assert (inspect.getdoc(event) or "").strip().splitlines()[0].endswith((".", "?")), event


def test_every_event_has_a_reader_or_a_reason_why_not() -> None:
    heard = readers()
    assert {event for event in EVENTS if event not in heard} == set(UNREAD)
    assert all(UNREAD.values())


def test_nobody_listens_to_what_nobody_says() -> None:
    assert readers().keys() <= set(EVENTS)


def test_every_type_names_its_owner_its_event_and_its_version() -> None:
    for topic in INTERNAL:
        owner = topic.name.split(".")[1]
        for event in topic.events:
            assert re.fullmatch(rf"corridor\.{owner}\.[a-z_]+\.v[0-9]+", event.type), event  # type: ignore[attr-defined]


def test_every_domain_is_looked_at() -> None:
    assert {path.relative_to(ROOT / "services").parts[0] for path in sources()} == set(SERVICES)


@pytest.mark.parametrize("path", exact_sources(), ids=shown)
def test_no_float_where_money_is(path: Path) -> None:
    assert list(floats(parsed(path))) == []


@pytest.mark.parametrize("path", sources(), ids=shown)
def test_a_domain_has_no_clock_and_no_dice(path: Path) -> None:
    assert list(impurities(parsed(path))) == []


@pytest.mark.parametrize("planted", ["x = 0.5", "x = float(1)", "x = 1 / 2", "x /= 2", "def f(a: float): ..."])
def test_a_planted_float_is_found(planted: str) -> None:
    assert list(floats(ast.parse(planted)))


@pytest.mark.parametrize(
    "planted",
    [
        "import time", "import os.path", "from random import Random", "from uuid import uuid4", "x = uuid.uuid4()",
        "x = datetime.now(UTC)", "x = date.today()",
    ],
)  # fmt: skip
def test_a_planted_clock_or_die_is_found(planted: str) -> None:
    assert list(impurities(ast.parse(planted)))


def test_every_service_has_the_same_rooms() -> None:
    for service in SERVICES:
        entries = {path.stem for path in (ROOT / "services" / service).iterdir() if path.name != "__pycache__"}
        assert entries <= ROOMS, service
        assert {"__init__", "__main__", "api", "handlers", "domain"} <= entries, service


def test_every_service_is_looked_at() -> None:
    known = {module.name for module in pkgutil.iter_modules(services.__path__)} - {"kernel", "sandbox", "ops_cli"}
    assert known == set(SERVICES)


def test_a_service_says_what_it_decides() -> None:
    for service in SERVICES:
        text = import_module(f"services.{service}").__doc__ or ""
        assert all(f"{word}:" in text for word in ("decides", "owns", "consumes", "publishes")), service


def test_the_page_of_states_is_what_the_tables_say() -> None:
    assert states.PAGE.read_text() == states.page()


def test_the_money_flows_are_what_the_ledger_posts() -> None:
    assert money_flows.PAGE.read_text(encoding="utf-8") == money_flows.page()


def test_every_table_of_states_is_on_the_page() -> None:
    tables = {path for path in sources() if "\nTRANSITIONS" in path.read_text()}
    assert {life.path for life in states.LIVES} == {shown(path) for path in tables}


def test_the_states_of_a_table_hang_together() -> None:
    for life in states.LIVES:
        reached = {"-", *(after for _, _, after, _ in life.steps)}
        assert {state for state, _, _, _ in life.steps} <= reached, life.title


METRIC = re.compile(r"`((?:corridor_[a-z0-9_]+)|(?:[a-z0-9_]+_total))(?:\{[^`]*\})?`")


def known_metrics() -> set[str]:
    """Every name under which a series of ours can be asked for."""
    families = list(metrics.REGISTRY.collect())
    samples = {sample.name for family in families for sample in family.samples}
    names = {family.name for family in families}
    suffixes = ("", "_total", "_bucket", "_sum", "_count")
    return samples | own_gauges() | {f"{name}{suffix}" for name in names for suffix in suffixes}


def own_gauges() -> set[str]:
    """What a service counts when it is asked, once it runs: by its adapters/gauges.py."""
    pages = [path.read_text(encoding="utf-8") for path in (ROOT / "services").glob("*/adapters/gauges.py")]
    return {name for page in pages for name in re.findall(r'"(corridor_[a-z0-9_]+)"', page)}


def unknown_metrics(text: str) -> set[str]:
    return set(METRIC.findall(text)) - known_metrics() - set(ROLES.values())  # a role of the database is no metric


def test_every_metric_that_the_docs_name_exists() -> None:
    pages = [ROOT / "README.md", *(ROOT / "docs").rglob("*.md"), *(ROOT / "deploy").rglob("*.md")]
    wrong = {shown(page): unknown_metrics(page.read_text()) for page in pages if page.exists()}
    assert {page: names for page, names in wrong.items() if names} == {}


def test_a_metric_that_does_not_exist_is_found() -> None:
    assert unknown_metrics("`corridor_outbox_backlog`, `corridor_outbox_frontlog`") == {"corridor_outbox_frontlog"}


def test_the_example_consumer_uses_nothing_of_ours() -> None:
    tree = ast.parse((ROOT / "docs/examples/consumer/consumer.py").read_text())
    used = {each.name for node in ast.walk(tree) if isinstance(node, ast.Import) for each in node.names}
    used |= {node.module or "" for node in ast.walk(tree) if isinstance(node, ast.ImportFrom)}
    own = {"services", "contracts", "scripts", "tests"}
    assert {name for name in used if name.partition(".")[0] in own} == set()
    assert {"aiokafka", "jsonschema"} <= used
