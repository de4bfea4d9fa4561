"""The house's rules that a reader relies on: imports point down, and a file holds one idea."""

import ast
import sys
from contextlib import nullcontext
from pathlib import Path

from .conftest import ROOT

PACKAGE = ROOT / "vla_bench"
# From the top down: a room imports from rooms below it alone; those of one floor do not know each other.
FLOORS = (
    "__main__",
    "cli",
    "report",
    "doctor",
    "measure verify",
    "training",
    "demonstrations overlay export serve",
    "rollout",
    "policies",
    "checkpoints",
    "model pruners",
    "interface world results wires",
)
MOST_LINES = 400
LARGEST_ROOM = 0.13  # of all lines


def module(file: Path) -> str:
    return ".".join(("vla_bench", *file.relative_to(PACKAGE).with_suffix("").parts)).removesuffix(".__init__")


FILES = {module(file): file for file in sorted(PACKAGE.rglob("*.py"))}


def imported(file: Path, types: bool = False) -> set[str]:
    """The modules of the package that a file imports, wherever in it; with `types` also those that only a type checker reads."""
    found: set[str] = set()
    nodes = [ast.parse(file.read_text())]
    while nodes:
        node = nodes.pop()
        if not types and isinstance(node, ast.If) and isinstance(node.test, ast.Name) and node.test.id == "TYPE_CHECKING":
            nodes += node.orelse
            continue
        nodes += ast.iter_child_nodes(node)
        if isinstance(node, ast.Import):
            found |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            assert not node.level, f"{file}: a relative import"
            names = (f"{node.module}.{alias.name}" for alias in node.names)
            found |= {name if name in FILES else node.module for name in names}
    return found & FILES.keys()


ARROWS = {name: imported(file) - {name} for name, file in FILES.items()}


def room(name: str) -> str:
    return name.split(".")[1] if "." in name else name


def floor(room: str) -> int:
    """Single files beside the rooms are the ground."""
    return next((i for i, names in enumerate(FLOORS) if room in names.split()), len(FLOORS))


def test_imports_point_down():
    up = []
    for name, targets in ARROWS.items():
        own = room(name)
        for target in {room(target) for target in targets} - {own}:
            ground = floor(target) == floor(own) == len(FLOORS)
            if floor(target) <= floor(own) and not ground:
                up.append(f"{name} imports {target}")
    assert not up, "\n".join(up)


def test_no_import_leads_back_to_where_it_started():
    """File by file, the single files of the ground included; imports inside functions and those of types count, too."""
    found, below = [], {}
    arrows = {name: imported(file, types=True) - {name} for name, file in FILES.items()}

    def walk(name: str, path: tuple[str, ...]) -> None:
        if name in path:
            found.append(" -> ".join((*path[path.index(name) :], name)))
        elif name not in below:
            for target in sorted(arrows[name]):
                walk(target, (*path, name))
            below[name] = True

    for name in arrows:
        walk(name, ())
    assert not found, "\n".join(found)


def test_the_tree_of_the_house_and_its_largest_room(capsys):
    """`pytest -s tests/test_layout.py` draws it: floor by floor, the rooms with their lines and what they stand on."""
    lines = {name: len(file.read_text().splitlines()) for name, file in FILES.items()}
    total = sum(lines.values())
    shares = {}
    with capsys.disabled() if "-s" in sys.argv else nullcontext():
        for names in FLOORS:
            for own in names.split():
                files = [name for name in FILES if room(name) == own]
                shares[own] = sum(lines[name] for name in files) / total
                on = sorted({room(target) for name in files for target in ARROWS[name]} - {own}, key=floor)
                print(f"{own:15} {100 * shares[own]:4.1f} %  on {', '.join(on)}")
    assert max(shares.values()) < LARGEST_ROOM, shares


def test_every_room_has_its_floor():
    folders = {path.parent.name for path in PACKAGE.glob("*/__init__.py")}
    assert folders == set(" ".join(FLOORS).split()) - {"__main__"}


def test_files_are_short():
    lengths = {path: len(path.read_text().splitlines()) for path in PACKAGE.rglob("*.py")}
    assert not [f"{path}: {lines} lines" for path, lines in lengths.items() if lines > MOST_LINES]
