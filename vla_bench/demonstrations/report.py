"""The result of `vla-bench demos` as a table and as JSON."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from vla_bench.demonstrations.attempts import AttemptRecord, TaskProgress, overall_rate
from vla_bench.demonstrations.recording import Ending
from vla_bench.errors import ExitCode
from vla_bench.tables import markdown, print_table
from vla_bench.terminal import show

COLUMNS = ("suite", "task", "instruction", "demos", "attempts", "%", "95 % CI", "frames", "shortest", "longest")
COLUMNS += ("disturbed", "pushed", "rejected", "errors")


@dataclass(frozen=True, kw_only=True)
class DemoReport:
    """Folder of the demonstrations, and progress of every requested task.

    stopped: why it ended early; None where it did not.  seconds, ran: duration and attempts of this command alone.
    """

    folder: Path
    tasks: Sequence[TaskProgress]
    interrupted: bool
    stopped: str | None
    seconds: float
    ran: int
    command: str

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return ExitCode.INTERRUPTED
        return ExitCode.ERROR_BUDGET if self.stopped else ExitCode.DONE

    @property
    def unfinished(self) -> list[TaskProgress]:
        """Tasks with fewer demonstrations than requested."""
        return [progress for progress in self.tasks if len(progress.successes) < progress.wanted]

    def rows(self) -> list[list[str]]:
        rows = [_row(progress.suite.name, str(progress.task.id), progress.task.language, [progress]) for progress in self.tasks]
        return [*rows, _row("all", "", "", self.tasks)] if len(rows) > 1 else rows

    def to_dict(self) -> dict[str, object]:
        tasks = [
            {"suite": progress.suite.name, "task_id": progress.task.id, "file": str(progress.file), "wanted": progress.wanted}
            | _numbers([progress])
            for progress in self.tasks
        ]
        per_hour = 3600 * self.ran / self.seconds if self.ran and self.seconds > 0 else None
        about = {"folder": str(self.folder), "interrupted": self.interrupted, "stopped": self.stopped}
        return about | {"attempts_per_hour": per_hour} | _numbers(self.tasks) | {"tasks": tasks}

    def to_markdown(self) -> str:
        return (
            "# Demonstrations\n\n"
            "The scripted expert from sampled starts. The rate is of `attempts`, without rejected starts and errors. "
            "`frames`: mean length of a demonstration in frames. `disturbed`: demonstrations with noise on the commands, "
            "`pushed`: those of them in which the arm was also pushed.\n\n" + markdown(COLUMNS, self.rows())
        )


def print_report(report: DemoReport) -> None:
    """The table to standard output; the folder, and how to resume, to standard error."""
    print_table(COLUMNS, report.rows())
    say = lambda text: show(text, file=sys.stderr)  # noqa: E731
    say(f"folder      {report.folder}")
    if report.stopped:
        say(f"stopped     {report.stopped}\n            traces: {report.folder / 'errors.log'}")
    if report.interrupted or report.stopped:
        say(f"resume      {report.command}")
    elif report.unfinished:
        names = ", ".join(f"{progress.suite.name} {progress.task.id}" for progress in report.unfinished)
        say(f"given up    {names}: too few attempts became demonstrations")


def _numbers(tasks: Sequence[TaskProgress]) -> dict[str, object]:
    attempts: list[AttemptRecord] = [a for progress in tasks for a in progress.attempts.values()]
    successes = [a for a in attempts if a.ending is Ending.SUCCESS]
    lengths, rate = [a.frames for a in successes], overall_rate(tasks)
    return {
        "demos": len(successes),
        "attempts": rate.n,
        "rate": rate.rate,
        "interval": None if rate.rate is None else [rate.low, rate.high],
        "frames_mean": sum(lengths) / len(lengths) if lengths else None,
        "frames_min": min(lengths, default=None),
        "frames_max": max(lengths, default=None),
        "disturbed": sum(a.disturbed for a in successes),
        "pushed": sum(a.pushes > 0 for a in successes),
        "rejected": sum(a.ending is Ending.REJECTED for a in attempts),
        "errors": sum(a.ending is Ending.ERROR for a in attempts),
        "seconds_per_attempt": sum(a.wall_s for a in attempts) / len(attempts) if attempts else None,
    }


def _row(suite: str, task: str, instruction: str, tasks: Sequence[TaskProgress]) -> list[str]:
    numbers, rate = _numbers(tasks), overall_rate(tasks)
    percent = "-" if rate.rate is None else f"{100 * rate.rate:.1f}"
    interval = "-" if rate.rate is None else f"{100 * rate.low:.1f} - {100 * rate.high:.1f}"
    mean = "-" if numbers["frames_mean"] is None else f"{numbers['frames_mean']:.0f}"
    counts = [str(numbers[key]) if numbers[key] is not None else "-" for key in ("frames_min", "frames_max")]
    rest = [str(numbers[key]) for key in ("disturbed", "pushed", "rejected", "errors")]
    wanted = sum(progress.wanted for progress in tasks)
    demos = str(numbers["demos"]) if numbers["demos"] >= wanted else f"{numbers['demos']} of {wanted}"
    return [suite, task, instruction, demos, str(rate.n), percent, interval, mean, *counts, *rest]
