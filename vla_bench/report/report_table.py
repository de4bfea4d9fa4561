"""A table of `vla-bench report`: its text in Markdown and LaTeX, its numbers in CSV, and what a reader must know beside it."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vla_bench.records import write_atomically
from vla_bench.report.latex import MARKS, escape, latex_table
from vla_bench.tables import markdown

LONG = 45  # rows that fit on a page


@dataclass(frozen=True)
class ReportTable:
    """name: of its files.  columns, rows: as printed.  data: the same rows as plain numbers, fractions and not percent.

    notes: sentences below it.  footnotes: text by number; cells refer to them as `latex.marked` writes it.
    """

    name: str
    title: str
    columns: tuple[str, ...]
    rows: list[list[str]]
    data: list[dict[str, object]]
    notes: list[str] = field(default_factory=list)
    footnotes: Mapping[int, str] = field(default_factory=dict)

    @property
    def long(self) -> bool:
        """Whether it takes more than one page of print."""
        return len(self.rows) > LONG

    def markdown(self) -> str:
        """The table, its notes and its footnotes."""
        return markdown(self.columns, self.rows) + "".join(f"\n{line}\n" for line in self.below)

    @property
    def below(self) -> list[str]:
        """Notes and footnotes, with their numbers."""
        return [*self.notes, *(f"{''.join(MARKS[int(digit)] for digit in str(n))} {text}" for n, text in self.footnotes.items())]

    def latex(self) -> str:
        """The table alone."""
        return latex_table(self.columns, self.rows, [self.title], "longtable" if self.long else "tabular")

    def latex_notes(self) -> str:
        """Notes and footnotes as paragraphs."""
        below = [escape(note) for note in self.notes]
        below += [rf"\textsuperscript{{{n}}} {escape(text)}" for n, text in self.footnotes.items()]
        return "".join(rf"{line}\par" + "\n" for line in below)

    def write(self, folder: Path) -> None:
        """NAME.md, NAME.csv, NAME.tex and NAME-notes.tex.  Raises RecordError."""
        write_atomically(folder / f"{self.name}.md", f"**{self.title}**\n\n{self.markdown()}")
        write_atomically(folder / f"{self.name}.csv", csv_text(self.data))
        write_atomically(folder / f"{self.name}.tex", self.latex())
        write_atomically(folder / f"{self.name}-notes.tex", self.latex_notes())


def csv_text(rows: Sequence[Mapping[str, object]]) -> str:
    """A header and one line a row; columns that a row lacks and values that are None are empty."""
    columns = list(dict.fromkeys(name for row in rows for name in row))
    text = io.StringIO()
    writer = csv.DictWriter(text, columns, lineterminator="\n")
    writer.writeheader()
    writer.writerows([{name: value for name, value in row.items() if value is not None} for row in rows])
    return text.getvalue()
