"""`vla-bench verify`: does this machine, with these library versions, compute the same as the reference code?

A folder of golden tensors has inputs and the reference's results.  Every file is recomputed from its inputs and compared
tensor by tensor; sizes, cameras and lengths are read from the files.  The bundled set was made by this code after it had
passed on tensors of the reference itself (scripts/make_fixtures.py).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from vla_bench.errors import ExitCode, UsageError, VlaBenchError
from vla_bench.verify import checkpoint, evaluation, images, numbers, pruner, training
from vla_bench.verify.baselines import (
    adp,
    divprune,
    fastv,
    flashvla_ics,
    grid_sampler,
    oft_spans,
    safe_pruner,
    sparsevlm,
    spvla,
    vlacache,
    vlapruner,
)
from vla_bench.verify.checkpoint import TestedModel
from vla_bench.verify.compare import CheckStatus, Computed, FamilyResult, broken, judge, unchecked
from vla_bench.verify.fixture import Fixture, FixtureError, read

GOLDEN = Path(__file__).resolve().parent / "golden"

ALONE: dict[str, Callable[[Fixture], Iterator[Computed]]] = {
    r"pruner_.*\.safetensors": pruner.computed,
    r"image_pipeline.*\.npz": images.computed,
    r"utils.*\.npz": numbers.computed,
    r"baselines_fastv.*\.npz": fastv.computed,
    r"baselines_sparsevlm_.*\.npz": sparsevlm.computed,
    r"baselines_divprune.*\.npz": divprune.computed,
    r"baselines_vlacache.*\.npz": vlacache.computed,
    r"baselines_flashvla_ics.*\.npz": flashvla_ics.computed,
    r"baselines_spvla.*\.npz": spvla.computed,
    r"baselines_adp.*\.npz": adp.computed,
    r"baselines_vlapruner.*\.npz": vlapruner.computed,
    r"baselines_oft_spans.*\.npz": oft_spans.computed,
    r"baselines_grid_sampler.*\.npz": grid_sampler.computed,
    r"baselines_safe_pruner.*\.npz": safe_pruner.computed,
}
WITH_MODEL: dict[str, Callable[[TestedModel, Fixture], Iterator[Computed]]] = {
    r"e2e_eval_.*\.safetensors": evaluation.computed,
    r"e2e_train.*\.safetensors": training.computed,
}
TENSOR_FILES = (".safetensors", ".npz", ".npy", ".pt")


@dataclass(frozen=True)
class VerifyReport:
    """The results of all fixtures in a folder."""

    fixtures: Path
    rows: tuple[FamilyResult, ...]

    @property
    def passed(self) -> bool:
        """Whether no tensor misses; unchecked ones do not count."""
        return all(row.verdict is not CheckStatus.MISS for row in self.rows)

    @property
    def exit_code(self) -> int:
        return ExitCode.DONE if self.passed else ExitCode.MISMATCH

    def to_dict(self) -> dict[str, object]:
        return {"fixtures": str(self.fixtures), "passed": self.passed, "rows": [row.to_dict() for row in self.rows]}


def verify(fixtures: Path | None = None) -> VerifyReport:
    """Check every fixture in a folder; None for the bundled set.

    Raises UsageError where there is nothing to check.  A damaged file is a miss, not an error.
    """
    folder = GOLDEN if fixtures is None else fixtures
    if not folder.is_dir():
        raise UsageError(f"{folder} is not a folder", "vla-bench verify")
    files = sorted(path for path in folder.iterdir() if path.suffix in TENSOR_FILES)
    alone = [(path, check) for path in files if (check := _checker(ALONE, path))]
    with_model = [(path, check) for path in files if (check := _checker(WITH_MODEL, path))]
    has_checkpoint = (folder / checkpoint.NAME).is_dir()
    if not alone and not with_model and not has_checkpoint:
        raise UsageError(
            f"{folder} has no fixture that can be checked (pruner_*, baselines_*, e2e_*, image_pipeline*, utils*)",
            "vla-bench verify",
        )
    rows = [row for path, check in alone for row in _check(path, check)]
    if with_model or has_checkpoint:
        rows += _with_model(folder / checkpoint.NAME, with_model)
    known = {path for path, _ in alone + with_model}
    rows += [unchecked(path.name, "file", f"no checker for {_kind(path)}") for path in files if path not in known]
    return VerifyReport(folder, tuple(rows))


def _checker(table: dict[str, Callable], path: Path) -> Callable | None:
    return next((check for pattern, check in table.items() if re.fullmatch(pattern, path.name)), None)


def _kind(path: Path) -> str:
    """The kind of a file by its name: baselines_* for baselines_adp.npz."""
    head, separator, _ = path.stem.partition("_")
    return f"{head}_*" if separator else path.name


def _check(path: Path, check: Callable[[Fixture], Iterator[Computed]]) -> list[FamilyResult]:
    try:
        given = read(path)
    except FixtureError as error:
        return [broken(path.name, error.message)]
    return judge(path.name, given, check(given))


def _with_model(folder: Path, files: list[tuple[Path, Callable]]) -> list[FamilyResult]:
    """The checkpoint's own rows, then those of the files that need it."""
    try:
        if not folder.is_dir():
            raise FixtureError("is missing, and the e2e_* files were made with it")
        tested = checkpoint.load_tested(folder)
        rows = judge(folder.name, checkpoint.stored(folder), checkpoint.computed(tested))
    except (VlaBenchError, OSError, ValueError) as error:
        waiting = [unchecked(path.name, "file", f"needs {folder.name}, which cannot be used") for path, _ in files]
        return [broken(folder.name, getattr(error, "message", error)), *waiting]
    for path, check in files:
        rows += _check(path, lambda given, check=check: check(tested, given))
    return rows
