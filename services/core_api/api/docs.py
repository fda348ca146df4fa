"""What we say of ourselves: the reference of HTTP and of the events, and a page for each type of problem.

Everything comes from this origin and is allowed to ask nobody else.
"""

from __future__ import annotations

import gzip
import json
from collections.abc import Mapping
from functools import cache
from html import escape
from pathlib import Path

from starlette.responses import Response

import contracts
from contracts.problems import PROBLEMS, page
from contracts.problems.kinds import ProblemType
from services.kernel.problem import Problem
from services.kernel.routing import Request, Router

STATIC = Path(__file__).parents[1] / "static"
CONTRACTS = Path(contracts.__file__).parent
HTML, CSS, SCRIPT = "text/html; charset=utf-8", "text/css; charset=utf-8", "text/javascript; charset=utf-8"
JSON, YAML, MARKDOWN = "application/json", "application/yaml", "text/markdown; charset=utf-8"
FILES = {  # path -> the file and its type; nothing else of the disk is served
    "/docs": (STATIC / "docs.html", HTML),
    "/docs/events": (STATIC / "events.html", HTML),
    "/docs/static/start.js": (STATIC / "start.js", SCRIPT),
    "/docs/static/pages.css": (STATIC / "pages.css", CSS),
    "/docs/static/redoc-3.0.1.js": (STATIC / "redoc-3.0.1.js", SCRIPT),
    "/openapi.json": (STATIC / "openapi.json", JSON),
    "/openapi.yaml": (CONTRACTS / "openapi.yaml", YAML),
    "/asyncapi.json": (STATIC / "asyncapi.json", JSON),
    "/asyncapi.yaml": (CONTRACTS / "asyncapi.yaml", YAML),
}
KEPT = {"cache-control": "public, max-age=31536000, immutable"}  # a file with its version in its name
FRESH = {"cache-control": "no-cache"}
# styles are put into the page by the script that draws it; they can neither run nor ask anybody
POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; img-src data:; font-src data:; "
    "connect-src 'self'; worker-src blob:; base-uri 'none'; form-action 'none'; frame-ancestors 'none'"
)
PAGE = """\
<!doctype html>
<html lang="en">
<head>
  <meta charset="utf-8">
  <meta name="viewport" content="width=device-width, initial-scale=1">
  <title>{title} - Corridor</title>
  <link rel="icon" href="data:,">
  <link rel="stylesheet" href="/docs/static/pages.css">
</head>
<body>
  <nav class="shelf">
    <strong>Corridor</strong> <a href="/docs">HTTP API</a> <a href="/docs/events">Events</a>
    <a href="/problems">Problems</a>
  </nav>
  <main class="plain">
    <h1>{title}</h1>
{content}
  </main>
</body>
</html>
"""


def docs_routes() -> Router:
    """/docs, /problems and the documents themselves: for everybody, without a token."""
    router = Router()
    for path in FILES:
        router.get(path)(_file)

    @router.get("/schemas/{name}")
    async def get_schema(request: Request) -> Response:
        """The JSON Schema of an event, as asyncapi.yaml names it."""
        name = request.path_params["name"]
        if name not in _schemas():
            raise Problem(404, "not-found")
        return _answer(_read(CONTRACTS / "schemas" / name), JSON)

    @router.get("/problems")
    async def get_problems(request: Request) -> Response:
        """Every type of problem; HTML for a browser, else Markdown."""
        return _described(request, index_page(), page.index("/problems/", ""))

    @router.get("/problems/{slug:path}")
    async def get_problem(request: Request) -> Response:
        """One type of problem: where the `type` of an answer leads."""
        kind = PROBLEMS.get(request.path_params["slug"])
        if kind is None:
            raise Problem(404, "not-found", "There is no such type of problem; GET /problems lists them.")
        return _described(request, problem_page(kind), page.page(kind))

    return router


async def _file(request: Request) -> Response:
    """A file of ours, packed for whom can unpack it."""
    path, kind = FILES[request.scope["path"]]
    kept = KEPT if path.name.startswith("redoc-") else FRESH
    if "gzip" in request.headers.get("accept-encoding", ""):
        return _answer(_packed(path), kind, kept | {"content-encoding": "gzip", "vary": "accept-encoding"})
    return _answer(_read(path), kind, kept | {"vary": "accept-encoding"})


def _answer(body: bytes, kind: str, headers: Mapping[str, str] = FRESH) -> Response:
    return Response(body, headers={"content-type": kind, "content-security-policy": POLICY, **headers})


def _described(request: Request, html: str, markdown: str) -> Response:
    """The same for people in a browser, and for everybody else."""
    varies = FRESH | {"vary": "accept"}
    if "text/html" in request.headers.get("accept", ""):
        return _answer(html.encode(), HTML, varies)
    return _answer(markdown.encode(), MARKDOWN, varies)


@cache
def _read(path: Path) -> bytes:
    return path.read_bytes()


@cache
def _packed(path: Path) -> bytes:
    return gzip.compress(_read(path), compresslevel=6, mtime=0)


@cache
def _schemas() -> frozenset[str]:
    return frozenset(path.name for path in (CONTRACTS / "schemas").glob("*.json"))


def index_page() -> str:
    """All types of problem as a page."""
    rows = "\n".join(
        f'<tr><td>{kind.status}</td><td><a href="/problems/{kind.slug}"><code>{kind.code}</code></a></td>'
        f"<td>{_marked(page.first_sentence(kind.meaning))}</td></tr>"
        for kind in PROBLEMS.values()
    )
    about = (
        "Whatever is refused is answered as <code>application/problem+json</code> (RFC 9457). <code>type</code> and "
        "<code>code</code> never change their meaning; <code>detail</code> is for people."
    )
    table = f"<table><tr><th>status</th><th>code</th><th>what it means</th></tr>{rows}</table>"
    return PAGE.format(title="Problems", content=f"<p>{about}</p>{table}")


def problem_page(kind: ProblemType) -> str:
    """One type of problem as a page."""
    example = escape(json.dumps(page.example(kind), indent=2, ensure_ascii=False), quote=False)
    content = (
        f"<table><tr><th>status</th><td>{kind.status}</td></tr><tr><th>code</th><td><code>{kind.code}</code></td></tr>"
        f"<tr><th>type</th><td><code>{kind.uri}</code></td></tr></table>"
        f"<h2>What it means</h2><p>{_marked(kind.meaning)}</p><h2>What to do</h2><p>{_marked(kind.action)}</p>"
        f"<h2>Example</h2><pre><code>{example}</code></pre>"
    )
    return PAGE.format(title=escape(kind.title), content=content)


def _marked(text: str) -> str:
    """Our own sentence: what stands between backquotes is code."""
    parts = escape(text, quote=False).split("`")
    return "".join(f"<code>{part}</code>" if at % 2 else part for at, part in enumerate(parts))
