"""The runs paired with the first of their group, as `compare` shows them: whole, and task by task."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from vla_bench.report.compared_cells import comparison_table, parts_table
from vla_bench.report.compared_notes import headlines, notes, warnings
from vla_bench.report.exported import part_data, run_data
from vla_bench.report.rate_cells import TOKENS, metric_data, rate_cell, rate_data, run_notes
from vla_bench.report.report_table import ReportTable
from vla_bench.report.success_table import TOKENS_ARE
from vla_bench.results.comparison import ComparedRun, compare_runs
from vla_bench.results.paired_metrics import metrics_on
from vla_bench.results.parts import ComparedPart, compare_parts, split_by
from vla_bench.results.reported import ReportedRun
from vla_bench.results.units import rate_of
from vla_bench.suites import instruction_of
from vla_bench.values import By


@dataclass(frozen=True)
class Compared:
    """The runs of one group: whole, and task by task."""

    rows: list[ComparedRun]
    tasks: list[ComparedPart]

    @property
    def base(self) -> str:
        return self.rows[0].name


def compared(group: Sequence[ReportedRun]) -> Compared:
    """Two runs or more that can be paired with the first."""
    runs = [run.pathed for run in group]
    return Compared(compare_runs(runs), compare_parts(runs, By.TASK))


def difference_tables(found: Compared, suffix: str = "") -> list[ReportTable]:
    """suffix: of the files' names, where there are several groups."""
    rows, tasks = found.rows, found.tasks
    whole = ReportTable(
        f"differences{suffix}",
        f"Differences to {found.base}, paired by init state",
        *comparison_table(rows),
        [run_data(row, rows) for row in rows],
        [*headlines(rows), *warnings(rows), *notes(rows)],
    )
    by_task = ReportTable(
        f"differences-by-task{suffix}",
        f"Differences to {found.base} task by task, paired by init state",
        *parts_table(tasks, By.TASK),
        [part_data(part) for part in tasks],
        [*warnings(rows, tasks), *notes(rows, tasks, By.TASK)],
    )
    return [whole, by_task]


def task_table(runs: Sequence[ReportedRun]) -> ReportTable:
    """One row a task of each run: its rate, n, and image tokens."""
    rows, data = [], []
    for run in runs:
        for (suite, task_id), found in split_by(By.TASK, run.found, list(run.summary["suites"])).items():
            name = run.summary["tasks"][f"{suite}/{task_id}"]["task"]
            rate = rate_of(found.values())
            metrics = metrics_on(run.summary, {key for key, unit in found.items() if unit.mean is not None})
            instruction = instruction_of(suite, task_id, name)
            rows.append([run.name, suite, str(task_id), instruction, rate_cell(rate), str(rate.n), TOKENS.cell(metrics)])
            about = {"run": run.name, "suite": suite, "task_id": task_id, "task": name}
            data.append({**about, **rate_data("success", rate), **metric_data(TOKENS, metrics, "tokens")})
    columns = ("run", "suite", "task", "instruction", "success", "n", "tokens")
    return ReportTable("tasks", "Success rate by task, in percent", columns, rows, data, [*run_notes(runs), TOKENS_ARE])
