"""`vla-bench show`: a run on one screen, and an episode of it."""

import json
from dataclasses import replace

import pytest

from vla_bench.errors import DamagedRunError, RecordError, UsageError
from vla_bench.lines import append_line
from vla_bench.query_record import QueryRecord
from vla_bench.records import Status, read_run, write_run
from vla_bench.report.sparkline import ASCII, UNICODE, levels, sparkline
from vla_bench.results.summary_file import read_folder, summary_of, write_summary
from vla_bench.trace import Cut, QueryTrace, pack

from ..conftest import ROOT
from ..made_runs import a_run, episode, record, run

COMMITTED = ROOT / "results" / "analysis" / "nano-lightvla-long"


@pytest.fixture
def unfinished(tmp_path):
    """Of nine planned episodes two have not run, three ended in errors of two causes, and of two films one is there."""
    folder = a_run(tmp_path / "run", "sf", policy={"pruner": "lightvla", "dtype": "float32"})
    command = "vla-bench eval --fresh --suite object --out elsewhere"
    write_run(
        folder, replace(run(policy={"pruner": "lightvla", "dtype": "float32"}), planned={"object/3": "0-8"}, command=command)
    )
    for i, message in enumerate(("SIGSEGV", "no memory", "SIGSEGV"), 2):
        failed = episode(i, Status.ERROR, error={"type": "Crash", "message": message})
        append_line(folder / "episodes.jsonl", failed.to_json())
    (folder / "videos").mkdir()
    (folder / "videos" / "there.mp4").write_bytes(b"film")
    for i, film in ((5, "there"), (6, "gone")):
        append_line(folder / "episodes.jsonl", episode(i, video=f"videos/{film}.mp4").to_json())
    (folder / "errors.log").write_text("a trace")
    return folder


def facts(text: str) -> dict[str, str]:
    """The lines of names and values."""
    return {name: value for line in text.splitlines() if "  " in line for name, _, value in [line.partition("  ")] if name}


def test_a_run_is_on_one_screen(cli, unfinished):
    done = cli("show", str(unfinished))
    assert done.exit_code == 0 and len(done.stdout.splitlines()) < 40
    seen = facts(done.stdout)
    assert {name: seen[name].strip() for name in ("model", "pruner", "status", "init states")} == {
        "model": "noop",
        "pruner": "lightvla",
        "status": "interrupted",
        "init states": "4 of 9 planned",
    }
    assert seen["policy"].strip() == "dtype float32" and "cores 2" in seen["machine"] and seen["date"].endswith("00:00:04+00:00")
    assert "2 x Crash: SIGSEGV (object-t3-i02, object-t3-i04)" in seen["errors"] and "1 x Crash: no memory" in done.stdout
    assert f"traces: {unfinished / 'errors.log'}" in done.stdout
    assert seen["films"].strip() == f"1, e.g. {unfinished / 'videos' / 'there.mp4'}"
    assert seen["resume"].strip() == f"vla-bench eval --suite object --out {unfinished}"
    assert "pick up the bbq sauce" in done.stdout and "75.0" in done.stdout


def test_the_same_as_json(cli, unfinished):
    table = json.loads(cli("show", str(unfinished), "--format", "json").stdout)
    assert table["totals"]["suites"]["object"]["tasks"]["3"]["errors"] == 3 and table["status"] == "interrupted"
    first = {"type": "Crash", "message": "SIGSEGV", "episodes": ["object-t3-i02", "object-t3-i04"]}
    assert table["causes"][0] == first and len(table["films"]) == 1 and table["config"] == read_run(unfinished).config


def test_a_summary_says_what_it_knows(cli):
    done = cli("show", str(ROOT / "results" / "baselines" / "nano-ci.json"))
    seen = facts(done.stdout)
    assert seen["status"].strip() == "complete" and "nothing is missing" in seen["resume"] and "98.3" in done.stdout


@pytest.mark.parametrize("change", [{"created": 5}, {"environment": 1.5}, {"assets": ["primitive"]}])
def test_a_summary_with_values_of_other_types_is_refused(cli, tmp_path, unfinished, change):
    write_summary(tmp_path / "odd.json", summary_of(*read_folder(unfinished)) | change)
    assert next(iter(change)) in str(cli("show", str(tmp_path / "odd.json")).exception)
    assert "unreadable" in cli("runs", str(tmp_path / "odd.json")).stdout


def test_what_is_no_run_of_its_own_is_refused_with_the_command_that_helps(cli, tmp_path, unfinished):
    (tmp_path / "sweep").mkdir()
    (tmp_path / "sweep" / "sweep.json").write_text("{}")
    sweep, folder = cli("show", str(tmp_path / "sweep")).exception, cli("show", str(tmp_path)).exception
    assert isinstance(sweep, UsageError) and sweep.fix == f"vla-bench runs {tmp_path / 'sweep'}"
    assert isinstance(folder, RecordError) and "holds no run" in str(folder)
    (unfinished / "episodes.jsonl").write_text("{}\n")
    assert isinstance(cli("show", str(unfinished)).exception, DamagedRunError)


def test_an_episode_has_its_tokens_as_a_line(cli, tmp_path):
    cut = QueryTrace((Cut("LLM input", 128, 2),), (pack([5], 64), pack([6], 64)))
    queries = [QueryRecord.of(0, (1, 1), 9, {}, trace=cut), QueryRecord.of(8, (4, 4), 9, {}), QueryRecord.of(16, None, None, {})]
    folder = str(record(tmp_path / "run", {0: queries}))
    done = cli("show", folder, "--episode", "object-t0-i00")
    seen = facts(done.stdout)
    low, high = (levels()[level] for level in (2, 7))
    assert seen["tokens"].strip() == f"{low}{high}  2 to 8, mean 5.0" and "LLM input: 2 of 128 tokens" in seen["first query"]
    assert seen["camera 1"].strip().endswith("1 to 4, mean 2.5") and seen["status"].strip() == "success"
    table = json.loads(cli("show", folder, "--episode", "object-t0-i00", "--format", "json").stdout)
    assert [query["kept"] for query in table["query_records"]] == [[1, 1], [4, 4], None] and table["status"] == "success"
    unknown = cli("show", folder, "--episode", "object-t0-i01").exception
    assert isinstance(unknown, UsageError) and unknown.fix.endswith("--episode object-t0-i00")


def test_an_episode_of_a_run_without_tokens_and_one_that_failed(cli, unfinished):
    assert "no query of it is recorded" in cli("show", str(unfinished), "--episode", "object-t3-i00").stdout
    failed = cli("show", str(unfinished), "--episode", "object-t3-i03-error").stdout
    assert "Crash: no memory" in facts(failed)["error"]
    assert "object-t3-i06" in cli("show", str(unfinished), "--episode", "object-t3-i06").stdout


def test_a_line_of_numbers():
    assert sparkline([0, 4, 7, 8], 8) == "▁▅██" and sparkline([], 8) == "" and sparkline([0, 0], 0) == "▁▁"
    assert sparkline([0, 8, 8, 8], 8, width=2) == "▅█" and len(sparkline(range(520), 519)) <= 72
    assert levels("utf-8") == UNICODE and levels("ascii") == ASCII and len(ASCII) == len(UNICODE)


def test_the_page_about_analysis_names_an_episode_that_is_there(cli):
    assert "11 to 30, mean 17.4" in cli("show", str(COMMITTED), "--episode", "long-t3-i00").stdout
