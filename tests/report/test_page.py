"""`vla-bench report --html`: one file that needs no other, holds every episode, and takes text of runs for text."""

import base64
import hashlib
import json
import re
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser

import pytest
from PIL import Image

from vla_bench.query_record import QueryRecord
from vla_bench.records import Status, read_episodes, write_episode, write_run
from vla_bench.report.page import episodes as episodes_module
from vla_bench.results.summary_file import read_summary

from ..conftest import ROOT
from ..made_runs import a_run, episode, record, run, with_tasks

BASELINES = [str(ROOT / "results" / "baselines" / f"nano-{name}.json") for name in ("oft", "lightvla")]
HOSTILE = "</script><img src=x onerror=alert(1)>&\u2028"


class Read(HTMLParser):
    """Elements with their attributes, in order; the text of each script and style; and all text that a reader sees."""

    def __init__(self, text: str):
        super().__init__()
        self.elements: list[tuple[str, dict]] = []
        self.inside, self.text, self.raw = [], "", {"script": [], "style": []}
        self.feed(text)

    def handle_starttag(self, tag, attributes):
        self.elements.append((tag, dict(attributes)))
        self.inside.append(tag)

    def handle_endtag(self, tag):
        while self.inside and self.inside.pop() != tag:
            pass

    def handle_data(self, data):
        if self.inside and self.inside[-1] in self.raw:
            self.raw[self.inside[-1]].append(data)
        else:
            self.text += data

    def all(self, tag: str) -> list[dict]:
        return [attributes for name, attributes in self.elements if name == tag]

    @property
    def data(self) -> dict:
        return json.loads(self.raw["script"][0])


def read(path) -> Read:
    return Read(path.read_text(encoding="utf-8"))


@pytest.fixture(scope="module")
def baselines(tmp_path_factory):
    path = tmp_path_factory.mktemp("page") / "report.html"
    done = subprocess.run(
        [sys.executable, "-m", "vla_bench", "report", *BASELINES, "--html", str(path)], cwd=ROOT, capture_output=True, text=True
    )
    assert done.returncode == 0, done.stderr
    return path


def test_the_page_needs_no_other_file_and_no_network(baselines):
    page = read(baselines)
    assert baselines.stat().st_size < 5e6
    targets = [value for _, attributes in page.elements for name, value in attributes.items() if name in ("src", "href")]
    assert targets and all(target.startswith("#") for target in targets)
    styles = "".join(page.raw["style"])
    assert "url(" not in styles and "@import" not in styles and not page.all("link")
    policy = next(each["content"] for each in page.all("meta") if each.get("http-equiv") == "Content-Security-Policy")
    for text in (page.raw["style"][0], page.raw["script"][1]):  # it forbids all but this script and this style
        assert base64.b64encode(hashlib.sha256(text.encode()).digest()).decode() in policy
    assert "default-src 'none'" in policy and "unsafe" not in policy and "http" not in policy


def test_it_can_be_used_without_seeing_it(baselines):
    page = read(baselines)
    ids = [attributes["id"] for _, attributes in page.elements if "id" in attributes]
    assert len(ids) == len(set(ids))
    named = [attributes[name] for _, attributes in page.elements for name in ("aria-labelledby",) if name in attributes]
    jumps = [attributes["href"][1:] for attributes in page.all("a")]
    assert set(named + jumps) <= set(ids) and {"findings", "plot", "tables", "episodes", "environment", "commands"} <= set(jumps)
    assert page.all("html")[0]["lang"] and len(page.all("main")) == len(page.all("h1")) == 1
    text = baselines.read_text(encoding="utf-8")
    controls = re.findall(r"<(?:select|input)\b", re.sub(r"<script.*", "", text, flags=re.S))
    assert len(controls) == len(re.findall(r"<label[^>]*>[^<]*<(?:select|input)|<label[^>]*><input", text)) == 8
    assert page.all("th") and all(each.get("scope") in ("row", "col") for each in page.all("th"))
    assert "color-scheme: dark" in text and ":focus-visible" in text


def test_every_episode_of_every_run_is_in_it(baselines):
    data = read(baselines).data
    tasks = data["browser"]["tasks"]
    for path, outcomes in zip(BASELINES, data["browser"]["outcomes"], strict=True):
        found: dict[str, str] = {}
        for (task, _, _), outcome in zip(data["browser"]["episodes"], outcomes, strict=True):
            name = f"{tasks[task][0]}/{tasks[task][1]}"
            found[name] = found.get(name, "") + outcome[0]
        summary = read_summary(ROOT / path)
        assert found == {name: task["outcomes"] for name, task in summary["tasks"].items()}
    points = [point for point in data["plot"]["points"] if point["suite"] == ""]
    assert [round(point["rate"], 4) for point in points] == [0.7895, 0.747] and len(data["plot"]["points"]) == 10


def test_findings_come_first_and_say_what_they_rest_on(baselines):
    text = " ".join(read(baselines).text.split())
    finding = "nano-lightvla succeeds less often than nano-oft -4.2 [-6.2, -2.3] points, p = 3.5e-05; 79.0 [77.1, 80.7] % to 74.7"
    assert finding in text and "11.8 image tokens (-91 %), 0.501 GFLOP (-39 %) a query" in text
    assert text.index(finding) < text.index("Success by suite") < text.index("vla-bench eval --suite spatial")
    assert "Bars run from -6.7 to +0.5 points" in text


def test_text_of_a_run_is_never_markup(cli, tmp_path):
    folder = tmp_path / "run <b>"
    folder.mkdir()
    write_run(folder, replace(run(), command=f"vla-bench eval {HOSTILE}", git_commit=HOSTILE))
    write_episode(folder, episode(task=f"pick {HOSTILE}"))
    error = {"type": "Crash", "message": HOSTILE}
    write_episode(folder, episode(1, Status.ERROR, task=f"pick {HOSTILE}", error=error))
    assert cli("report", str(folder), "--html", "page.html").exit_code == 5
    page = read(tmp_path / "page.html")
    assert len(page.raw["script"]) == 2 and not page.all("img") and "onerror=alert(1)" in page.text
    assert HOSTILE in page.data["browser"]["details"][0]["1"]["error"] and page.data["runs"] == ["run <b>"]
    assert not [name for _, attributes in page.elements for name in attributes if name.startswith("on")]


def filmed(folder, count=3):
    """A run folder whose episodes have films, and posters but for the last."""
    a_run(folder, "")
    (folder / "videos").mkdir()
    for i in range(count):
        video = f"videos/object-t3-i{i:02d}-success.mp4"
        write_episode(folder, episode(i, video=video))
        (folder / video).write_bytes(b"film")
        if i < count - 1:
            Image.effect_noise((512, 256), 90).save((folder / video).with_suffix(".png"))
    return folder


def test_films_are_linked_and_their_pictures_are_in_the_page(cli, tmp_path):
    folder = filmed(tmp_path / "javascript:x #1")
    (folder / "videos" / "object-t3-i01-success.png").write_bytes(b"no picture")
    (folder / "videos" / "object-t3-i02-success.mp4").unlink()
    (tmp_path / "pages").mkdir()
    assert cli("report", str(folder), "--html", "pages/report.html").exit_code == 0
    page = read(tmp_path / "pages" / "report.html")
    details = page.data["browser"]["details"][0]
    assert details["0"]["film"] == "./../javascript%3Ax%20%231/videos/object-t3-i00-success.mp4"
    assert base64.b64decode(details["0"]["picture"]).startswith(b"\xff\xd8") and "picture" not in details["1"]
    assert "2" not in details and "films that are not in their folder: 1" in page.text


def test_pictures_that_have_no_room_are_counted(cli, tmp_path, monkeypatch):
    monkeypatch.setattr(episodes_module, "ROOM", 80_000)
    assert cli("report", str(filmed(tmp_path / "run", 5)), "--html", "page.html").exit_code == 0
    page = read(tmp_path / "page.html")
    details = page.data["browser"]["details"][0].values()
    shown = sum("picture" in detail for detail in details)
    assert 0 < shown < 4 and len(details) == 5 and f"{4 - shown} pictures, to keep the page small" in page.text


def test_image_tokens_of_single_queries(cli, tmp_path):
    queries = {0: [QueryRecord.of(0, (3, 4), 9, {}), QueryRecord.of(8, (2, 2), 9, {})], 1: [QueryRecord.of(0, None, 9, {})]}
    assert cli("report", str(record(tmp_path / "old", queries)), "--html", "page.html").exit_code == 0
    page = read(tmp_path / "page.html")
    assert page.data["browser"]["details"] == [{"0": {"at": [0, 8], "kept": [7, 4]}}]
    assert "old: its queries do not say which patches were kept" in page.text


def test_damaged_queries_cost_their_charts_alone(cli, tmp_path):
    folder = record(tmp_path / "run", {0: [QueryRecord.of(0, (3, 4), 9, {})]})
    (folder / "queries.jsonl").write_text("{}\n")
    assert cli("report", str(folder), "--html", "page.html").exit_code == 4
    page = read(tmp_path / "page.html")
    assert "run, image tokens of single queries" in page.text and page.data["browser"]["outcomes"][0][0][0] == "s"


@pytest.mark.parametrize(
    ("made", "code", "said"),
    [
        ({"a": "ss"}, 0, "a succeeds in 100.0 [34.2, 100.0] % of 2 init states"),
        ({"a": "s" * 40, "b": "f" * 40}, 0, "b succeeds less often than a"),
        ({"a": "f" * 40, "b": "s" * 40}, 0, "b succeeds more often than a"),
        ({"a": "ss", "b": "sf"}, 0, "b is not separated from a"),
        ({"a": ""}, 0, "a has no success rate: no episode has ended without an error"),
        ({"a": "s" * 20 + "e"}, 5, "1 of 21 init states ended in errors, too many for a verdict"),
        ({"a": "s" * 9 + "e", "b": "s" * 10}, 5, "b has too many errors for a verdict against a"),
        ({"a": "ss", "b": "ee"}, 5, "b: not comparable with a."),
    ],
)
def test_bad_and_odd_runs(cli, tmp_path, made, code, said):
    folders = [str(a_run(tmp_path / name, outcomes, 12.0, 0.5)) for name, outcomes in made.items()]
    assert cli("report", *folders, "--html", "page.html").exit_code == code
    assert said in " ".join(read(tmp_path / "page.html").text.split())


def test_runs_of_two_worlds_are_two_groups(cli, tmp_path):
    backends = {"a": "egl", "b": "osmesa", "c": "osmesa"}
    folders = [str(a_run(tmp_path / name, "sf", gl_backend=backend)) for name, backend in backends.items()]
    assert cli("report", *folders, "--html", "page.html").exit_code == 4
    page = read(tmp_path / "page.html")
    text = " ".join(page.text.split())
    assert page.data["browser"]["groups"] == [0, 1, 1] and "b, c: not comparable with a." in text
    assert "c is not separated from b" in text and "a succeeds in 50.0" in text


def test_runs_of_other_suites_and_partial_ones(cli, tmp_path):
    whole = with_tasks(tmp_path / "whole", {("object", 3): "ssff", ("goal", 1): "s"})
    part = with_tasks(tmp_path / "part", {("object", 3): "ss"}, status="interrupted")
    assert cli("report", str(whole), str(part), "--html", "page.html").exit_code == 0
    page = read(tmp_path / "page.html")
    assert [suite for suite, _, _ in page.data["browser"]["tasks"]] == ["goal", "object"]
    assert page.data["browser"]["outcomes"][1][0] is None and "part: interrupted, 2 of" in page.text
    assert len(page.data["browser"]["episodes"]) == len(list(read_episodes(whole))) == 5


def test_where_the_page_is_written(cli, tmp_path):
    folder = str(a_run(tmp_path / "a", "ss"))
    assert cli("report", folder).exit_code == 2 and cli("report", folder, "--html", str(tmp_path)).exit_code == 2
    both = cli("report", folder, "--out", "out", "--html", "new/page.html")
    assert both.exit_code == 0 and (tmp_path / "out" / "report.md").is_file() and (tmp_path / "new" / "page.html").is_file()
    assert both.stdout.splitlines()[-1] == "new/page.html: 0.0 MB"


def test_a_page_of_summaries_imports_nothing_heavy():
    code = f"""
import sys
from pathlib import Path
from vla_bench.report.page.page import page
from vla_bench.results.reported import read_reported
page(Path(), read_reported([Path(path) for path in {BASELINES}]).runs, (), "vla-bench report")
assert not {{"torch", "mujoco", "robosuite", "matplotlib", "pandas", "PIL"}} & set(sys.modules)
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
