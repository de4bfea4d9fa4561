"""Tables of `vla-bench latency --out`: median milliseconds of a query, and their ratios."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from vla_bench.documents import read_object
from vla_bench.errors import RecordError
from vla_bench.report.report_table import ReportTable


@dataclass(frozen=True)
class TimedVariant:
    """ms, low, high: median over n queries, and its 95 % interval.  kept, kept_sd: image tokens.  stages: medians in ms."""

    file: str
    device: str
    dtype: str
    name: str
    n: int
    ms: float
    low: float
    high: float
    p95: float
    kept: float
    kept_sd: float
    gflops: float
    stages: Mapping[str, float]


def read_timings(paths: Sequence[Path]) -> list[TimedVariant]:
    """The variants of the files.  Raises RecordError."""
    return [variant for path in paths for variant in _variants(path)]


def _variants(path: Path) -> list[TimedVariant]:
    try:
        table = read_object(path)
        return [_variant(path.stem, table, row) for row in table["rows"]]
    except (OSError, ValueError, KeyError, TypeError, AttributeError, IndexError) as error:
        raise RecordError(f"{path} has no times of queries: {error!r}", f"vla-bench latency --out {path}") from error


def _variant(file: str, table: Mapping, row: Mapping) -> TimedVariant:
    wall = row["wall"]
    ms = {name: float(wall[key]) for name, key in (("ms", "median"), ("low", "low"), ("high", "high"), ("p95", "p95"))}
    stages = {str(name): float(value) for name, value in row["stages"].items()}
    kept, kept_sd = map(float, row["kept"][:2])
    about = {"file": file, "device": str(table["device"]), "dtype": str(table["dtype"]), "name": str(row["name"])}
    return TimedVariant(**about, n=int(wall["n"]), **ms, kept=kept, kept_sd=kept_sd, gflops=float(row["gflops"]), stages=stages)


def timing_table(timed: Sequence[TimedVariant]) -> ReportTable:
    """One row a variant of each file."""
    several = len({each.file for each in timed}) > 1
    columns = (*(["run"] if several else []), "variant", "device", "tokens", "GFLOP", "ms", "p95", "n")
    rows = [
        [*([each.file] if several else []), each.name, f"{each.device}, {each.dtype}", f"{each.kept:.1f} ± {each.kept_sd:.1f}"]
        + [f"{each.gflops:.3f}", f"{each.ms:.2f} [{each.low:.2f}, {each.high:.2f}]", f"{each.p95:.2f}", str(each.n)]
        for each in timed
    ]
    data = [{name: value for name, value in vars(each).items() if name != "stages"} | stage_data(each.stages) for each in timed]
    notes = ["ms: median of a whole query, one at a time, variants in turn, with its 95 % bootstrap interval; n counts queries"]
    return ReportTable("latency", "Time of a query", columns, rows, data, notes)


def stage_data(stages: Mapping[str, float]) -> dict[str, object]:
    """By key as `vision_ms`."""
    return {f"{name}_ms": value for name, value in stages.items()}
