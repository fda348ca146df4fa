"""/docs, /problems and the documents: served as they are, from this origin alone."""

from __future__ import annotations

import hashlib
import json
import re
from urllib.parse import urlsplit

import httpx2
import pytest

from contracts.problems import PROBLEMS
from contracts.problems.kinds import ProblemType
from services.core_api.api.docs import FILES, STATIC, docs_routes
from services.kernel.http import App
from services.kernel.problem import Problem

BROWSER = {"accept": "text/html,application/xhtml+xml;q=0.9,*/*;q=0.8"}


async def get(path: str, **headers: str) -> httpx2.Response:
    app = App("core_api", docs_routes().routes, ())
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    async with httpx2.AsyncClient(transport=httpx2.ASGITransport(app), base_url="http://core") as client:
        return await client.get(path, headers=named)


@pytest.mark.parametrize("path", FILES)
async def test_each_file_is_served_and_may_ask_nobody_else(path: str) -> None:
    answer = await get(path)
    source, kind = FILES[path]
    assert (answer.status_code, answer.headers["content-type"]) == (200, kind)
    assert answer.content == source.read_bytes()
    policy = answer.headers["content-security-policy"]
    assert "default-src 'none'" in policy
    assert "http" not in policy
    assert "'unsafe-eval'" not in policy


async def test_the_large_script_is_packed_and_kept() -> None:
    answer = await get("/docs/static/redoc-3.0.1.js", accept_encoding="gzip")
    assert answer.headers["content-encoding"] == "gzip"
    assert "immutable" in answer.headers["cache-control"]
    assert int(answer.headers["content-length"]) < 700_000


def test_what_was_vendored_is_what_was_published() -> None:
    lines = [line.split() for line in (STATIC / "SHA256SUMS").read_text().splitlines()]
    sums = {name: sha256 for sha256, name in lines}
    assert sums.keys() == {"redoc-3.0.1.js", "redoc-3.0.1.LICENSE"}
    assert {name: hashlib.sha256((STATIC / name).read_bytes()).hexdigest() for name in sums} == sums


def test_telemetry_is_off_and_pages_name_no_other_origin() -> None:
    assert "disableTelemetry: true" in (STATIC / "start.js").read_text()
    assert b"disableTelemetry" in (STATIC / "redoc-3.0.1.js").read_bytes(), "the option has another name now"
    for name in ("docs.html", "events.html", "start.js"):
        assert "://" not in (STATIC / name).read_text(), name


@pytest.mark.parametrize("page", ["docs.html", "events.html"])
async def test_whatever_a_page_asks_for_is_there(page: str) -> None:
    text = (STATIC / page).read_text()
    asked = set(re.findall(r'(?:href|src|data-spec)="(/[^"]*)"', text))
    assert len(asked) > 5
    assert {path: (await get(path)).status_code for path in asked} == dict.fromkeys(asked, 200)


async def test_asyncapi_names_schemas_that_are_served_beside_it() -> None:
    text = (await get("/asyncapi.yaml")).text
    names = sorted(set(re.findall(r"\./(schemas/[a-z0-9_.]+\.json)", text)))
    assert len(names) > 20
    for name in names:
        assert (await get(f"/{name}")).json()["$id"] == f"contracts/{name}"
    assert (await get("/schemas/..%2fopenapi.yaml")).status_code == 404
    assert (await get("/schemas/README.md")).status_code == 404


@pytest.mark.parametrize("kind", PROBLEMS.values(), ids=lambda kind: kind.slug)
async def test_the_type_of_every_problem_leads_to_its_page(kind: ProblemType) -> None:
    sent = json.loads(Problem(kind.status, kind.slug).answer[1])["type"]
    page = await get(urlsplit(sent).path, **BROWSER)
    assert (page.status_code, page.headers["content-type"]) == (200, "text/html; charset=utf-8")
    assert f"<h1>{kind.title}</h1>" in page.text
    assert "<script" not in page.text
    markdown = await get(urlsplit(sent).path)
    assert markdown.headers["content-type"] == "text/markdown; charset=utf-8"
    assert markdown.text.startswith(f"# {kind.title}\n")


async def test_the_list_of_problems_leads_to_each() -> None:
    for headers in (BROWSER, {}):
        text = (await get("/problems", **headers)).text
        assert all(f"/problems/{slug}" in text for slug in PROBLEMS)


async def test_no_such_type_is_a_problem_itself() -> None:
    answer = await get("/problems/no-such-thing", **BROWSER)
    assert (answer.status_code, answer.json()["code"]) == (404, "NOT_FOUND")
