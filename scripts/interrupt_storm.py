"""Test that a run survives interrupts: starts `vla-bench eval` again and again, and ends it with Ctrl-C, SIGTERM or SIGHUP to its
whole process group, as a terminal does, at random moments: while it loads, in episodes, after the last one, while it exits.

    python scripts/interrupt_storm.py --interrupts 100

Each must end within 10 seconds, with exit code 130 (or that of a run that was done already), without a trace, and with every line
whole; in the end all episodes are there once, as in a run that nobody disturbed.  A signal within Python's own first moments ends
the process as it ends any; nothing has been written then.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import typer

from vla_bench.errors import VlaBenchError
from vla_bench.records import read_episodes, read_run

LIMIT_S = 10.0
WAYS = {"SIGINT": [signal.SIGINT], "SIGTERM": [signal.SIGTERM], "SIGHUP": [signal.SIGHUP], "twice": [signal.SIGINT] * 2}
LAST = 0.05  # seconds after the last episode was recorded


def start(arguments: list[str], folder: Path, log: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "vla_bench", "eval", *arguments, "--out", str(folder)]
    with log.open("w") as file:
        return subprocess.Popen(command, stdout=file, stderr=file, start_new_session=True)


def lines(folder: Path) -> int:
    path = folder / "episodes.jsonl"
    return path.read_bytes().count(b"\n") if path.exists() else 0


def wait(process: subprocess.Popen, folder: Path, moment: float | None, episodes: int) -> None:
    """Until the moment; None: until shortly after the last episode."""
    began = time.monotonic()
    while process.poll() is None and (lines(folder) < episodes if moment is None else time.monotonic() - began < moment):
        time.sleep(0.01)
    time.sleep(LAST if moment is None else 0)


def end(process: subprocess.Popen, numbers: list[int], pause: float) -> float:
    """Send the signals; seconds until the process has gone."""
    began = time.monotonic()
    for i, number in enumerate(numbers):
        time.sleep(pause if i else 0)
        try:
            os.killpg(process.pid, number)
        except ProcessLookupError:
            break
    process.wait(120)
    return time.monotonic() - began


def phase(folder: Path, said: str) -> str:
    if "episodes to run" in said:
        return "in the run"
    return "while loading" if said.strip() else "before the first line"


def outcomes(folder: Path) -> dict:
    found = list(read_episodes(folder))
    assert len({episode.key for episode in found}) == len(found)
    return {episode.key: (episode.status, episode.steps, episode.state_hash) for episode in found}


def main(interrupts: int = 100, episodes: int = 20, longest_s: float = 40.0, seed: int = 0, model: str = "expert"):
    signal.signal(signal.SIGHUP, signal.SIG_DFL)  # also under nohup, whose choice an evaluation would keep
    rng = random.Random(seed)
    arguments = ["--suite", "object", "--model", model, "--trials", str(max(1, episodes // 10)), "--assets", "primitive"]
    arguments += ["--video", "none", "--workers", "2"]
    table: dict[tuple[str, str], list[float]] = {}
    codes: Counter = Counter()
    wrong: list[str] = []
    with tempfile.TemporaryDirectory() as temporary:
        root = Path(temporary)
        calm = root / "calm"
        if start(arguments, calm, root / "log").wait() != 0:
            raise SystemExit("the undisturbed run failed:\n" + (root / "log").read_text())
        expected, folders = outcomes(calm), 0
        folder = root / "rough0"
        for i in range(interrupts):
            name, numbers = list(WAYS.items())[i % len(WAYS)]
            at_the_end = i % 10 == 9
            process, log = start(arguments, folder, root / "log"), root / "log"
            wait(process, folder, None if at_the_end else rng.uniform(0.0, longest_s), len(expected))
            seconds = end(process, numbers, rng.uniform(0.0, 2.0))
            said, code = log.read_text(), process.returncode
            where = "after the last episode" if lines(folder) >= len(expected) else phase(folder, said)
            table.setdefault((name, where), []).append(seconds)
            codes[code] += 1
            early = where == "before the first line" and -code in numbers
            done = where == "after the last episode" and code == 0
            faults = [f"{seconds:.1f} s"] if seconds > LIMIT_S else []
            faults += [f"exit code {code}"] if not (code == 130 or early or done) else []
            faults += ["a trace"] if "Traceback" in said and not early else []
            faults += ["no resume line"] if code == 130 and "resume" not in said else []
            if (folder / "run.json").exists():
                try:
                    found = outcomes(folder)
                    status = read_run(folder).status
                    if where in ("in the run", "after the last episode") and status == "started":
                        faults.append("status started")
                    if where == "in the run" and not (folder / "summary.md").exists():
                        faults.append("no summary")
                    faults += [f"{key} ended otherwise" for key in found if found[key] != expected[key]]
                except VlaBenchError as error:
                    faults.append(str(error))
            if faults:
                wrong.append(f"{i}: {name} {where}: {', '.join(faults)}\n{said[-1500:]}")
                print(wrong[-1], file=sys.stderr, flush=True)
            if lines(folder) >= len(expected):
                folders += 1
                folder = root / f"rough{folders}"
        if lines(folder) and (start(arguments, folder, root / "log").wait() != 0 or outcomes(folder) != expected):
            wrong.append("the last run could not be resumed to the outcomes of the undisturbed one")
    print("| signal | moment | interrupts | median s | longest s |\n|---|---|---:|---:|---:|")
    for (name, where), times in sorted(table.items()):
        print(f"| {name} | {where} | {len(times)} | {sorted(times)[len(times) // 2]:.1f} | {max(times):.1f} |")
    print(f"\nexit codes: {dict(codes)}; runs completed on the way: {folders}; wrong: {len(wrong)}")
    raise SystemExit(1 if wrong else 0)


if __name__ == "__main__":
    typer.run(main)
