"""A comparison as a file: JSON, Markdown, LaTeX or CSV."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Sequence
from pathlib import Path

from vla_bench.errors import UsageError
from vla_bench.metrics import MEAN
from vla_bench.report.compared_cells import comparison_table, cost_metrics, decided, parts_table
from vla_bench.report.compared_notes import bars, headlines, interval_name, notes, warnings
from vla_bench.report.forest import forest
from vla_bench.report.latex import latex_table
from vla_bench.results.comparison import ComparedRun
from vla_bench.results.parts import ComparedPart
from vla_bench.tables import markdown
from vla_bench.values import By, TextFormat

SUFFIXES = {".md": TextFormat.MARKDOWN, ".tex": TextFormat.LATEX, ".csv": TextFormat.CSV, ".json": TextFormat.JSON}
Rows, Parts = Sequence[ComparedRun], Sequence[ComparedPart]


def format_of(path: Path) -> TextFormat:
    """By the file's suffix.  Raises UsageError."""
    try:
        return SUFFIXES[path.suffix.lower()]
    except KeyError:
        known = ", ".join(SUFFIXES)
        raise UsageError(
            f"--out takes a file whose name ends in {known}, not {path}", f"vla-bench compare --out {path.stem}.md ..."
        ) from None


def exported(form: TextFormat, rows: Rows, parts: Parts = (), by: By | None = None) -> str:
    """The comparison as text.  parts: suites or tasks, for `by`."""
    return WRITERS[form](rows, parts, by)


def as_json(rows: Rows, parts: Parts = (), by: By | None = None) -> str:
    """A list of the runs; with `by` an object that has the parts, too."""
    table: object = [row.to_dict() for row in rows]
    if by is not None:
        table = {"by": by.value, "family": len(parts), "runs": table, "parts": [part.to_dict() for part in parts]}
    return json.dumps(table, allow_nan=False) + "\n"


def as_markdown(rows: Rows, parts: Parts = (), by: By | None = None) -> str:
    table = markdown(*(comparison_table(rows) if by is None else parts_table(parts, by)))
    plot = forest(bars(rows, parts))
    drawn = f"\n```text\ndifference in points, {interval_name((parts or rows)[0].family)}\n" + "\n".join([*plot, "```\n"])
    lines = [*headlines(rows), *warnings(rows, parts), *notes(rows, parts, by)]
    return table + (drawn if plot else "") + "".join(f"\n{line}\n" for line in lines)


def as_latex(rows: Rows, parts: Parts = (), by: By | None = None) -> str:
    columns, cells = comparison_table(rows) if by is None else parts_table(parts, by)
    return latex_table(columns, cells, [*headlines(rows), *warnings(rows, parts), *notes(rows, parts, by)])


def as_csv(rows: Rows, parts: Parts = (), by: By | None = None) -> str:
    """Plain numbers, fractions and not percent; one row a run, or a part of one.  Unknown is empty."""
    table = [part_data(part) for part in parts] if by is not None else [run_data(row, rows) for row in rows]
    text = io.StringIO()
    writer = csv.DictWriter(text, list(table[0]), lineterminator="\n")
    writer.writeheader()
    writer.writerows(table)
    return text.getvalue()


def run_data(row: ComparedRun, rows: Rows) -> dict[str, object]:
    """A line of the CSV, of a run; rows: all of the comparison."""
    about = {"run": row.name, "status": row.status, "ended": row.ended, "planned": row.planned}
    rate = {"n": row.rate.n, "successes": row.rate.successes, "rate": row.rate.rate, "rate_low": row.rate.low}
    rate |= {"rate_high": row.rate.high}
    costs = {metric.key(MEAN): row.metrics.get(metric.key(MEAN)) for metric in cost_metrics(rows)}
    return about | rate | costs | {"base_rate": row.base and row.base.rate} | _paired(row)


def part_data(part: ComparedPart) -> dict[str, object]:
    """A line of the CSV, of a suite or task."""
    about = {"run": part.run, "suite": part.suite, "task_id": part.task_id, "task": part.task, "n": part.pairs.count}
    return about | {"base_rate": part.base.rate, "rate": part.rate.rate} | _paired(part)


def _paired(row: ComparedRun | ComparedPart) -> dict[str, object]:
    gap, pairs = decided(row), row.pairs
    table: dict[str, object] = {"lost": pairs and pairs.fell, "gained": pairs and pairs.rose, "errors": pairs and pairs.errors}
    table |= {"difference": gap and gap.value, "difference_low": gap and gap.low, "difference_high": gap and gap.high}
    table |= {"p": row.p, "verdict": row.verdict and row.verdict.value, "population": row.population.words, "family": row.family}
    return table


WRITERS: dict[TextFormat, Callable[[Rows, Parts, By | None], str]] = {
    TextFormat.JSON: as_json,
    TextFormat.MARKDOWN: as_markdown,
    TextFormat.LATEX: as_latex,
    TextFormat.CSV: as_csv,
}
