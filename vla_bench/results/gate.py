"""The gate for continuous integration: has the success rate dropped?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from enum import Enum
from pathlib import Path
from statistics import NormalDist

from vla_bench.errors import ExitCode, NotComparableError, UsageError
from vla_bench.results.comparison import ComparedRun, Pairs
from vla_bench.results.result_table import successes
from vla_bench.results.summary_file import read_summary
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
class GateResult:
    """The result of the gate for the pairs of two runs, under a rule fixed beforehand.

    margin, alpha: fractions.  difference: with the interval that leaves `alpha` on either side.
    p: one-sided, of McNemar's exact test.  smallest_drop: drop that these pairs detect with 80 % power, None for none; by
        Connor's normal approximation.
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
    """Raises NotComparableError for an incomplete run: the missing episodes may be the failures."""
    if (status := read_summary(path)["status"]) != "complete":
        raise NotComparableError(
            f"the run in {path} is not complete: {status}", f"vla-bench eval --out {path} ..., which resumes it"
        )


def judge(row: ComparedRun, rule: Rule, margin: float, alpha: float) -> GateResult:
    """Whether a compared run is worse than the baseline.  Raises UsageError for a margin or alpha outside (0, 1)."""
    for name, value in (("--margin", margin), ("--alpha", alpha)):
        if not 0 < value < 1:
            raise UsageError(f"{name} must be between 0 and 100 %, not {100 * value:g} %", "vla-bench gate --help")
    pairs = row.pairs
    p, difference = pairs.p_drop, pairs.difference_within(NormalDist().inv_cdf(1 - alpha))
    if not pairs.covered:
        status = GateStatus.ERRORS
    elif rule is Rule.NONINFERIOR and difference.low > -margin:
        status = GateStatus.PASSED  # a drop may be established and yet be smaller than the margin
    elif p < alpha:
        status = GateStatus.DROPPED
    else:
        status = GateStatus.PASSED if rule is Rule.DETECT else GateStatus.INCONCLUSIVE
    seen = smallest_drop(pairs.count, pairs.gained_spread, alpha)
    found = {"pairs": pairs, "difference": difference, "p": p, "smallest_drop": seen, "finding": status}
    return GateResult(rule, margin, alpha, **found)


def sentences(result: GateResult) -> str:
    """The result in words, for a log."""
    pairs, gap, percent = result.pairs, result.difference, 100 * (1 - 2 * result.alpha)
    before, now = map(successes, pairs.rates)
    lines = [
        f"{result.finding.value} ({result.rule.value})",
        f"{before} of {pairs.count} won before, {now} now: {pairs.fell} lost, {pairs.rose} gained, {pairs.errors} errors",
        f"difference {100 * gap.value:+.1f} points, {percent:g} % interval [{100 * gap.low:+.1f}, {100 * gap.high:+.1f}]; "
        f"p of no drop {result.p:.2g}",
    ]
    if result.rule is Rule.NONINFERIOR:
        lines.append(f"passes where the lower bound is above {-100 * result.margin:g} points")
    detectable = "no drop at all" if result.smallest_drop is None else f"a drop of {100 * result.smallest_drop:.1f} points"
    return "\n".join([*lines, f"these pairs detect {detectable} with about 80 % power"])
