"""The tables of the LightVLA paper (arXiv 2509.12594), read from `results/paper/*.csv`, the only place for published numbers.

Success is in percent, of 500 episodes a suite on LIBERO's own assets.  `results/paper/README.md` says where the tables
contradict each other.
"""

from __future__ import annotations

import csv
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import NamedTuple, TypeVar

from vla_bench.errors import RecordError

SUITES = ("spatial", "object", "goal", "long")
# Our pruners whose tokens and TFLOPs in Table II describe a setting that can be counted.  "100 (max.)" of SparseVLM and VLA-Cache
# does not: SparseVLM keeps fewer tokens in each stage, VLA-Cache reuses tokens and drops none.
METHODS = {"none": "OpenVLA-OFT", "lightvla": "LightVLA", "fastv": "FastV", "flashvla-ics": "FlashVLA", "spvla": "SP-VLA"}

Record = TypeVar("Record")


@dataclass(frozen=True)
class TokenSpread:
    """Image tokens kept: mean and standard deviation over queries."""

    mean: int
    sd: int


@dataclass(frozen=True)
class MethodRow:
    """Table I.  tokens: by suite, as far as printed."""

    method: str
    scale: str
    prunes: bool
    decoding: str
    backbone: str
    success: dict[str, float]
    average: float
    tokens: dict[str, TokenSpread]


@dataclass(frozen=True)
class CostRow:
    """Table II.  tokens_are: "max.", "avg." or "", as printed behind the number.  tflops, latency_ms: None where not printed."""

    method: str
    tokens: int
    tokens_are: str
    gpu: str
    tflops: float | None
    latency_ms: float | None
    average: float


class PublishedCost(NamedTuple):
    """Image tokens, and TFLOPs of a query."""

    tokens: int
    tflops: float


@dataclass(frozen=True)
class NoiseRow:
    """Table III.  tokens: mean over the four suites."""

    variant: str
    success: dict[str, float]
    average: float
    tokens: int


@dataclass(frozen=True)
class KeptRow:
    """Table IV.  tokens: k, 2k or 0.9k, where k is LightVLA's number."""

    tokens: str
    success: dict[str, float]
    average: float


@dataclass(frozen=True)
class PositionRow:
    """Table V.  position: pruning site, in the paper's words."""

    method: str
    position: str
    success: dict[str, float]
    average: float


@cache
def table1() -> dict[str, MethodRow]:
    """Success of 16 models, by method."""
    return {row.method: row for row in _rows("table1", _method_row)}


@cache
def table2() -> dict[str, CostRow]:
    """Image tokens, TFLOPs and milliseconds, by method."""
    return {row.method: row for row in _rows("table2", _cost_row)}


@cache
def table3() -> dict[str, NoiseRow]:
    """LightVLA trained with other noise, by variant."""
    rows = _rows("table3", lambda cells: NoiseRow(cells["variant"], *_success(cells), int(cells["tokens_average"])))
    return {row.variant: row for row in rows}


@cache
def table4() -> dict[str, KeptRow]:
    """LightVLA with more and with fewer tokens than it chooses, by their number: k, 2k, 0.9k."""
    rows = _rows("table4", lambda cells: KeptRow(cells["tokens"], *_success(cells)))
    return {row.tokens: row for row in rows}


@cache
def table5() -> dict[tuple[str, str], PositionRow]:
    """Learnable queries at four positions, by method and position."""
    rows = _rows("table5", lambda cells: PositionRow(cells["method"], cells["pruning_position"], *_success(cells)))
    return {(row.method, row.position): row for row in rows}


def published_cost(pruner: str) -> PublishedCost | None:
    """Table II's numbers for one of our pruners; None where it has none that can be compared."""
    if pruner not in METHODS:
        return None
    row = table2()[METHODS[pruner]]
    return None if row.tflops is None else PublishedCost(row.tokens, row.tflops)


def paper_dir() -> Path:
    """`results/paper/` of the checkout, else the copy inside the installed package."""
    package = Path(__file__).resolve().parent
    checkout = package.parent / "results" / "paper"
    return checkout if (checkout / "table1.csv").is_file() else package / "data" / "paper"


def _rows(name: str, make: Callable[[Mapping[str, str]], Record]) -> list[Record]:
    """The rows of one CSV.  Raises RecordError with file and line."""
    path, rows = paper_dir() / f"{name}.csv", []
    try:
        with open(path, encoding="utf-8", newline="") as file:
            for cells in csv.DictReader(file):
                rows.append(make(cells))
    except (OSError, ValueError, KeyError, TypeError) as error:
        fix = "git checkout results/paper, or pip install --force-reinstall --no-deps vla-bench"
        raise RecordError(f"{path} cannot be read at line {len(rows) + 2}: {error!r}", fix) from error
    return rows


def _success(cells: Mapping[str, str]) -> tuple[dict[str, float], float]:
    return {suite: float(cells[suite]) for suite in SUITES}, float(cells["average"])


def _method_row(cells: Mapping[str, str]) -> MethodRow:
    prunes = {"yes": True, "no": False}[cells["token_pruning"]]
    printed = {suite: cells[f"tokens_{suite}"].split("±") for suite in SUITES if cells[f"tokens_{suite}"]}
    tokens = {suite: TokenSpread(int(mean), int(sd)) for suite, (mean, sd) in printed.items()}
    method, scale, decoding, backbone = (cells[name] for name in ("method", "scale", "decoding", "backbone"))
    success, average = _success(cells)
    return MethodRow(
        method=method,
        scale=scale,
        prunes=prunes,
        decoding=decoding,
        backbone=backbone,
        success=success,
        average=average,
        tokens=tokens,
    )


def _cost_row(cells: Mapping[str, str]) -> CostRow:
    printed = re.fullmatch(r"(\d+)(?: \((max\.|avg\.)\))?", cells["visual_tokens"])
    if printed is None:
        raise ValueError(cells["visual_tokens"])
    tflops, latency = (float(cells[name]) if cells[name] else None for name in ("tflops", "latency_ms"))
    return CostRow(
        method=cells["method"],
        tokens=int(printed[1]),
        tokens_are=printed[2] or "",
        gpu=cells["gpu"],
        tflops=tflops,
        latency_ms=latency,
        average=float(cells["success_average"]),
    )
