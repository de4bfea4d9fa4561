"""The gate for continuous integration: has the success rate dropped?"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from statistics import NormalDist

from vla_bench.errors import ExitCode, NotComparableError, UsageError
from vla_bench.results.comparison import COVERAGE, POPULATION, Pairs, check_common, over_tasks, pair, read_comparable
from vla_bench.results.result_table import successes
from vla_bench.results.summary_file import read_summary
from vla_bench.results.units import Key, units
from vla_bench.stats import Difference, smallest_drop
from vla_bench.values import Rule


class GateStatus(str, Enum):
    PASSED = "passed"
    DROPPED = "dropped"
    INCONCLUSIVE = "inconclusive"
    ERRORS = "too many errors"


CODES = {
    GateStatus.PASSED: ExitCode.DONE,
    GateStatus.DROPPED: ExitCode.REGRESSION,
    GateStatus.INCONCLUSIVE: ExitCode.INCONCLUSIVE,
    GateStatus.ERRORS: ExitCode.ERROR_BUDGET,
}


@dataclass(frozen=True)
class GateRule:
    """What the gate is asked, fixed beforehand.

    margin, must_see: drops, as fractions; the largest that NONINFERIOR lets pass, and one that DETECT must be able to see.
    alpha: chance of a false alarm, of the one-sided test.
    Raises UsageError for numbers that no gate can have.
    """

    rule: Rule = Rule.DETECT
    margin: float = 0.02
    alpha: float = 0.05
    must_see: float = 0.05

    def __post_init__(self):
        for name, value in (("--margin", self.margin), ("--must-see", self.must_see)):
            if not 0 < value <= 1:
                raise UsageError(f"{name} is a drop in percentage points, above 0 and at most 100, not {100 * value:g}")
        if not 0 < self.alpha < 0.5:
            raise UsageError(
                f"--alpha is the chance of a false alarm, a fraction above 0 and below 0.5, not {self.alpha:g}",
                "vla-bench gate --alpha 0.05 ..., for 5 %",
            )


@dataclass(frozen=True)
class GateResult:
    """The result of the gate for the pairs of two runs, under a rule fixed beforehand.

    pairs: of init states.  missing, wanted: init states that the baseline has and the new run lacks, and all of the baseline.
    difference: with the interval that leaves `alpha` on either side.  over_tasks: at 95 %, None for a single task.
    p: one-sided and exact.  smallest_drop: drop that these pairs detect with 80 % power, None for none; by Connor's normal
        approximation.
    """

    base: str
    new: str
    rule: Rule
    margin: float
    alpha: float
    must_see: float
    pairs: Pairs
    missing: int
    wanted: int
    difference: Difference
    over_tasks: Difference | None
    p: float
    smallest_drop: float | None
    finding: GateStatus

    @property
    def exit_code(self) -> int:
        return CODES[self.finding]

    @property
    def short(self) -> bool:
        """Whether the new run lacks so much of the baseline that no drop is no good news."""
        return self.missing > (1 - COVERAGE) * self.wanted

    @property
    def blind(self) -> bool:
        """Whether a drop of `must_see` would most likely not be seen."""
        return self.smallest_drop is None or self.smallest_drop > self.must_see

    def to_dict(self) -> dict[str, object]:
        return asdict(self) | {"population": POPULATION}


def gate(base: Path, new: Path, rule: GateRule, only: Collection[Key] | None = None) -> GateResult:
    """Whether a run is worse than the baseline.

    only: init states to judge by; None for all of the baseline's.
    Raises NotComparableError for an incomplete run, another world, or nothing in common.
    """
    for run in (base, new):
        check_whole(run)
    first, second = map(units, read_comparable([base, new]))
    if only is not None:
        first = {key: unit for key, unit in first.items() if key in only}
    pairs = pair(first, second)
    check_common(base, new, pairs)
    return judge(pairs, rule, len(first.keys() - second.keys()), over_tasks(first, second), str(base), str(new))


def check_whole(path: Path) -> None:
    """Raises NotComparableError for an incomplete run: the missing episodes may be the failures."""
    if (status := read_summary(path)["status"]) != "complete":
        raise NotComparableError(
            f"the run in {path} is not complete: {status}", f"vla-bench eval --out {path} ..., which resumes it"
        )


def judge(
    pairs: Pairs, rule: GateRule, missing: int = 0, tasks: Difference | None = None, base: str = "BASE", new: str = "NEW"
) -> GateResult:
    """The result for these pairs.  missing: init states of the baseline that the new run lacks.  tasks: interval over tasks."""
    p, difference = pairs.p_drop, pairs.difference_within(NormalDist().inv_cdf(1 - rule.alpha))
    found = {
        **vars(rule),
        "base": base,
        "new": new,
        "pairs": pairs,
        "missing": missing,
        "wanted": pairs.count + pairs.errors + missing,
        "difference": difference,
        "over_tasks": tasks,
        "p": p,
        "smallest_drop": smallest_drop(pairs.count, pairs.gained_spread, rule.alpha),
    }
    result = GateResult(**found, finding=GateStatus.INCONCLUSIVE)
    return GateResult(**found, finding=_finding(result))


def _finding(result: GateResult) -> GateStatus:
    excluded = result.rule is Rule.NONINFERIOR and result.difference.low > -result.margin
    if not result.pairs.covered:
        return GateStatus.ERRORS
    if result.p < result.alpha and not excluded:
        return GateStatus.DROPPED  # a drop may be established and yet be smaller than the margin
    if result.short or (result.blind if result.rule is Rule.DETECT else not excluded):
        return GateStatus.INCONCLUSIVE
    return GateStatus.PASSED


def sentences(result: GateResult) -> str:
    """The result in words, for a log."""
    pairs, gap, percent = result.pairs, result.difference, 100 * (1 - 2 * result.alpha)
    before, now = map(successes, pairs.rates)
    lines = [
        f"{result.finding.value} ({result.rule.value}): {result.new} against {result.base}",
        f"{before} of {pairs.count} won before, {now} now: {pairs.fell} lost, {pairs.rose} gained, {pairs.errors} errors",
        f"difference {100 * gap.value:+.1f} points on {POPULATION}, {percent:g} % interval "
        f"[{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]; p of no drop {result.p:.2g}",
    ]
    if (over := result.over_tasks) is not None:
        interval = f"{100 * over.value:+.1f} points, 95 % interval [{100 * over.low:+.1f}, {100 * over.high:+.1f}]"
        lines.append(f"over tasks of their kind {interval} (t over task means)")
    if result.rule is Rule.NONINFERIOR:
        lines.append(f"passes where the lower bound is above {-100 * result.margin:g} points")
    detectable = "no drop at all" if result.smallest_drop is None else f"a drop of {100 * result.smallest_drop:.1f} points"
    lines.append(f"these pairs detect {detectable} with about 80 % power")
    if result.finding is GateStatus.INCONCLUSIVE:
        lines += reasons(result)
    return "\n".join(lines)


def reasons(result: GateResult) -> list[str]:
    """Why a gate says neither, and what would mend it."""
    lines = []
    if result.short:
        lines.append(
            f"{result.new} lacks {result.missing} of the {result.wanted} init states: run them, or say with --suite, --tasks or "
            "--init-states that fewer are meant"
        )
    if result.rule is Rule.DETECT and result.blind:
        lines.append(f"a drop of {100 * result.must_see:g} points (--must-see) must be seen: run more init states")
    if result.rule is Rule.NONINFERIOR and result.difference.low <= -result.margin:
        lines.append(f"a drop beyond {100 * result.margin:g} points (--margin) is not excluded: run more init states")
    return lines
