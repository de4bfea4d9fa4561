"""The tests' own rules: they use what everybody may use, share through helpers, and look outside the repository in one place."""

import ast
import re
from collections.abc import Iterator
from pathlib import Path

import pytest

from .conftest import ROOT

TESTS = ROOT / "tests"
FILES = sorted({*TESTS.rglob("*.py")} - {Path(__file__)})
NAMED_TUPLE = {"_replace", "_asdict", "_fields", "_make"}  # documented, whatever their names begin with
OWN = {"self", "cls"}  # of the test's own classes


def private(name: str) -> bool:
    """`_x` and the ways round a constructor; `a.b._x` counts as `_x`."""
    last = name.rpartition(".")[2]
    hidden = last.startswith("_") and not last.startswith("__") and last.isidentifier() and last != "_"
    return (hidden and last not in NAMED_TUPLE) or last in {"__new__", "__dict__"}


def peeks(tree: ast.AST) -> Iterator[ast.AST]:
    """Where private names of others are read, replaced or imported, also by their name in a string."""
    for node in ast.walk(tree):
        match node:
            case ast.Attribute(value=ast.Name(id="os"), attr="_exit"):  # public, whatever its name says
                continue
            case ast.Attribute(value=ast.Name(id=owner), attr=name) if owner in OWN and name not in {"__new__", "__dict__"}:
                continue
            case ast.Attribute(attr=name) if private(name):
                yield node
            case ast.Import(names=names) | ast.ImportFrom(names=names) if any(private(each.name) for each in names):
                yield node
            case ast.Call(func=ast.Name(id=called) | ast.Attribute(attr=called)) if called.endswith("attr"):
                yield from (a for a in node.args if isinstance(a, ast.Constant) and isinstance(a.value, str) and private(a.value))
            case ast.Constant(value=str(text)) if re.search(r"\bimport (\w+, )*_[a-z]", text):  # of another process
                yield node


def imported(tree: ast.AST) -> Iterator[str]:
    """Every dotted name that is imported, without the dots of a relative import."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (each.name for each in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (f"{node.module or ''}.{each.name}" for each in node.names)


def lines(file: Path, nodes: Iterator[ast.AST]) -> list[str]:
    return [f"{file.relative_to(ROOT)}:{node.lineno}: {ast.unparse(node)}" for node in nodes]


def test_no_test_peeks_at_private_names_or_goes_round_a_constructor():
    found = [line for file in FILES for line in lines(file, peeks(ast.parse(file.read_text())))]
    assert not found, "\n".join(found)


def test_no_test_module_imports_another():
    modules, found = {file.stem for file in FILES if file.stem.startswith("test_")}, []
    for file in FILES:
        names = {part for name in imported(ast.parse(file.read_text())) for part in name.split(".")}
        found += [f"{file.relative_to(ROOT)} imports {name}" for name in sorted(names & modules)]
    assert not found, "\n".join(found)


def upwards(tree: ast.AST) -> Iterator[ast.AST]:
    """Where a path leaves the repository, or starts from elsewhere than ROOT."""
    for node in ast.walk(tree):
        match node:
            case ast.Name(id="__file__" | "OUTSIDE"):
                yield node
            case ast.Attribute(value=ast.Name(id="ROOT"), attr="parent" | "parents"):
                yield node


def test_only_one_fixture_looks_outside_the_repository():
    """`shared` of conftest.py; all else starts from ROOT and goes down."""
    found = [line for file in FILES if file.name != "conftest.py" for line in lines(file, upwards(ast.parse(file.read_text())))]
    assert not found, "\n".join(found)


@pytest.mark.parametrize(
    "code",
    [
        "world._env.reset()",
        "super()._collect(1)",
        "from vla_bench.rollout.engine import _read",
        'monkeypatch.setattr(decoder, "_mask", None)',
        'monkeypatch.setattr("vla_bench.model.decoder._mask", None)',
        "Samples.__new__(Samples)",
        "plain.__dict__ |= {}",
        'run("from vla_bench.demonstrations.hdf5 import LAYOUT, _new_file")',
    ],
)
def test_what_peeks_is_found(code):
    assert list(peeks(ast.parse(code)))


@pytest.mark.parametrize(
    "code", ["key._replace(x=1)", "self._expert.act()", 'setattr(x, "_", 1)', "def __new__(cls): ...", "_x = 1"]
)
def test_what_is_ones_own_may_be_named_at_will(code):
    assert not list(peeks(ast.parse(code)))
