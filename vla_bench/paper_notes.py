"""Where the paper's tables contradict each other: `results/paper/footnotes.toml`, each note with the cells of which it speaks."""

from __future__ import annotations

import sys
from dataclasses import dataclass
from functools import cache

from vla_bench.errors import RecordError
from vla_bench.paper import paper_dir

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

FILE = "footnotes.toml"
EVERY = "*"


@dataclass(frozen=True)
class Footnote:
    """cells: table ("table1" to "table5"), row and column; "*" is every row."""

    text: str
    cells: tuple[tuple[str, str, str], ...]

    def at(self, table: str, row: str, column: str) -> bool:
        """Whether it speaks of this cell, or with row "*" of the whole column."""
        return (table, row, column) in self.cells


@cache
def footnotes() -> tuple[Footnote, ...]:
    """All notes, in the file's order.  Raises RecordError."""
    path = paper_dir() / FILE
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
        return tuple(Footnote(str(each["text"]), tuple(map(_cell, each["cells"]))) for each in table["footnote"])
    except (OSError, ValueError, KeyError, TypeError) as error:
        fix = "git checkout results/paper, or pip install --force-reinstall --no-deps vla-bench"
        raise RecordError(f"{path} cannot be read: {error!r}", fix) from error


def _cell(names: list[str]) -> tuple[str, str, str]:
    table, row, column = map(str, names)
    return table, row, column
