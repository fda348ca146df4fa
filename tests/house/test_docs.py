"""What a reader is told is there: links, paths, tests, commands. And nothing of the machine it was written on."""

from __future__ import annotations

import importlib.util
import re
import subprocess
from collections.abc import Iterator
from functools import cache
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
PAGES = sorted([*ROOT.glob("*.md"), *(ROOT / "docs").rglob("*.md"), ROOT / "contracts/README.md"])
MADE_WHEN_RUN = ("var/", ".venv/")  # paths of a running system, not of the repository
SUFFIXES = "py|md|json|yaml|yml|sql|toml|txt|in|properties|ini"
LINK = re.compile(r"\[[^\]]*\]\(([^)\s]+)\)")
CODE = re.compile(r"`([^`\n]+)`")
PATH = re.compile(rf"[\w.*-]+(?:/[\w.*-]+)*(?:\.(?:{SUFFIXES})|/)")
NODE = re.compile(r"(tests/[\w/]+\.py)::(test_\w+)")
URL_HOST = re.compile(r"\b[a-z][a-z0-9+]*://(?:[^\s/@`]*@)?\[?([\w.-]+)")
HOSTS = frozenset({  # a page names standards and packages by name, not by address
    "localhost", "127.0.0.1", "postgres",
    "corridor.dev",  # the `type` of a problem begins with it, wherever the page is served
})  # fmt: skip
OF_THIS_MACHINE = re.compile(r"(?<![\w.])/(?:work|farm|home|root|Users|tmp/w|tmp/venv)\b")
MAKE = re.compile(r"\bmake ([a-z]+(?:-[a-z]+)*)\b")
MODULE = re.compile(r"\bpython3? -m ((?:scripts|services|tests)(?:\.\w+)*)")
README_WORDS_MAX = 700


@cache
def repository() -> tuple[str, ...]:
    """Every file that git keeps or would keep, and every directory of them with a slash behind."""
    listed = ["git", "-C", str(ROOT), "ls-files", "--cached", "--others", "--exclude-standard"]
    files = subprocess.run(listed, check=True, capture_output=True, text=True).stdout.split("\n")
    there = [name for name in files if name and (ROOT / name).exists()]
    folders = {f"{parent}/" for name in there for parent in Path(name).parents if parent != Path()}
    return (*there, *sorted(folders))


def broken_links(page: Path, text: str) -> Iterator[str]:
    """Relative links whose file or heading is not there."""
    for target in LINK.findall(text):
        if "://" in target or target.startswith("mailto:"):
            continue
        name, _, heading = target.partition("#")
        found = (page.parent / name).resolve() if name else page
        if not found.exists():
            yield f"{page.relative_to(ROOT)}: no {target}"
        elif heading and heading not in headings(found):
            yield f"{page.relative_to(ROOT)}: no heading {target}"


def headings(page: Path) -> set[str]:
    """The anchors of a page, as GitHub makes them."""
    lines = re.findall(r"^#+ (.+)$", page.read_text(), re.MULTILINE)
    return {re.sub(r"[^\w\- ]", "", line.lower()).replace(" ", "-") for line in lines}


def missing_paths(text: str) -> Iterator[str]:
    """What looks like a file or a directory in backticks and is none. A path may begin inside a room; * is any name."""
    for code in CODE.findall(text):
        if not PATH.fullmatch(code) or code.startswith(MADE_WHEN_RUN):
            continue
        wanted = re.compile(r"(?:.*/)?" + re.escape(code).replace(r"\*", "[^/]*"))
        if not any(wanted.fullmatch(name) for name in repository()):
            yield code


def missing_tests(text: str) -> Iterator[str]:
    """Tests that are named with their file and are not in it."""
    for name, function in NODE.findall(text):
        path = ROOT / name
        if not path.exists() or not re.search(rf"def {function}\(", path.read_text()):
            yield f"{name}::{function}"


def missing_commands(text: str) -> Iterator[str]:
    """`make` targets and modules that are not there. Prose is not looked at, only what stands as code."""
    code = "\n".join([*CODE.findall(text), *re.findall(r"^    .+$", text, re.MULTILINE)])
    targets = set(re.findall(r"^([a-z-]+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    yield from (f"make {name}" for name in MAKE.findall(code) if name not in targets)
    yield from (f"python -m {name}" for name in MODULE.findall(code) if importlib.util.find_spec(name) is None)


def of_this_machine(text: str) -> list[str]:
    """Paths of whoever wrote it, and hosts that are not the reader's own."""
    hosts = {host for host in URL_HOST.findall(text) if host not in HOSTS}
    return [*OF_THIS_MACHINE.findall(text), *sorted(hosts)]


def named(page: Path) -> str:
    return str(page.relative_to(ROOT))


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_link_leads_somewhere(page: Path) -> None:
    assert list(broken_links(page, page.read_text())) == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_path_exists(page: Path) -> None:
    assert list(missing_paths(page.read_text())) == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_test_that_is_named_exists(page: Path) -> None:
    assert list(missing_tests(page.read_text())) == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_every_command_exists(page: Path) -> None:
    assert list(missing_commands(page.read_text())) == []


@pytest.mark.parametrize("page", PAGES, ids=named)
def test_no_page_names_the_machine_it_was_written_on(page: Path) -> None:
    assert of_this_machine(page.read_text()) == []


def test_the_readme_is_short() -> None:
    assert len((ROOT / "README.md").read_text().split()) < README_WORDS_MAX


def test_planted_faults_are_found() -> None:
    readme = ROOT / "README.md"
    assert list(broken_links(readme, "[a](docs/nowhere.md) [b](LICENSE) [c](docs/states.md#no-such-state)")) == [
        "README.md: no docs/nowhere.md",
        "README.md: no heading docs/states.md#no-such-state",
    ]
    paths = "`services/kernel/engine.py` `adapters/proxy.py` `contracts/*/examples/` `services/nobody.py` `nowhere/`"
    assert list(missing_paths(paths)) == ["services/nobody.py", "nowhere/"]
    here = "tests/house/test_docs.py::test_the_readme_is_short tests/house/test_docs.py::test_of_nothing"
    assert list(missing_tests(here)) == ["tests/house/test_docs.py::test_of_nothing"]
    commands = "`make test` `make money` makes money `python -m scripts.contracts` `python -m scripts.nothing`"
    assert list(missing_commands(commands)) == ["make money", "python -m scripts.nothing"]
    assert of_this_machine("see /wo" + "rk/main or https://registry.example/simple, not http://localhost:8080/v1") == [
        "/work",
        "registry.example",
    ]
