"""The house's rules that a reader relies on: imports point down, and a file holds one idea."""

import ast
from pathlib import Path

from .conftest import ROOT

PACKAGE = ROOT / "vla_bench"
# From the top down: a room imports from rooms below it alone; those of one floor do not know each other.
FLOORS = (
    "__main__",
    "cli",
    "report",
    "measure verify",
    "training",
    "demonstrations",
    "rollout",
    "policies",
    "checkpoints",
    "model pruners",
    "interface world results",
)
MOST_LINES = 400


def rooms(file: Path) -> set[str]:
    """The rooms that a file imports from, wherever in it: `vla_bench.model.vla` is model."""
    found: set[str] = set()
    for node in ast.walk(ast.parse(file.read_text())):
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and node.module == "vla_bench":
            found |= {f"vla_bench.{alias.name}" for alias in node.names}
        elif isinstance(node, ast.ImportFrom) and not node.level:  # a relative import stays in its room
            found.add(node.module)
    return {name.split(".")[1] for name in found if name.startswith("vla_bench.")}


def floor(room: str) -> int:
    """Single files beside the rooms are the ground."""
    return next((i for i, names in enumerate(FLOORS) if room in names.split()), len(FLOORS))


def test_imports_point_down():
    up = []
    for file in sorted(PACKAGE.rglob("*.py")):
        own = file.relative_to(PACKAGE).parts[0].removesuffix(".py")
        for room in rooms(file) - {own, "__version__"}:
            ground = floor(room) == floor(own) == len(FLOORS)
            if floor(room) <= floor(own) and not ground:
                up.append(f"{file.relative_to(ROOT)} imports {room}")
    assert not up, "\n".join(up)


def test_every_room_has_its_floor():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == set(" ".join(FLOORS).split()) - {"__main__"}


def test_files_are_short():
    lengths = {path: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert not [f"{path}: {lines} lines" for path, lines in lengths.items() if lines > MOST_LINES]
