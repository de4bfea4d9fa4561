"""`vla_bench.results.load`: runs as tables for pandas; the page about them is run as it stands."""

import contextlib
import io
import re
import subprocess
import sys

import pytest

from vla_bench.errors import DamagedRunError, UsageError
from vla_bench.query_record import QueryRecord
from vla_bench.results import load

from ..conftest import ROOT
from ..made_runs import a_run, record
from ..pages import FENCE, read

PAGE = ROOT / "docs" / "analysis.md"
RUN = ROOT / "results" / "analysis" / "nano-lightvla-long"
BASELINE = ROOT / "results" / "baselines" / "nano-oft.json"


def test_the_blocks_of_the_page_print_what_stands_below_them(monkeypatch, tmp_path):
    import matplotlib

    matplotlib.use("Agg")
    (tmp_path / "results").symlink_to(ROOT / "results")
    monkeypatch.chdir(tmp_path)
    names, blocks, wrong = {}, FENCE.findall(read(PAGE)), []
    for (kind, code), (below, expected) in zip(blocks, [*blocks[1:], ("", "")], strict=True):
        if kind == "python":
            printed = io.StringIO()
            with contextlib.redirect_stdout(printed):
                exec(compile(code, str(PAGE), "exec"), names)
            if below != "text" or plain(printed.getvalue()) != plain(expected):
                wrong.append(printed.getvalue())
    assert len(blocks) == 12 and not wrong, "\n".join(wrong)
    names["plt"].close("all")
    assert (tmp_path / "kept.svg").stat().st_size > 10_000


def plain(text: str) -> list[str]:
    """Without the width of columns, which depends on the version of pandas."""
    return [" ".join(line.split()) for line in text.splitlines()]


def test_the_columns_are_those_of_the_page():
    listed = set(re.findall(r"`(\w+)`", "".join(re.findall(r"^\| (`.*?) \|", read(PAGE), re.MULTILINE))))
    runs = load(RUN)
    cameras = {"kept_tokens_agentview", "kept_tokens_robot0_eye_in_hand"}
    assert {*runs.episodes, *runs.queries} == listed - {"kept_tokens_CAMERA"} | cameras
    assert cameras <= {*runs.queries} and len(runs.episodes) == 20


def test_a_summary_says_less_and_types_do_not_depend_on_what_is_missing():
    runs = load(RUN, BASELINE)
    types = runs.episodes.dtypes
    summary = runs.episodes[runs.episodes["run"] == "nano-oft"]
    assert summary[["attempts", "wall_s", "film", "started", "ended"]].isna().all(axis=None) and len(summary) == 2000
    assert set(runs.queries["run"]) == {"nano-lightvla-long"}
    assert (types == load(BASELINE).episodes.dtypes).all() and (types == load(RUN).episodes.dtypes).all()


def test_errors_equal_names_and_policies_without_tokens(tmp_path):
    for name in "ab":
        (tmp_path / name).mkdir()
    runs = load(a_run(tmp_path / "a" / "run", "sfe"), a_run(tmp_path / "b" / "run", "s"))
    table = runs.episodes
    assert list(table["run"]) == [str(tmp_path / "a" / "run")] * 3 + [str(tmp_path / "b" / "run")]
    assert table["success"].tolist()[:2] == [True, False] and table["success"].isna().tolist() == [False, False, True, False]
    assert table["error_type"].tolist()[2] == "Crash" and table["kept_tokens_mean"].isna().all() and runs.queries.empty
    ended = [QueryRecord.of(0, (3, 4), 9, {"vision": 2.0}), QueryRecord.of(8, None, None, {})]
    queries = load(record(tmp_path / "queries", {0: ended}, cut_off={1: ended}, failed={2: ended})).queries
    assert queries["query"].tolist() == [0, 1] and queries["kept_tokens"].tolist()[0] == 7
    assert queries["kept_tokens_camera_1"].tolist()[0] == 4 and queries["kept_tokens"].isna().tolist() == [False, True]
    assert queries["vision_ms"].tolist()[0] == 2.0


def test_damage_is_refused_and_so_is_nothing(tmp_path):
    run = a_run(tmp_path / "run", "ss")
    (run / "episodes.jsonl").write_text("{}\n")
    with pytest.raises(DamagedRunError, match="episodes.jsonl:1"):
        load(run)
    with pytest.raises(UsageError, match="takes a run"):
        load()


def test_pandas_is_imported_by_load_alone_and_asked_for_where_it_is_missing():
    code = """
import sys
from vla_bench.errors import VlaBenchError
from vla_bench.results import load
assert not {"pandas", "numpy", "torch", "scipy"} & set(sys.modules), set(sys.modules)
sys.modules["pandas"] = None
try:
    load("results/runs/ID")
except VlaBenchError as error:
    print(error.fix)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.stdout == "pip install 'vla-bench[analysis]'\n", done.stderr
