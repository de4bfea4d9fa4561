"""Test that a run survives kills: runs `vla-bench eval` undisturbed, then again with SIGKILL to the engine and its workers at
random moments, resuming each time, and compares the two runs episode by episode.

    python scripts/kill_storm.py --kills 30 --episodes 40
"""

from __future__ import annotations

import json
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


def children(pid: int) -> list[int]:
    """Simulators of the engine `pid`: its children that multiprocessing spawned."""
    try:
        pids = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
        return [int(p) for p in pids if b"spawn_main" in Path(f"/proc/{p}/cmdline").read_bytes()]
    except OSError:
        return []


def start(arguments: list[str], folder: Path) -> subprocess.Popen:
    command = [sys.executable, "-m", "vla_bench", "eval", *arguments, "--out", str(folder)]
    return subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


def outcome(folder: Path) -> tuple[Counter, dict]:
    """How many lines each episode has, and its outcome."""
    lines = [json.loads(line) for line in (folder / "episodes.jsonl").read_text().splitlines() if line.strip()]
    key = lambda e: (e["suite"], e["task_id"], e["init_state"], e["repeat"])  # noqa: E731
    return Counter(map(key, lines)), {key(e): (e["status"], e["steps"], e["state_hash"]) for e in lines}


def storm(arguments: list[str], folder: Path, kills: int, rng: random.Random, longest_s: float) -> tuple[int, int]:
    """Kill engine or worker `kills` times, resuming; returns the number of kills of each."""
    engines = workers = 0
    process = start(arguments, folder)
    while engines + workers < kills:
        time.sleep(rng.uniform(0.5, longest_s))
        if process.poll() is not None:
            if process.returncode == 0:
                break  # it finished between two kills
            process = start(arguments, folder)
            continue
        victims = children(process.pid)
        if victims and rng.random() < 0.5:
            os.kill(rng.choice(victims), signal.SIGKILL)
            workers += 1
        else:
            process.kill()
            process.wait()
            engines += 1
            process = start(arguments, folder)
    process.wait()
    return engines, workers


def main(
    kills: int = 30, episodes: int = 40, suite: str = "object", model: str = "expert", longest_s: float = 4.0, seed: int = 0
):
    per_task = max(1, episodes // 10)
    arguments = ["--suite", suite, "--model", model, "--trials", str(per_task), "--assets", "primitive", "--video", "none"]
    with tempfile.TemporaryDirectory() as temporary:
        calm, rough = Path(temporary) / "calm", Path(temporary) / "rough"
        if start(arguments, calm).wait() != 0:
            raise SystemExit("the undisturbed run failed")
        engines, workers = storm(arguments, rough, kills, random.Random(seed), longest_s)
        counts, ends = outcome(rough)
        expected_counts, expected = outcome(calm)
    statuses = Counter(status for status, _, _ in expected.values())
    print(f"{len(expected)} episodes ({dict(statuses)}), {engines} kills of the engine, {workers} of workers")
    twice = [key for key, n in counts.items() if n != 1]
    other = [key for key in expected if ends.get(key) != expected[key]]
    print(
        f"recorded other than once: {twice or 'none'}; ended otherwise: {other or 'none'}; missing: {len(expected) - len(counts)}"
    )
    if twice or other or counts.keys() != expected_counts.keys() or engines + workers < kills:
        raise SystemExit("FAILED" if engines + workers == kills else f"FAILED: only {engines + workers} kills before it was done")
    print("same episodes, once each, same states at their ends")


if __name__ == "__main__":
    typer.run(main)
