"""`vla-bench demos` from end to end: nothing but what is in flight gets lost."""

import json
import signal
import subprocess
import sys
import time

import numpy as np
import pytest

from vla_bench.demonstrations import demos
from vla_bench.demonstrations.attempts import TaskProgress, attempt_seed, read_attempts
from vla_bench.demonstrations.demos import DemoRequest, make_demos
from vla_bench.demonstrations.folder import DemoFolder
from vla_bench.demonstrations.hdf5 import LAYOUT, read_demos
from vla_bench.demonstrations.recording import Ending, record
from vla_bench.errors import ExitCode, UsageError, WorldError
from vla_bench.policies.expert import Expert

from ..conftest import ASSETS
from .common import SHARE, SUITE, TASK


@pytest.mark.parametrize("wrong", [{"per_task": 0}, {"image_size": 224}, {"disturb": 1.5}, {"seed": -1}, {"suite": "libro"}])
def test_a_wrong_request_is_refused_at_once(tmp_path, wrong):
    with pytest.raises(UsageError):
        make_demos(DemoRequest(**{"suite": "spatial", "out": tmp_path / "out"} | wrong))
    assert not (tmp_path / "out").exists()


MAKE = """
import sys
from pathlib import Path
from vla_bench.demonstrations.demos import DemoRequest, make_demos
if __name__ == "__main__":
    what = {"suite": "spatial", "tasks": "2", "per_task": int(sys.argv[2]), "out": Path(sys.argv[1]), "assets": sys.argv[3]}
    request = DemoRequest(**what, disturb=0.5, workers="1")
    sys.exit(make_demos(request).exit_code)
"""


def strike(script, out, number, lines):
    """Start making demonstrations, send signal `number` once so many attempts are recorded; returns the exit code."""
    process = subprocess.Popen([sys.executable, str(script), str(out), "4", ASSETS])
    try:
        end = time.monotonic() + 240
        while len(read_attempts(out / "attempts.jsonl")) < lines:
            assert process.poll() is None and time.monotonic() < end
            time.sleep(0.02)
        process.send_signal(number)
        return process.wait(60)
    finally:
        process.kill()


def test_interrupted_and_killed_it_goes_on_where_it_was(world, tmp_path):
    """Ctrl-C finishes what is in flight; SIGKILL loses that and nothing else; what is made is what would have been made."""
    script, out = tmp_path / "make.py", tmp_path / "out"
    script.write_text(MAKE)
    assert strike(script, out, signal.SIGINT, 1) == 130
    recorded = read_attempts(out / "attempts.jsonl")
    parts = sorted((out / "parts").glob("*/*/*"))
    assert 1 <= len(recorded) <= 2 and len(parts) == sum(a.ending is Ending.SUCCESS for a in recorded)
    assert "| 2 |" in (out / "report.md").read_text() and " of 4" in (out / "report.md").read_text()

    assert strike(script, out, signal.SIGKILL, len(recorded) + 1) == -signal.SIGKILL
    before = read_attempts(out / "attempts.jsonl")
    assert all(len(list(read_demos(path))) == 1 for path in sorted((out / "parts").glob("*/*/attempt*")))
    stamps = {path: path.stat().st_mtime_ns for path in sorted((out / "parts").glob("*/*/attempt*"))}
    assert len(stamps) >= sum(a.ending is Ending.SUCCESS for a in before)

    done = subprocess.run([sys.executable, str(script), str(out), "4", ASSETS], timeout=240)
    attempts = read_attempts(out / "attempts.jsonl")
    assert done.returncode == 0 and attempts[: len(before)] == before
    assert [a.number for a in attempts] == list(range(len(attempts)))
    kept = [a for a in attempts if a.ending is Ending.SUCCESS]
    path = out / "libero_spatial" / f"{SUITE.task(TASK).name}_demo.hdf5"
    made = list(read_demos(path))
    assert len(made) == len(kept) == 4 and not (out / "parts").exists()
    assert [demo.attributes["attempt"] for demo in made] == [a.number for a in kept]
    # Same seed, same demonstration, in another process and uninterrupted.
    last = kept[-1]
    assert last.seed == attempt_seed(0, "spatial", TASK, last.number)
    again = record(world, Expert(), last.number, last.seed, SHARE).demo
    assert all(np.array_equal(again[name], made[-1][name]) for name in LAYOUT)
    assert np.array_equal(again.segment, made[-1].segment)

    # Nothing is left to do, and the attempts are in the file; one that is lost is made again.
    request = DemoRequest(suite="spatial", tasks="2", per_task=4, out=out, disturb=SHARE, workers="1", assets=ASSETS)
    assert make_demos(request).ran == 0
    whole = path.read_bytes()
    path.unlink()
    progress = TaskProgress(SUITE, SUITE.task(TASK), 4)
    folder = DemoFolder(out, json.loads((out / "demos.json").read_text())["config"], "")
    folder.resume([progress])
    assert not progress.successes and progress.next(()) == kept[0].number
    folder.close()
    path.write_bytes(whole)
    report = make_demos(request)
    assert report.to_dict()["demos"] == 4 and report.exit_code == 0 and len(report.rows()) == 1


def make_broken(suite, assets):
    """In place of `make_simulator`: a simulator of which no task starts."""
    raise WorldError("no floor to stand on")


def test_where_every_attempt_is_an_error_it_stops(pack, tmp_path, monkeypatch):
    """Each is tried in a second worker before it counts."""
    monkeypatch.setattr(demos, "make_simulator", make_broken)
    request = DemoRequest(suite="spatial", tasks="2", per_task=50, out=tmp_path, workers="2", assets=ASSETS)
    report = make_demos(request)
    assert report.exit_code == ExitCode.ERROR_BUDGET and not report.interrupted
    assert report.stopped.endswith("attempts in a row ended in errors, the last one: WorldError: no floor to stand on")
    attempts = read_attempts(tmp_path / "attempts.jsonl")
    assert len(attempts) >= 10 and {a.ending for a in attempts} == {Ending.ERROR}
    assert "Traceback" in attempts[0].error and attempts[0].wall_s > 0
    log = (tmp_path / "errors.log").read_text()
    assert log.count("spatial 2 attempt 0, retried: WorldError") == 1
    assert log.count("spatial 2 attempt 0: WorldError: no floor to stand on") == 1
