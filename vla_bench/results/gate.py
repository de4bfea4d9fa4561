"""A verdict that a machine acts on: has the success rate dropped?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from statistics import NormalDist

from vla_bench.errors import ExitCode, NotComparableError, UsageError
from vla_bench.results.comparison import ComparedRun, Pairs
from vla_bench.results.summary_file import read_summary
from vla_bench.stats import Difference, mcnemar_drop, paired_difference, smallest_drop
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
class GateResult:
    """What the pairs of two runs come to under a rule declared before.

    margin, alpha: fractions.  difference: with the interval that leaves `alpha` on either side.
    p: one-sided, of McNemar's exact test.  smallest_drop: what these pairs could have shown with about 80 % chance, None for
        nothing; by Connor's normal approximation.
    """

    rule: Rule
    margin: float
    alpha: float
    pairs: Pairs
    difference: Difference
    p: float
    smallest_drop: float | None
    finding: GateStatus

    @property
    def exit_code(self) -> int:
        return CODES[self.finding]

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def check_whole(path: Path) -> None:
    """Raises NotComparableError for a run that was broken off: what it lacks may be what it loses."""
    if (status := read_summary(path)["status"]) != "complete":
        raise NotComparableError(f"the run in {path} did not end: {status}", f"vla-bench eval --out {path} ..., which goes on")


def judge(row: ComparedRun, rule: Rule, margin: float, alpha: float) -> GateResult:
    """Whether a compared run is worse than the base.  Raises UsageError for a margin or alpha outside (0, 1)."""
    for name, value in (("--margin", margin), ("--alpha", alpha)):
        if not 0 < value < 1:
            raise UsageError(f"{name} must lie between nothing and everything, not at {value:g} of it", "vla-bench gate --help")
    pairs = row.pairs
    p = mcnemar_drop(pairs.lost, pairs.gained)
    difference = paired_difference(pairs.both, pairs.lost, pairs.gained, pairs.neither, z=NormalDist().inv_cdf(1 - alpha))
    if not pairs.covered:
        finding = GateStatus.ERRORS
    elif rule is Rule.NONINFERIOR and difference.low > -margin:
        finding = GateStatus.PASSED  # a drop may be established and yet be smaller than the margin
    elif p < alpha:
        finding = GateStatus.DROPPED
    else:
        finding = GateStatus.PASSED if rule is Rule.DETECT else GateStatus.INCONCLUSIVE
    return GateResult(rule, margin, alpha, pairs, difference, p, smallest_drop(pairs.count, pairs.gained, alpha), finding)


def sentences(judgement: GateResult) -> str:
    """The judgement in words, for a log."""
    pairs, gap, percent = judgement.pairs, judgement.difference, 100 * (1 - 2 * judgement.alpha)
    before, now = pairs.both + pairs.lost, pairs.both + pairs.gained
    lines = [
        f"{judgement.finding.value} ({judgement.rule.value})",
        f"{before} of {pairs.count} won before, {now} now: {pairs.lost} lost, {pairs.gained} gained, {pairs.errors} errors",
        f"difference {100 * gap.value:+.1f} points, {percent:g} % interval [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]; "
        f"p of no drop {judgement.p:.2g}",
    ]
    if judgement.rule is Rule.NONINFERIOR:
        lines.append(f"passes where the lower bound is above {-100 * judgement.margin:g} points")
    seen = "no drop at all" if judgement.smallest_drop is None else f"a drop of {100 * judgement.smallest_drop:.1f} points"
    return "\n".join([*lines, f"these pairs could have shown {seen} with about 80 % chance"])
