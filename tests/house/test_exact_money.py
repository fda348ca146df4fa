"""Money is exact: no float on any path of it, and nothing rounds but the named roundings of kernel/money.py."""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

from scripts.contracts.files import ROOT
from tests.house.test_contracts import exact_sources, floats, parsed, shown, sources

MONEY_SERVICES = ("quote", "ledger", "payout_orchestrator", "reconciliation", "transfer", "deposit_watcher")
NAMED = {"rounded_down", "rounded_up", "rounded_to_nearest", "__str__"}  # of kernel/money.py; the last one only writes
ROUNDING_CALLS = {"round", "divmod", "int"}
ROUNDING_METHODS = {
    "quantize", "to_integral", "to_integral_value", "to_integral_exact", "limit_denominator", "trunc", "floor", "ceil",
    "__floor__", "__ceil__", "__trunc__", "__round__", "isqrt",
}  # fmt: skip
TIME = ("second", "timedelta", "days", "clock", "now: callable[[], float]", "monotonic", "pause:", "_due", "_since")
FLOATING = {"truediv", "__truediv__", "fsum", "sqrt", "from_float", "REAL", "float64"}
NO_MONEY = {  # what is divided or measured there is no amount
    "contracts/deposit/routes.py": "the check digits of a route",
    "services/payout_orchestrator/adapters/reviews.py": "a gauge: how many wait",
    "services/reconciliation/handlers/schedule.py": "when a run is due",
    "services/reconciliation/adapters/gauges.py": "a gauge: how many are open, and when the last run was",
}


def money_paths() -> list[Path]:
    """Every file of a service that an amount passes through, and what is exact in the kernel and the contracts."""
    rooms = [path for name in MONEY_SERVICES for path in (ROOT / "services" / name).rglob("*.py")]
    return sorted({*exact_sources(), *rooms})


def of_time(text: str) -> bool:
    """A length of time may be a fraction of a second, and is divided by others."""
    return any(word in text.lower() for word in TIME)


def of_text(call: ast.Call) -> bool:
    """int() reads digits, which is exact; of a number it rounds."""
    return any(word in ast.unparse(call.args[0]) for word in ("text", "digits")) if call.args else True


def statements(tree: ast.AST) -> Iterator[tuple[ast.AST, str, tuple[str, ...]]]:
    """Each node with the text of its line's statement and the functions around it."""

    def walk(node: ast.AST, text: str, around: tuple[str, ...]) -> Iterator[tuple[ast.AST, str, tuple[str, ...]]]:
        if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            around, text = (*around, node.name), f"{node.name} {ast.unparse(node.args)}"
        elif isinstance(node, ast.If | ast.While | ast.For | ast.With | ast.Try | ast.ClassDef | ast.Match):
            text = ""
        elif isinstance(node, ast.stmt) or (not text and isinstance(node, ast.expr)):
            text = ast.unparse(node)
        yield node, text, around
        for child in ast.iter_child_nodes(node):
            yield from walk(child, text, around)

    return walk(tree, "", ())


def loose_floats(tree: ast.AST) -> Iterator[str]:
    """Floats that are no seconds, and the ways to one that `floats` does not name."""
    marked = {id(found): text for found, text, _ in statements(tree)}
    for node in ast.walk(tree):
        for _ in floats_at(node):
            if not of_time(marked[id(node)]):
                yield f"line {getattr(node, 'lineno', 0)}: {marked[id(node)]}"


def floats_at(node: ast.AST) -> Iterator[ast.AST]:
    """`node`, when it makes or names a float itself."""
    match node:
        case (
            ast.Constant(value=float() | complex())
            | ast.Name(id="float" | "complex")
            | ast.BinOp(op=ast.Div())
            | ast.AugAssign(op=ast.Div())
        ):
            yield node
        case ast.Attribute(attr=name) if name in FLOATING:
            yield node
        case ast.ImportFrom(names=names) if any(each.name in FLOATING for each in names):
            yield node
        case ast.BinOp(op=ast.Pow(), right=ast.UnaryOp(op=ast.USub()), left=ast.Constant(value=int())):
            yield node
        case _:
            pass


def roundings(tree: ast.AST, allowed: frozenset[str] = frozenset()) -> Iterator[str]:
    """Where a number loses its fraction, outside of the functions of `allowed`."""
    for node, text, around in statements(tree):
        if allowed & set(around) or of_time(text):
            continue
        match node:
            case ast.BinOp(op=ast.FloorDiv()) | ast.AugAssign(op=ast.FloorDiv() | ast.Mod()):
                yield f"line {node.lineno}: {text}"
            case ast.BinOp(op=ast.Mod(), left=left) if not isinstance(left, ast.Constant):
                yield f"line {node.lineno}: {text}"
            case ast.Call(func=ast.Name(id="int")) if of_text(node):
                pass
            case ast.Call(func=ast.Name(id=name)) if name in ROUNDING_CALLS | ROUNDING_METHODS:
                yield f"line {node.lineno}: {text}"
            case ast.Call(func=ast.Attribute(attr=name)) if name in ROUNDING_METHODS:
                yield f"line {node.lineno}: {text}"
            case _:
                pass


def test_every_money_service_and_every_room_of_it_is_looked_at() -> None:
    seen = {shown(path) for path in money_paths()}
    for name in MONEY_SERVICES:
        assert any(each.startswith(f"services/{name}/domain") for each in seen), name
        assert any(each.startswith(f"services/{name}/handlers") for each in seen), name
    assert {"services/kernel/money.py", "services/kernel/book.py", "contracts/quote/v1.py"} <= seen
    assert {ROOT / path for path in NO_MONEY} <= set(money_paths()), "an exemption of a file that is gone"


@pytest.mark.parametrize("path", money_paths(), ids=shown)
def test_a_float_on_a_path_of_money_is_a_length_of_time(path: Path) -> None:
    if shown(path) not in NO_MONEY:
        assert list(loose_floats(parsed(path))) == []


@pytest.mark.parametrize("path", exact_sources(), ids=shown)
def test_nothing_rounds_but_the_named_roundings(path: Path) -> None:
    allowed = frozenset(NAMED if shown(path) == "services/kernel/money.py" else ())
    if shown(path) not in NO_MONEY:
        assert list(roundings(parsed(path), allowed)) == [], "use a rounding of kernel/money.py (decision 0025)"


def test_the_named_roundings_are_there_and_are_what_rounds() -> None:
    money = parsed(ROOT / "services" / "kernel" / "money.py")
    assert len(list(roundings(money))) >= len(NAMED)
    assert {each.name for each in ast.walk(money) if isinstance(each, ast.FunctionDef)} >= NAMED


def test_a_domain_is_never_excused_as_time() -> None:
    for path in sources():
        assert list(floats(parsed(path))) == []


@pytest.mark.parametrize(
    "planted",
    [
        "x = 0.5", "x = float(text)", "x = 1 / 2", "x /= 2", "def f(a: float): ...", "x = 10 ** -2",
        "x = operator.truediv(1, 2)", "from math import fsum", "x = Decimal.from_float(y)", "x = 1e3", "x = 2j",
        "def f(rate, share=0.1):\n    return rate",
        "def wait(seconds):\n    x = amount * 1.1",
    ],
)  # fmt: skip
def test_a_planted_float_is_found(planted: str) -> None:
    assert list(loose_floats(ast.parse(planted)))


@pytest.mark.parametrize(
    "clean", ["EVERY_SECONDS = 5.0", "def f(seconds: float): ...", "await sleep(seconds / 2)", "x = 10 ** 2", "x = 1"]
)
def test_a_length_of_time_is_none(clean: str) -> None:
    assert list(loose_floats(ast.parse(clean))) == []


@pytest.mark.parametrize(
    "planted",
    [
        "x = a * b // c", "x //= 2", "x = a % 10", "x = round(a)", "x = int(a)", "q, r = divmod(a, b)",
        "x = d.quantize(e)", "x = math.floor(a)", "from math import ceil\nx = ceil(a)", "x = d.to_integral_value()",
        "def rounded_down(a):\n    return a\nx = a // b", "if a // b > 1:\n    pass", "def f():\n    return a // b",
    ],
)  # fmt: skip
def test_a_planted_rounding_is_found(planted: str) -> None:
    assert list(roundings(ast.parse(planted), frozenset(NAMED)))


@pytest.mark.parametrize(
    "clean",
    [
        "def rounded_down(a):\n    return a // b", "x = age // timedelta(days=1)", "x = '%s' % a", "x = Fraction(a, b)",
        "x = int(digits)",
    ],
)  # fmt: skip
def test_a_named_rounding_and_a_length_of_time_are_none(clean: str) -> None:
    assert list(roundings(ast.parse(clean), frozenset(NAMED))) == []
