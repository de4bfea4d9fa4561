"""Test that the shards of a run are the run: runs `vla-bench eval` whole, then in shards of which one is killed and run again,
merges these, and compares the two episode by episode.

    python scripts/check_shards.py --shards 4 --suite spatial --trials 4
"""

from __future__ import annotations

import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import typer
from kill_storm import outcome, start


def killed_once(arguments: list[str], folder: Path) -> int:
    """Run, kill it with SIGKILL once an episode is recorded, run again; the number that was recorded before."""
    first = start(arguments, folder)
    recorded = folder / "episodes.jsonl"
    while not recorded.exists() or not (before := recorded.read_bytes().count(b"\n")):
        if first.poll() is not None:
            raise SystemExit("FAILED: a shard ended before it was killed")
        time.sleep(0.05)
    first.kill()
    first.wait()
    if start(arguments, folder).wait() != 0:
        raise SystemExit("FAILED: the killed shard, run again")
    return before


def main(shards: int = 4, suite: str = "spatial", model: str = "expert", trials: int = 4, tasks: str = "0-9"):
    arguments = ["--suite", suite, "--model", model, "--trials", str(trials), "--tasks", tasks]
    arguments += ["--assets", "primitive", "--video", "none"]
    with tempfile.TemporaryDirectory() as temporary:
        whole, merged = Path(temporary) / "whole", Path(temporary) / "merged"
        if start(arguments, whole).wait() != 0:
            raise SystemExit("FAILED: the whole run")
        parts = [Path(temporary) / f"part{number}" for number in range(1, shards + 1)]
        for number, part in enumerate(parts, 1):
            own = [*arguments, "--shard", f"{number}/{shards}"]
            if number == 2:
                print(f"shard {number} was killed after {killed_once(own, part)} episodes, and run again", flush=True)
            elif start(own, part).wait() != 0:
                raise SystemExit(f"FAILED: shard {number}")
        sizes = [sum(outcome(part)[0].values()) for part in parts]
        command = [sys.executable, "-m", "vla_bench", "merge", *map(str, parts), str(merged)]
        done = subprocess.run(command, capture_output=True, text=True)
        if done.returncode != 0:
            raise SystemExit(f"FAILED: {done.stdout}{done.stderr}")
        counts, ends = outcome(merged)
        _, expected = outcome(whole)
    other = [key for key in expected if ends.get(key) != expected[key] or counts[key] != 1]
    if other or ends.keys() != expected.keys():
        raise SystemExit(f"FAILED: ended otherwise, twice or not at all: {other or ends.keys() - expected.keys()}")
    print(f"{shards} shards of {sizes} episodes: {dict(Counter(status for status, _, _ in ends.values()))}")
    print("the merged run has the episodes of the whole one, once each, with the same states at their ends")


if __name__ == "__main__":
    typer.run(main)
