"""Changes bytes and values of every kind of file that vla-bench reads, and looks how each is taken.

    python scripts/fuzz --mutations 5000 --seed 0
    python scripts/fuzz --subject pruner --mutations 300          # one kind of file

A reader may read a changed file, or refuse it with one of vla-bench's errors.  It must not raise anything else, take more than 5
seconds, or come to another verdict from bytes that were changed after they were written.  Same seed, same mutations; each finding
names its number, and `--only NUMBER` repeats it with its trace.
"""

from __future__ import annotations

import logging
import os
import random
import resource
import signal
import sys
import tempfile
import time
import traceback
import warnings
from collections import Counter
from pathlib import Path

import typer
from mutations import mutate
from subjects import SUBJECTS, Subject

from vla_bench.errors import VlaBenchError

LONGEST_S = 5.0
MEMORY = 6 << 30  # bytes of address space; torch and its libraries alone map some of it


class Hang(BaseException):
    """No `except Exception` of a reader swallows it."""


def ring(*_):
    raise Hang()


def take(subject: Subject, folder: Path) -> tuple[str, str]:
    """How a reader takes the files: (read | refused | traceback | hang, what it says)."""
    try:
        signal.setitimer(signal.ITIMER_REAL, LONGEST_S)
        try:
            return "read", repr(subject.read(folder))
        finally:
            signal.setitimer(signal.ITIMER_REAL, 0)
    except VlaBenchError as error:
        return "refused", str(error)
    except Hang:
        return "hang", traceback.format_exc()
    except BaseException:  # noqa: BLE001  SystemExit of a reader is a finding, too
        return "traceback", traceback.format_exc()


def place(trace: str) -> str:
    """The last line of vla-bench in a trace, and the exception."""
    lines = trace.rstrip().splitlines()
    own = [line.strip() for line in lines if "/vla_bench/" in line and line.strip().startswith("File")]
    where = own[-1].split("/vla_bench/")[-1].replace('", line ', ":").split(",")[0] if own else "?"
    return f"{where}: {lines[-1][:100]}"


def main(mutations: int = 5000, seed: int = 0, subject: str = "all", only: int = -1, verbose: bool = False) -> None:
    """Exit code 1 where anything was taken as it must not be."""
    logging.disable(logging.WARNING)
    warnings.simplefilter("ignore")
    resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY))
    signal.signal(signal.SIGALRM, ring)
    chosen = [each for each in SUBJECTS if subject in ("all", each.name)]
    counts: Counter[tuple[str, str]] = Counter()
    findings: dict[str, list[int]] = {}
    slowest, started = (0.0, ""), time.monotonic()
    with tempfile.TemporaryDirectory(prefix="vla-bench-fuzz-") as base:
        os.environ["VLA_BENCH_CACHE"] = f"{base}/cache"
        for number, each in enumerate(chosen):
            folder = Path(base) / each.name
            folder.mkdir()
            each.make(folder)
            files = {name: (folder / name).read_bytes() for name in each.files(folder)}
            how, before = take(each, folder)
            if how != "read":
                raise SystemExit(f"{each.name}: the undamaged files are not read: {before}")
            for i in range(number, mutations, len(chosen)):
                if only not in (-1, i):
                    continue
                draw = random.Random(f"{seed} {i}")
                name = draw.choice(list(files))
                mutation = mutate(folder / name, files[name], draw, each.sealed)
                begun = time.monotonic()
                how, said = take(each, folder)
                slowest = max(slowest, (time.monotonic() - begun, f"{i} {each.name}/{name}"))
                if how == "read" and mutation.unsealed and each.sealed and said != before:
                    how, said = "other verdict", f"{name} {mutation.what}: {said[:200]}"
                counts[each.name, how] += 1
                if how in ("traceback", "hang", "other verdict"):
                    findings.setdefault(f"{how:9} {each.name}/{name} {place(said)}", []).append(i)
                if only == i or verbose:
                    print(f"{i} {each.name}/{name} {mutation.what}: {how}\n{said}")
                mutation.undo()
                each.mend(folder, files)
    for finding, numbers in sorted(findings.items()):
        print(f"{len(numbers):4} x {finding}   --only {numbers[0]}")
    for each in chosen:
        print(f"{each.name:12}", ", ".join(f"{n} {how}" for (name, how), n in sorted(counts.items()) if name == each.name))
    print(f"{sum(counts.values())} mutations, {len(findings)} findings, {time.monotonic() - started:.0f} s; slowest {slowest}")
    sys.exit(1 if findings else 0)


if __name__ == "__main__":
    typer.run(main)
