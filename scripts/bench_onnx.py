"""Is ONNX Runtime faster than PyTorch at a whole query?  Both on the CPU, query after query in turn.

    vla-bench export-onnx --model nano --out nano.onnx
    vla-bench export-onnx --model nano --pruner none --out nano-dense.onnx
    python scripts/bench_onnx.py nano.onnx nano-dense.onnx --threads 1 > results/serving/onnx.json

Images are prepared beforehand.  The model and pruner of a file are those that its metadata names; the answers must be equal.
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import onnxruntime
import torch

from vla_bench.environment import cpu_name
from vla_bench.export.onnx_file import EQUAL, NAMES, arguments
from vla_bench.measure import sources
from vla_bench.measure.recorded import read_observations
from vla_bench.pruners.registry import make_pruner

QUERIES = 24


def milliseconds(work: Callable[[], object]) -> tuple[float, object]:
    started = time.perf_counter()
    answer = work()
    return 1000 * (time.perf_counter() - started), answer


@torch.inference_mode()
def bench(file: Path, threads: int, rounds: int) -> dict[str, object]:
    """Medians in milliseconds, and percentiles of the ratio of neighbours in time."""
    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    session = onnxruntime.InferenceSession(str(file), options, providers=["CPUExecutionProvider"])
    about = session.get_modelmeta().custom_metadata_map
    policy = sources.checkpoint(about["model"], tuple(about["suites"].split(",")), "cpu").policy()
    pruner = make_pruner(about["pruner"])
    policy.model.attach(None if pruner is None else pruner.eval())
    seen = [observation for episode in read_observations() for observation in episode]
    queries = [policy.processor([each]) for each in seen[:: max(1, len(seen) // QUERIES)][:QUERIES]]
    torch.set_num_threads(threads)
    laps, worst, kept = [], 0.0, []
    for number in range((rounds + 1) * len(queries)):
        one = queries[number % len(queries)]
        feed = {name: each.numpy() for name, each in zip(NAMES, arguments(policy.model, one), strict=True)}
        ours, plain = milliseconds(lambda one=one: policy.model(one))
        theirs, (actions, chosen) = milliseconds(lambda feed=feed: session.run(None, feed))
        worst = max(worst, float(np.abs(actions - plain.actions.numpy()).max()))
        if number >= len(queries):  # the first round warms up
            laps.append((ours, theirs))
        else:
            kept.append(int(chosen.sum()))
    if worst > EQUAL:
        raise SystemExit(f"{file}: actions differ by {worst:.1e}")
    ours, theirs = np.transpose(laps)
    low, middle, high = np.percentile(ours / theirs, [5, 50, 95])
    ratio = {"median": float(middle), "p5": float(low), "p95": float(high)}
    about = {"model": about["model"], "pruner": about["pruner"], "kept image tokens": float(np.mean(kept))}
    times = {"pytorch_ms": float(np.median(ours)), "onnxruntime_ms": float(np.median(theirs)), "pytorch over onnxruntime": ratio}
    return about | {"pairs": len(laps)} | times | {"largest difference of an action": worst}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--rounds", type=int, default=5)
    options = parser.parse_args()
    rows = [bench(file, options.threads, options.rounds) for file in options.files]
    versions = {"torch": torch.__version__, "onnxruntime": onnxruntime.__version__}
    print(json.dumps({"machine": cpu_name(), "threads": options.threads, "versions": versions, "files": rows}, indent=1))


if __name__ == "__main__":
    main()
