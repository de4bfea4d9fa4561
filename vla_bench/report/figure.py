"""A figure of `vla-bench report`: drawn from rows of numbers, saved as PDF, SVG and PNG beside these numbers and its caption."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from vla_bench.errors import RecordError
from vla_bench.records import write_atomically
from vla_bench.report.report_table import csv_text

if TYPE_CHECKING:
    from matplotlib.figure import Figure as Drawing

Row = dict[str, object]
COLUMN, PAGE = 3.4, 7.1  # inches: a column and the text width of a paper of two columns
# Okabe and Ito's colours, which people with any colour vision can tell apart; yellow is too light for lines.
COLOURS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7", "#E69F00", "#56B4E9", "#000000")
MARKERS = "os^Dv<>Pp*Xhd"  # 13: with 7 colours 91 runs look different
STYLE = {
    "font.size": 8,
    "axes.titlesize": 8,
    "axes.labelsize": 8,
    "xtick.labelsize": 8,
    "ytick.labelsize": 8,
    "legend.fontsize": 8,
    "axes.spines.top": False,
    "axes.spines.right": False,
    "axes.grid": True,
    "axes.axisbelow": True,
    "grid.color": "0.9",
    "grid.linewidth": 0.6,
    "lines.linewidth": 1.2,
    "lines.markersize": 5,
    "legend.frameon": False,
    "savefig.dpi": 220,
    "pdf.fonttype": 42,  # text stays text
    "svg.fonttype": "path",  # looks the same without the font
    "svg.hashsalt": "vla-bench",  # the same file for the same numbers
}


@dataclass(frozen=True)
class Figure:
    """name: of its files.  rows: all numbers that are drawn.  draw: rows -> a matplotlib figure."""

    name: str
    title: str
    caption: str
    rows: list[Row]
    draw: Callable[[Sequence[Row]], Drawing]

    def write(self, folder: Path) -> None:
        """NAME.pdf, .svg, .png, .csv, and the caption as .txt.  Raises RecordError."""
        import matplotlib

        matplotlib.use("Agg")
        import matplotlib.pyplot as plt

        write_atomically(folder / f"{self.name}.csv", csv_text(self.rows))
        write_atomically(folder / f"{self.name}.txt", f"{self.title}. {self.caption}\n")
        with matplotlib.rc_context(STYLE):
            drawing = self.draw(self.rows)
            try:
                for suffix, dates in (("pdf", {"CreationDate": None}), ("svg", {"Date": None}), ("png", {})):
                    drawing.savefig(folder / f"{self.name}.{suffix}", metadata=dates)
            except OSError as error:
                raise RecordError(f"cannot write {folder / self.name}: {error.strerror}", f"df -h {folder}") from error
            finally:
                plt.close(drawing)


def mark(number: int) -> dict[str, str]:
    """Colour and marker of the run with this number; together they repeat only after many runs."""
    return {"color": COLOURS[number % len(COLOURS)], "marker": MARKERS[number % len(MARKERS)]}


def number(value: object) -> float:
    """A cell that is drawn.  Raises TypeError."""
    if isinstance(value, bool) or not isinstance(value, (int, float)):
        raise TypeError(f"{value!r} is no number")
    return float(value)
