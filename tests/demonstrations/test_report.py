"""The table of what was made."""

import dataclasses

from vla_bench.demonstrations.attempts import TaskProgress
from vla_bench.demonstrations.recording import Ending
from vla_bench.demonstrations.report import DemoReport, print_report

from .common import SUITE, TASK, attempt


def test_the_report_says_what_is_missing_and_never_counts_a_rejected_start(tmp_path, capsys):
    endings = [Ending.SUCCESS, Ending.FAILURE, Ending.REJECTED, Ending.SUCCESS, Ending.ERROR]
    attempts = {n: attempt(n, ending, pushes=n, disturbed=True) for n, ending in enumerate(endings)}
    progress = TaskProgress(SUITE, SUITE.task(TASK), 4, attempts)
    full = TaskProgress(SUITE, SUITE.task(0), 1, {0: attempt(0)})
    report = DemoReport(
        folder=tmp_path,
        tasks=[full, progress],
        interrupted=True,
        stopped=None,
        seconds=10.0,
        ran=5,
        command="vla-bench demos",
    )
    assert report.unfinished == [progress] and report.exit_code == 130
    row, total = report.rows()[1:]
    assert row[3:] == ["2 of 4", "3", "66.7", "20.8 - 93.9", "9", "9", "9", "2", "1", "1", "1"] and total[3] == "3 of 5"
    found = report.to_dict()
    assert (found["demos"], found["attempts"], found["tasks"][1]["rejected"], found["tasks"][0]["interval"][1]) == (3, 4, 1, 1.0)
    print_report(report)
    printed = capsys.readouterr()
    assert "2 of 4" in printed.out and "resume      vla-bench demos" in printed.err
    print_report(dataclasses.replace(report, interrupted=False))
    assert "given up    spatial 2" in capsys.readouterr().err
