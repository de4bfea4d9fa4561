"""Expected against found: how far apart two tensors may be, and what is said about them."""

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

    size: the largest error; with a floor, it counts in units of max(floor, max |expected|).
    share: the part of a tensor's values that may differ at all.
    """

    size: float
    floor: float | None = None
    share: float = 1.0

    def bound(self, expected: np.ndarray) -> float:
        if self.floor is None:
            return self.size
        return self.size * max(self.floor, float(np.abs(expected).max(initial=0.0)))


EXACT = Tolerance(0.0)  # indices, masks, positions, ids, counts
ACTIVATIONS = Tolerance(2e-4, floor=1.0)
GRADIENTS = Tolerance(1e-3, floor=0.0)
MATHS = Tolerance(1e-6, floor=1.0)  # float64 in, float64 out
RESIZED = Tolerance(1.0, share=2e-4)  # of 255; what float64 Lanczos and TensorFlow's float32 disagree on
PICTURE = Tolerance(1.0)


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
    """One line of the verdict: a family of tensors of one file, by the worst of them.

    max_error, tolerance: absolute, of the worst tensor; None where nothing could be compared.
    reason: what is wrong, or why nothing was checked; None when all is well.
    """

    file: str
    family: str
    tensors: int
    max_error: float | None
    tolerance: float | None
    verdict: CheckStatus
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
    """The group that a tensor is reported with: samples together, pictures together, gradients together."""
    name = re.sub(r"^(sample|img)\d+(?=\.)|(?<=\.)(sample|img)\d+(?=\.)", lambda m: f"{m[1] or m[2]}*", tensor)
    return re.sub(r"^(\w+\.grad)\..*", r"\1", name)


def judge(file: str, fixture: Fixture, answers: Iterator[Computed]) -> list[FamilyResult]:
    """Compare every answer with the tensor of its name, then list the tensors that nobody asked about."""
    groups: dict[str, dict[str, FamilyResult]] = {}
    why = "no check knows this tensor"

    def add(tensor: str, row: FamilyResult, group: str | None = None) -> None:
        """A tensor may be compared more than once; the worse result stays."""
        rows = groups.setdefault(group or row.family, {})
        rows[tensor] = max(rows.get(tensor, row), row, key=_badness)

    try:
        for answer in answers:
            if answer.tensor not in fixture:
                add(answer.tensor, _miss(file, family_of(answer.tensor), f"{answer.tensor} is not in the file"))
            else:
                add(answer.tensor, _compare(file, answer.family or family_of(answer.tensor), fixture, answer))
    except FixtureError as error:
        why = f"cannot be computed: {error.message}"
        add(error.tensor, _miss(file, family_of(error.tensor), error.message))
    # What broken values can raise on their way through the model: ids outside the vocabulary, shapes that do not fit.
    except (VlaBenchError, RuntimeError, ValueError, IndexError, KeyError, TypeError) as error:
        why = "cannot be computed, for the same reason"
        add("file", _miss(file, "file", f"computing stopped: {type(error).__name__}: {_one_line(error)}"))
    for tensor in fixture.unread():
        row = unchecked(file, family_of(tensor), why, 1)
        add(tensor, row, f"{row.family}, unread")
    # The worst tensor speaks for its family.
    return [replace(max(rows.values(), key=_badness), tensors=len(rows)) for rows in groups.values()]


def broken(file: str, reason: object) -> FamilyResult:
    """A file that cannot be used at all."""
    return _miss(file, "file", _one_line(reason))


def unchecked(file: str, family: str, reason: str, tensors: int = 0) -> FamilyResult:
    return FamilyResult(file, family, tensors, None, None, CheckStatus.UNCHECKED, reason)


def _miss(file: str, family: str, reason: str, tensors: int = 1) -> FamilyResult:
    return FamilyResult(file, family, tensors, None, None, CheckStatus.MISS, reason)


def _compare(file: str, family: str, fixture: Fixture, answer: Computed) -> FamilyResult:
    expected = _numbers(fixture[answer.tensor])
    if answer.problem:
        return _miss(file, family, f"{answer.tensor}: {answer.problem}")
    found = _numbers(answer.value)
    if found.shape != expected.shape:
        return _miss(file, family, f"{answer.tensor}: shape {found.shape}, expected {expected.shape}")
    bound = answer.tolerance.bound(expected if answer.where is None else expected[answer.where.numpy()])
    if not (np.isfinite(found).all() and np.isfinite(expected).all()):
        whose = "found" if np.isfinite(expected).all() else "expected"
        return _miss(file, family, f"{answer.tensor}: a {whose} value is not a finite number")
    error = np.abs(found - expected)
    if answer.where is not None:
        error[~answer.where.numpy()] = 0
    worst = min(float(error.max(initial=0.0)), np.finfo(float).max)  # a difference of huge numbers can overflow
    allowed = math.floor(answer.tolerance.share * error.size)
    reason = None
    if worst > bound:
        place = np.unravel_index(int(error.argmax()), error.shape)
        where = f" at {[int(i) for i in place]}" if place else ""
        reason = f"{answer.tensor}{where}: {found[place]:.6g}, expected {expected[place]:.6g}"
    elif (differing := int((error > 0).sum())) > allowed:
        reason = f"{answer.tensor}: {differing} of {error.size} values differ, {allowed} may"
    return FamilyResult(file, family, 1, worst, bound, CheckStatus.MISS if reason else CheckStatus.OK, reason)


def _badness(row: FamilyResult) -> tuple[bool, float]:
    """Misses first, then by how much of its tolerance the error takes."""
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
