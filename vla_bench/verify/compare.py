"""Comparison of our tensors with the golden ones: tolerances, and the result of every family."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from dataclasses import dataclass, replace
from enum import Enum

import numpy as np
import torch
from torch import Tensor

from vla_bench.errors import VlaBenchError
from vla_bench.verify.fixture import Array, Fixture, FixtureError


@dataclass(frozen=True)
class Tolerance:
    """How far a value may lie from the expected one.

    size: the largest error; with a floor, in units of max(floor, max |expected|).
    share: share of a tensor's values that may differ at all.
    """

    size: float
    floor: float | None = None
    share: float = 1.0

    def bound(self, expected: np.ndarray) -> float:
        """The largest absolute error for this tensor."""
        if self.floor is None:
            return self.size
        return self.size * max(self.floor, float(np.abs(expected).max(initial=0.0)))


EXACT = Tolerance(0.0)  # indices, masks, positions, ids, counts
ACTIVATIONS = Tolerance(2e-4, floor=1.0)
GRADIENTS = Tolerance(1e-3, floor=0.0)
MATHS = Tolerance(1e-6, floor=1.0)  # float64 in, float64 out
RESIZED = Tolerance(1.0, share=2e-4)  # of 255; float64 Lanczos and TensorFlow's float32 differ by this
IMAGE = Tolerance(1.0)


class CheckStatus(str, Enum):
    OK = "ok"
    MISS = "MISS"
    UNCHECKED = "not checked"


@dataclass(frozen=True)
class Computed:
    """Our value of one tensor of a file.

    family: the row it is reported in; None derives it from the name.
    where: rows (bool over the leading axes) to compare, with a tolerance of their own; None for all.
    problem: why there is no value.
    """

    tensor: str
    value: Array | int | float | None
    tolerance: Tolerance = ACTIVATIONS
    family: str | None = None
    where: Tensor | None = None
    problem: str | None = None


@dataclass(frozen=True)
class FamilyResult:
    """One line of the report: the worst tensor of a family in one file.

    max_error, tolerance: absolute, of the worst tensor; None where nothing could be compared.
    reason: of a miss, or why nothing was checked; None otherwise.
    """

    file: str
    family: str
    tensors: int
    verdict: CheckStatus
    max_error: float | None = None
    tolerance: float | None = None
    reason: str | None = None

    def to_dict(self) -> dict[str, object]:
        return {
            "file": self.file,
            "family": self.family,
            "tensors": self.tensors,
            "max_error": self.max_error,
            "tolerance": self.tolerance,
            "verdict": self.verdict.value,
            "reason": self.reason,
        }


def family_of(tensor: str) -> str:
    """The group that a tensor is reported with: all samples, all images, all gradients of one model."""
    name = re.sub(r"^(sample|img)\d+(?=\.)|(?<=\.)(sample|img)\d+(?=\.)", lambda m: f"{m[1] or m[2]}*", tensor)
    return re.sub(r"^(\w+\.grad)\..*", r"\1", name)


def judge(file: str, fixture: Fixture, values: Iterator[Computed]) -> list[FamilyResult]:
    """Compare every value with the golden tensor of its name, then list the tensors that no check used."""
    groups: dict[str, dict[str, FamilyResult]] = {}
    why = "no check for this tensor"

    def add(tensor: str, row: FamilyResult, group: str | None = None) -> None:
        """A tensor may be compared more than once; the worse result stays."""
        rows = groups.setdefault(group or row.family, {})
        rows[tensor] = max(rows.get(tensor, row), row, key=_badness)

    try:
        for value in values:
            if value.tensor not in fixture:
                add(value.tensor, _miss(file, family_of(value.tensor), f"{value.tensor} is not in the file"))
            else:
                add(value.tensor, _compare(file, value.family or family_of(value.tensor), fixture, value))
    except FixtureError as error:
        why = f"cannot be computed: {error.message}"
        add(error.tensor, _miss(file, family_of(error.tensor), error.message))
    # Broken inputs can raise these in the model: ids outside the vocabulary, shapes that do not fit.
    except (VlaBenchError, RuntimeError, ValueError, IndexError, KeyError, TypeError) as error:
        why = "cannot be computed, for the same reason"
        add("file", _miss(file, "file", f"computing stopped: {type(error).__name__}: {_one_line(error)}"))
    for tensor in fixture.unread():
        row = unchecked(file, family_of(tensor), why, 1)
        add(tensor, row, f"{row.family}, unread")
    # The worst tensor stands for its family.
    return [replace(max(rows.values(), key=_badness), tensors=len(rows)) for rows in groups.values()]


def broken(file: str, reason: object) -> FamilyResult:
    """A file that cannot be used at all."""
    return _miss(file, "file", _one_line(reason))


def unchecked(file: str, family: str, reason: str, tensors: int = 0) -> FamilyResult:
    return FamilyResult(file, family, tensors, verdict=CheckStatus.UNCHECKED, reason=reason)


def _miss(file: str, family: str, reason: str, tensors: int = 1) -> FamilyResult:
    return FamilyResult(file, family, tensors, verdict=CheckStatus.MISS, reason=reason)


def _compare(file: str, family: str, fixture: Fixture, value: Computed) -> FamilyResult:
    expected = _numbers(fixture[value.tensor])
    if value.problem:
        return _miss(file, family, f"{value.tensor}: {value.problem}")
    ours = _numbers(value.value)
    if ours.shape != expected.shape:
        return _miss(file, family, f"{value.tensor}: shape {ours.shape}, expected {expected.shape}")
    bound = value.tolerance.bound(expected if value.where is None else expected[value.where.numpy()])
    if not (np.isfinite(ours).all() and np.isfinite(expected).all()):
        whose = "computed" if np.isfinite(expected).all() else "expected"
        return _miss(file, family, f"{value.tensor}: a {whose} value is not a finite number")
    error = np.abs(ours - expected)
    if value.where is not None:
        error[~value.where.numpy()] = 0
    worst = min(float(error.max(initial=0.0)), np.finfo(float).max)  # a difference of huge numbers can overflow
    allowed = math.floor(value.tolerance.share * error.size)
    reason = None
    if worst > bound:
        place = np.unravel_index(int(error.argmax()), error.shape)
        where = f" at {[int(i) for i in place]}" if place else ""
        reason = f"{value.tensor}{where}: {ours[place]:.6g}, expected {expected[place]:.6g}"
    elif (differing := int((error > 0).sum())) > allowed:
        reason = f"{value.tensor}: {differing} of {error.size} values differ, {allowed} may"
    verdict = CheckStatus.MISS if reason else CheckStatus.OK
    return FamilyResult(file, family, 1, max_error=worst, tolerance=bound, verdict=verdict, reason=reason)


def _badness(row: FamilyResult) -> tuple[bool, float]:
    """Sorting key: misses last, then by the error in units of its tolerance."""
    if row.max_error == 0:
        used = 0.0
    elif row.max_error is None or not row.tolerance:
        used = math.inf
    else:
        used = row.max_error / row.tolerance
    return row.verdict is CheckStatus.MISS, used


def _numbers(value: Array | int | float | None) -> np.ndarray:
    if isinstance(value, Tensor):
        value = value.detach().to("cpu", torch.float64).numpy()
    return np.asarray(value, dtype=np.float64)


def _one_line(reason: object) -> str:
    return " ".join(str(reason).split())
