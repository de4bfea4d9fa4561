"""Ctrl-C, SIGTERM and SIGHUP to a real evaluation, to the whole group of its processes as a terminal sends them."""

import os
import signal
import subprocess
import sys
import time

import pytest

from vla_bench.records import read_episodes, read_run

ARGUMENTS = "eval --suite object --tasks 0 --assets primitive --workers 1 --video none --model noop".split()


@pytest.fixture
def begin(tmp_path):
    """Start an evaluation of so many episodes; returns its folder, and a function that ends it and tells code and output."""
    started = []
    hangup = signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also under nohup, whose choice an evaluation would keep

    def begin(trials):
        folder = tmp_path / "run"
        command = [sys.executable, "-m", "vla_bench", *ARGUMENTS, "--trials", str(trials), "--out", str(folder), "--fresh"]
        process = subprocess.Popen(
            command, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True, start_new_session=True, cwd=tmp_path
        )
        started.append(process)

        def end(*numbers):
            began = time.monotonic()
            for number in numbers:
                os.killpg(process.pid, number)
                time.sleep(0.2)
            said, _ = process.communicate(timeout=60)
            assert time.monotonic() - began < 10 and "Traceback" not in said, said
            return process.returncode, said

        return folder, process, end

    yield begin
    signal.signal(signal.SIGHUP, hangup)
    for process in started:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.wait()


def until(process, what):
    while not what():
        assert process.poll() is None, process.communicate()
        time.sleep(0.02)


@pytest.mark.parametrize("numbers", [[signal.SIGHUP], [signal.SIGINT, signal.SIGINT]], ids=["hangup", "twice"])
def test_in_the_run(begin, numbers):
    folder, process, end = begin(50)
    until(process, lambda: (folder / "episodes.jsonl").exists())
    code, said = end(*numbers)
    assert code == 130 and "stopping: what is in flight" in said and "resume      vla-bench eval" in said
    assert "--fresh" not in said  # it would begin at the beginning
    assert read_run(folder).status == "interrupted" and 0 < len(list(read_episodes(folder))) < 50
    assert "| status | interrupted |" in (folder / "summary.md").read_text()


def test_just_after_the_last_episode(begin):
    folder, process, end = begin(1)
    until(process, lambda: (folder / "episodes.jsonl").exists())
    time.sleep(0.05)
    code, said = end(signal.SIGINT)
    assert code in (0, 130) and read_run(folder).status == "complete" and (folder / "summary.md").exists()


def test_while_it_loads(begin):
    folder, process, end = begin(50)
    assert process.stdout.readline() == "loading noop, and testing OpenGL\n"
    code, said = end(signal.SIGTERM)
    assert code == 130 and "interrupted\nresume      vla-bench eval" in said
