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
from vla_bench.values import OtherNoise, OtherTokens

SUITES = ("spatial", "object", "goal", "long")
# The rows of Table II by model and pruner: most methods were published for OpenVLA, which decodes token by token.
METHODS = {
    "openvla-oft": {"none": "OpenVLA-OFT", "lightvla": "LightVLA"},
    "openvla": {
        "none": "OpenVLA",
        "sparsevlm": "SparseVLM",
        "fastv": "FastV",
        "vla-cache": "VLA-Cache",
        "flashvla-ics": "FlashVLA",
        "spvla": "SP-VLA",
    },
}
# What each published figure counts.  Only OpenVLA-OFT's is what vla-bench counts.
COUNTED = {
    "OpenVLA-OFT": "FLOPs of the whole model, as counted here",
    "LightVLA": "presumably the same; it does not follow from its tokens: they give 2.9 to 3.1, and it takes 121 to 128 of them",
    "SparseVLM": "multiply-adds of the decoder's first pass alone; its 100 tokens are at most so many that leave, about 183 stay",
    "FastV": "multiply-adds of the decoder's first pass alone, and of all tokens: as an attention mask FastV saves nothing",
    "VLA-Cache": "multiply-adds of the decoder's first pass alone; its 100 tokens are at most so many that are reused",
    "FlashVLA": "multiply-adds of the image tokens in the decoder alone, less those of the skipped steps",
    "SP-VLA": "FLOPs of vision and the decoder's first pass, less those of the skipped steps",
}

# Table III: weights trained with another noise schedule: suffix of their name, and their name in the table.
SCHEDULES = {
    OtherNoise.NONE: ("-no-noise", "without noise"),
    OtherNoise.CONSTANT: ("-constant-noise", "without schedule (constant noise)"),
}
# Table IV: the same weights with as many random tokens added, or without a tenth of the kept ones.
TOKENS = {OtherTokens.MORE: "plus-random", OtherTokens.FEWER: "drop-random"}
# Table V: our pruners, with the table's method and position.
POSITIONS = {
    "none": ("OpenVLA-OFT", "-"),
    "lightvla-star-vision": ("LightVLA*", "Vision Encoder"),
    "lightvla-star-llm1": ("LightVLA*", "LLM (layer#1)"),
    "lightvla-star-llm2": ("LightVLA*", "LLM (layer#2)"),
    "lightvla-star-llm3": ("LightVLA*", "LLM (layer#3)"),
    "lightvla": ("LightVLA", "Vision Encoder"),
}

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
    """Image tokens, TFLOPs of a query, and the method's name in the tables."""

    tokens: int
    tflops: float
    method: str


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


def printed(table: str) -> list[dict[str, str]]:
    """The rows of "table1" to "table5", each cell as the paper prints it; empty where it prints a dash."""
    return _rows(table, dict)


def published_cost(pruner: str, model: str = "openvla-oft") -> PublishedCost | None:
    """Table II's numbers for one of our pruners on a model; None where it has none."""
    method = METHODS.get(model, {}).get(pruner)
    row = table2()[method] if method is not None else None
    return None if row is None or row.tflops is None else PublishedCost(row.tokens, row.tflops, row.method)


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
