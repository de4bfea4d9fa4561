"""Figures of a report: drawn from the numbers beside them, legible, and the same files for the same numbers."""

import csv

import pytest

from vla_bench.query_record import QueryRecord
from vla_bench.report.figure import MARKERS, STYLE, Figure, mark
from vla_bench.report.figure_kept import kept_figure
from vla_bench.report.figure_stages import timed_stages
from vla_bench.report.figure_success import SIZE, Mark, apart, success_figure
from vla_bench.report.figure_token_use import concentration_rows, use_figure
from vla_bench.report.parts import report_parts
from vla_bench.report.timing_tables import read_timings
from vla_bench.results.reported import read_reported
from vla_bench.results.sources import source
from vla_bench.results.token_use import token_use
from vla_bench.trace import QueryTrace, pack

from ..conftest import ROOT
from ..made_runs import a_run, record

RESULTS = ROOT / "results"


@pytest.fixture(scope="module")
def figures(tmp_path_factory):
    """Of the bundled models, a run with traces, and measured times."""
    runs = read_reported([RESULTS / "baselines" / f"nano-{name}.json" for name in ("oft", "lightvla")])
    found = [figure for part in report_parts(runs) for figure in part.figures]
    use = {"run": token_use(source(traced(tmp_path_factory.mktemp("runs") / "run")), 128)}
    found += [kept_figure(use), use_figure("run", 1, use["run"], ["agentview", "wrist"], {}, "")]
    return [*found, timed_stages(read_timings([RESULTS / "latency" / "nano-cpu-1.json"]))]


def traced(folder):
    """Three queries that keep the first patch of one camera, and each another of the other."""
    queries = [QueryRecord.of(0, (1, 1), 9, {}, trace=QueryTrace((), (pack([0], 64), pack([i], 64)))) for i in range(3)]
    return record(folder, {0: queries, 1: queries})


def test_the_figures_are_these(figures):
    assert [figure.name for figure in figures] == [
        "success-against-cost",
        "success-and-cost",
        "forest",
        "forest-by-task",
        "kept-tokens",
        "token-use-1",
        "latency-stages",
    ]


def test_no_text_is_smaller_than_eight_points(figures):
    import matplotlib
    from matplotlib.text import Text

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    with matplotlib.rc_context(STYLE):
        for figure in figures:
            drawing = figure.draw(figure.rows)
            texts = [text for text in drawing.findobj(Text) if text.get_text().strip()]
            assert len(texts) > 2 and min(text.get_fontsize() for text in texts) >= 8, figure.name
            plt.close(drawing)


def test_a_figure_is_written_with_its_numbers_and_its_caption(figures, tmp_path):
    forest = figures[2]
    for folder in ("one", "two"):
        (tmp_path / folder).mkdir()
        forest.write(tmp_path / folder)
    assert {path.suffix for path in (tmp_path / "one").iterdir()} == {".pdf", ".svg", ".png", ".csv", ".txt"}
    for path in (tmp_path / "one").iterdir():
        assert path.read_bytes() == (tmp_path / "two" / path.name).read_bytes(), path.name
    line = next(csv.DictReader((tmp_path / "one" / "forest.csv").open()))
    assert float(line["difference"]) == -0.0425 and line["verdict"] == "lower"
    assert "Newcombe" in (tmp_path / "one" / "forest.txt").read_text()


def test_marks_that_would_cover_each_other_stand_aside_and_no_farther_than_allowed():
    marks = [Mark(10.0, y, y - 8, y + 8) for y in (50.0, 51.0, 52.0)] + [Mark(90.0, 50.0, 42.0, 58.0)]
    moved = apart(marks, most=9, wide=6, tall=5, line=2)
    assert moved[3] == marks[3] and moved[0] == marks[0]
    xs = sorted(each.x for each in moved[:3])
    assert all(b - a >= 6 for a, b in zip(xs, xs[1:], strict=False)) and max(abs(x - 10) for x in xs) <= 9
    assert [each.y for each in moved] == [each.y for each in marks]
    crowd = apart([Mark(0.0, 1.0, 0.0, 2.0)] * 30, most=1, wide=6, tall=5, line=2)
    assert max(abs(each.x) for each in crowd) <= 1 and SIZE > 6


def test_colour_and_marker_together_tell_many_runs_apart():
    looks = {tuple(mark(i).values()) for i in range(7 * len(MARKERS))}
    assert len(looks) == 7 * len(MARKERS)


def test_milliseconds_of_several_machines_are_not_drawn(tmp_path):
    runs = read_reported([RESULTS / "baselines" / "nano-oft.json", a_run(tmp_path / "run", "ss", 12.0, 0.5)]).runs
    figure = success_figure(runs)
    assert {row["policy_ms_mean"] for row in figure.rows} == {None} and "several machines" in figure.caption
    assert success_figure(runs[:1]).rows[0]["policy_ms_mean"] > 0


def test_concentration_beside_chance(tmp_path):
    rows = concentration_rows("run", token_use(source(traced(tmp_path / "run")), 128), ["agentview", "wrist"])
    assert rows[0]["gini"] == pytest.approx(63 / 64) and rows[0]["top_tenth"] == 1
    assert rows[1]["gini"] == pytest.approx(1 - 3 / 64) and rows[0]["even_gini"] < rows[0]["gini"]


def test_patches_that_form_no_square_are_not_drawn(tmp_path):
    query = QueryRecord.of(0, (1,), 9, {}, trace=QueryTrace((), (pack([0], 60),)))
    use = token_use(source(record(tmp_path / "run", {0: [query]})), 60)
    assert use_figure("run", 1, use, ["agentview"], {}, "") is None and isinstance(kept_figure({"run": use}), Figure)


def test_nothing_to_draw_is_no_figure():
    assert success_figure([]) is None and kept_figure({}) is None and timed_stages([]) is None
