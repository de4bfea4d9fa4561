"""A pruner of another package: installed for real, found by its entry point, listed and used by name."""

from __future__ import annotations

import csv
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from vla_bench.overlay.layout import GAP, HEADER, MARGIN, PANEL
from vla_bench.pruners.names import plug_ins
from vla_bench.queries import read_queries

from ..conftest import ASSETS, ROOT


@pytest.fixture(scope="module")
def place(tmp_path_factory):
    """A folder that the example package is installed into."""
    place = tmp_path_factory.mktemp("plug_in")
    source = shutil.copytree(ROOT / "tests" / "plug_in", place / "source")  # building writes beside it
    command = "-m pip install --quiet --no-deps --no-build-isolation --disable-pip-version-check --target".split()
    subprocess.run([sys.executable, *command, str(place), str(source)], check=True, capture_output=True)
    return place


@pytest.fixture
def use(monkeypatch, cli):
    """`use(FOLDER)` installs what is in a folder beside ours, for this process and those that it starts."""

    def begin(*folders):
        for folder in reversed(folders):
            monkeypatch.syspath_prepend(str(folder))
        monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, folders)))
        forget()

    def forget():
        plug_ins.cache_clear()
        sys.modules.pop("keep_first", None)

    yield begin
    monkeypatch.undo()
    forget()


@pytest.fixture
def installed(use, place, cli):
    use(place)
    return cli


def test_it_is_listed_with_its_parameters(installed):
    listed = {entry["name"]: entry for entry in json.loads(installed("pruners", "--format", "json").stdout)}
    assert listed["keep-first"]["parameters"] == {"keep": 0.5} and listed["keep-first"]["sites"] == ["LLM input"]
    assert listed["keep-first"]["summary"] == "The first image tokens, whatever they show" and listed["fastv"]["problem"] is None


def test_it_prunes_and_can_be_wrapped(installed):
    pruners = "keep-first(keep=10)", "plus-random(keep-first, share=0.5)", "keep-first(keep=1)"
    done = installed("agree", *(word for text in pruners for word in ("--pruner", text)), "--format", "json")
    assert done.exit_code == 0, done.stderr
    rows = {row["pruner"]: row for row in json.loads(done.stdout)["rows"]}
    assert rows["none"]["kept"] == 128 and rows["none"]["distance"] == 0
    assert rows["keep-first(keep=10)"]["kept"] == 10 and rows["keep-first(keep=10)"]["distance"] > 0
    assert rows["plus-random(keep-first, share=0.5)"]["kept"] == 96
    assert rows["keep-first(keep=1)"]["kept"] == 128 and rows["keep-first(keep=1)"]["distance"] == 0


def test_its_pass_is_traced_and_counted_like_any_other(installed, tmp_path):
    """Which patches it kept, and GFLOP in every command: of a package that defines no more than what it keeps."""
    out, pruner = tmp_path / "run", "keep-first(keep=10)"
    what = ["--suite", "object", "--tasks", "0", "--init-states", "0", "--model", "nano-oft", "--assets", ASSETS]
    films = ["--video", "none", "--overlay", "all"]
    done = installed("eval", *what, "--pruner", pruner, *films, "--workers", "1", "--out", str(out))
    assert done.exit_code == 0, done.stderr
    check_overlay(out)
    (queries,) = read_queries(out).values()
    assert all(query.trace.kept_ids(2, 64) == [list(range(10)), []] and query.kept == (10, 0) for query in queries)
    prompt = str(queries[0].prompt_tokens)
    counted = ["flops", "--model", "nano-oft", "--pruner", "keep-first", "--kept", "10", "--prompt-tokens", prompt]
    closed = json.loads(installed(*counted, "--format", "json").stdout)
    of_run = json.loads(installed("flops", "--from-run", str(out), "--format", "json").stdout)
    assert closed["kept_tokens"] == of_run["kept_tokens"] == 10
    assert closed["total_gflops"] == pytest.approx(of_run["total_gflops"]) == pytest.approx(queries[0].gflops, abs=1e-6)
    refused = installed("flops", "--pruner", "keep-first")
    assert refused.exit_code == 2 and "--kept 78" in str(refused.exception)
    timed = installed("latency", "--model", "nano-oft", "--pruner", pruner, "--queries", "8", "--format", "json")
    rows = json.loads(timed.stdout)["rows"]
    assert rows[0]["kept"][0] == 10 and 0 < rows[0]["gflops"] < rows[1]["gflops"]
    (row, _) = json.loads(installed("compare", str(out), str(out), "--format", "json").stdout)
    assert row["gflops_mean"] == pytest.approx(queries[0].gflops) and row["kept_tokens_sd"] == 0


def check_overlay(run):
    """Its film has the colours of the patches that it kept: the first ten of 8 x 8 of the agent's view, none of the wrist's."""
    (film,) = (run / "videos" / "overlay").glob("*.mp4")
    assert film.stat().st_size > 10_000
    page = np.asarray(Image.open(film.with_name(f"{film.stem}-step000.png")))
    top, cell = HEADER + PANEL + GAP, PANEL // 8
    for camera, kept in ((0, range(10)), (1, range(0))):
        left = MARGIN + camera * (PANEL + GAP)
        shown = page[top : top + PANEL, left : left + PANEL].reshape(8, cell, 8, cell, 3).swapaxes(1, 2)
        inner = shown[:, :, 3:-3, 3:-3].reshape(64, -1, 3).astype(int)  # without edges
        coloured = {patch for patch in range(64) if np.ptp(inner[patch], axis=1).any()}
        assert coloured == set(kept), coloured


def test_one_that_cannot_be_imported_harms_nobody_else(use, place, cli, tmp_path):
    (tmp_path / "keep_first.py").write_text("import nothing_of_this_name\n")
    use(tmp_path, place)
    listed = {entry["name"]: entry for entry in json.loads(cli("pruners", "--format", "json").stdout)}
    assert "nothing_of_this_name" in listed["keep-first"]["problem"] and listed["fastv"]["problem"] is None
    used = cli("agree", "--pruner", "keep-first")
    assert used.exit_code == 2 and "cannot be imported" in str(used.exception)
    source = (ROOT / "tests" / "plug_in" / "keep_first.py").read_text()
    (tmp_path / "keep_first.py").write_text(source.replace("keep: float = 0.5", "keep: float"))
    use(tmp_path, place)
    listed = {entry["name"]: entry for entry in json.loads(cli("pruners", "--format", "json").stdout)}
    assert "keep" in listed["keep-first"]["problem"] and listed["fastv"]["problem"] is None


@pytest.mark.parametrize(
    ("change", "problem"),
    [
        (("import torch", "import torch\n\nraise SystemExit(3)"), "SystemExit"),
        (("class KeepFirst", "boom = [][1]\n\n\nclass KeepFirst"), "IndexError"),
        (("    source =", "    profiles = 7\n    source ="), "TypeError"),
    ],
)
def test_a_broken_one_is_a_row_with_its_error(use, place, cli, tmp_path, change, problem):
    source = (ROOT / "tests" / "plug_in" / "keep_first.py").read_text()
    assert change[0] in source
    (tmp_path / "keep_first.py").write_text(source.replace(*change, 1))
    use(tmp_path, place)
    listed = {entry["name"]: entry for entry in json.loads(cli("pruners", "--format", "json").stdout)}
    assert problem in listed["keep-first"]["problem"] and listed["vla-pruner"]["problem"] is None


def test_one_that_is_not_named_is_not_imported(use, place, cli, tmp_path):
    (tmp_path / "keep_first.py").write_text(f"open({str(tmp_path / 'imported')!r}, 'w').close()\n")
    use(tmp_path, place)
    assert cli("flops", "--model", "nano").exit_code == 0
    assert cli("agree", "--model", "nano-oft", "--pruner", "fastv", "--suite", "object").exit_code == 0
    assert not (tmp_path / "imported").exists()
    assert cli("flops", "--model", "nano", "--pruner", "keep-first", "--kept", "10").exit_code == 2
    assert (tmp_path / "imported").exists()


def test_it_goes_through_a_sweep_a_report_a_film_and_a_figure(installed, tmp_path):
    where = ("--suite", "object", "--tasks", "0", "--init-states", "0", "--assets", ASSETS, "--workers", "1")
    pruners = ("--pruner", "lightvla", "--pruner", "keep-first(keep=match:lightvla)", "--tensorboard", str(tmp_path / "tracked"))
    sweep, out = tmp_path / "sweep", tmp_path / "report"
    done = installed("sweep", "--model", "nano", *pruners, *where, "--out", str(sweep), "--format", "json")
    assert done.exit_code == 0, done.stderr
    own, first = json.loads(done.stdout)["rows"]
    assert first["name"] == "keep-first(keep=match:lightvla)" and first["pairs"]["errors"] == 0
    assert first["kept_tokens_mean"] == (kept := round(own["kept_tokens_mean"])) and len([*(tmp_path / "tracked").iterdir()]) == 2
    assert installed("report", str(sweep), "--out", str(out)).exit_code == 0
    row = "keep-first-keep-match-lightvla"
    assert row in (out / "tables" / "success.md").read_text() and row in (out / "figures" / "kept-tokens.csv").read_text()
    with open(out / "figures" / "token-use-2.csv") as file:
        used = {(each["camera"], int(each["patch"])) for each in csv.DictReader(file) if int(each["kept"])}
    assert used == {("agentview", patch) for patch in range(kept)} and (out / "figures" / "token-use-2.pdf").is_file()
    filmed = installed("overlay", str(sweep / f"{row}-object"), "--workers", "1")
    assert filmed.exit_code == 0 and len([*sweep.glob(f"{row}-object/videos/overlay/*.mp4")]) == 1, filmed.stderr
    assert "keep-first" in installed("show", str(sweep / f"{row}-object")).stdout
    again = installed("sweep", "--model", "nano", *pruners, *where, "--out", str(sweep))
    assert again.exit_code == 0 and again.stderr.count("0 of 1 episodes to run") == 2
