"""What `vla-bench latency` prints."""

from __future__ import annotations

import json
from pathlib import Path

from vla_bench.measure.latency import Latency, VariantResult
from vla_bench.paper import table2
from vla_bench.records import write_atomically
from vla_bench.tables import print_table
from vla_bench.terminal import show

COLUMNS = ("variant", "tokens", "ms", "95 % CI", "p5", "p95", "device ms", "GFLOP", "GFLOP/s", "of bound")
DETAILS = ("p5", "p95", "GFLOP", "GFLOP/s", "of bound")


def print_latency(latency: Latency) -> None:
    """One row a variant, then medians by stage, then ratios and warnings."""
    comparable = "" if latency.comparable else "; not comparable with other machines (comparable: false)"
    title = (
        f"{latency.device}, {latency.dtype}, {latency.rows[0].wall.n} queries one at a time after {latency.warm_queries} of "
        f"warm-up, tokens: {latency.kept}{comparable}"
    )
    print_table(COLUMNS, [_cells(row) for row in latency.rows], title, details=DETAILS)
    stages = list(dict.fromkeys(stage for row in latency.rows for stage in row.stages))
    rows = [[row.name, *(f"{row.stages.get(stage, 0):.3f}" for stage in stages)] for row in latency.rows]
    print_table(("variant", *stages), rows, "medians by stage in ms, from a second series with timers")
    for each in latency.comparisons:
        show(f"time of {each.slow} / time of {each.fast}, with 95 % interval:")
        show(f"  whole query {each.wall}, device time {each.device}, decoder alone {each.llm}")
    for flag in latency.flags:
        show(f"warning: {flag}")
    if latency.comparable:
        dense, pruned = (table2()[method].latency_ms for method in ("OpenVLA-OFT", "LightVLA"))
        show(
            f"The paper's {dense:g} and {pruned:g} ms cannot be complete bfloat16 forward passes on its GPU, "
            "whose peak allows no less than 59 ms."
        )


def write_latency(latency: Latency, path: Path) -> None:
    """All results with the raw times as one JSON document."""
    write_atomically(path, json.dumps(latency.to_dict(), indent=1, allow_nan=False) + "\n")


def _cells(row: VariantResult) -> list[str]:
    mean, sd, *_ = row.kept
    return [
        row.name,
        f"{mean:.1f} ± {sd:.1f}",
        f"{row.wall.median:.3f}",
        f"{row.wall.low:.3f} - {row.wall.high:.3f}",
        f"{row.wall.p5:.3f}",
        f"{row.wall.p95:.3f}",
        f"{row.device.median:.3f}",
        f"{row.gflops:.3f}",
        f"{1000 * row.tflops_per_s:.0f}",
        "-" if row.of_bound is None else f"{100 * row.of_bound:.1f} %",
    ]
