"""How long an evaluation takes with 1, 3 and 6 workers a core: the whole command, in turns.  What is not --rounds goes
to `vla-bench eval`.

    python scripts/bench_workers.py --model nano --suite goal --init-states 0-2 --rounds 3
"""

from __future__ import annotations

import argparse
import os
import statistics
import subprocess
import sys
import tempfile
import time
from pathlib import Path

PER_CORE = (1, 3, 6)


def seconds(workers: int, options: list[str]) -> float:
    """Seconds of one evaluation in a fresh folder."""
    with tempfile.TemporaryDirectory() as folder:
        command = [sys.executable, "-m", "vla_bench", "eval", *options, "--assets", "primitive", "--video", "none"]
        began = time.perf_counter()
        subprocess.run(
            [*command, "--workers", str(workers), "--out", str(Path(folder, "run"))], check=True, stdout=subprocess.DEVNULL
        )
        return time.perf_counter() - began


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--rounds", type=int, default=3)
    given, options = parser.parse_known_args()
    cores = len(os.sched_getaffinity(0))
    times: dict[int, list[float]] = {each: [] for each in PER_CORE}
    for number in range(given.rounds):
        for each in PER_CORE if number % 2 == 0 else PER_CORE[::-1]:
            times[each].append(seconds(each * cores, options))
            print(f"round {number + 1}: {each} a core: {times[each][-1]:.1f} s", flush=True)
    for each in PER_CORE[1:]:
        ratios = [one / other for one, other in zip(times[1], times[each], strict=True)]
        print(f"{each} a core: {statistics.median(ratios):.2f} times as fast as 1 ({min(ratios):.2f}-{max(ratios):.2f})")


if __name__ == "__main__":
    main()
