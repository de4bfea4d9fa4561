"""The gate for continuous integration: has the success rate dropped?"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import asdict, dataclass, field, replace
from pathlib import Path

from vla_bench.errors import NotComparableError, UsageError
from vla_bench.results.comparison import check_common, check_comparable
from vla_bench.results.evidence import Evidence, evidence
from vla_bench.results.gate_costs import CostFinding, CostLimits, judge_costs
from vla_bench.results.gate_status import GateStatus, gravest
from vla_bench.results.pairs import COVERAGE, Pairs, pair
from vla_bench.results.parts import split_by
from vla_bench.results.stopped import refuse_stopped
from vla_bench.results.summary_file import read_summary
from vla_bench.results.units import Key, Unit, units
from vla_bench.stats import Difference, holm
from vla_bench.values import By, Population, Rule

LEAST_ALPHA = 1e-6  # shared among what is judged; far below it a normal quantile is no longer a number


@dataclass(frozen=True)
class GateRule:
    """What the gate is asked, fixed beforehand.

    margin, must_see: drops, as fractions; the largest that NONINFERIOR lets pass, and one that DETECT must be able to see.
    alpha: chance of a false alarm, of the one-sided test, or of all of them together.
    population: what the verdict speaks of.  per: suites or tasks that are judged one by one; None for the whole.
    Raises UsageError for numbers that no gate can have.
    """

    rule: Rule = Rule.DETECT
    margin: float = 0.02
    alpha: float = 0.05
    must_see: float = 0.05
    population: Population = Population.INIT_STATES
    per: By | None = None
    costs: CostLimits = field(default_factory=CostLimits)

    def __post_init__(self):
        for name, value in (("--margin", self.margin), ("--must-see", self.must_see)):
            if not 0 < value <= 1:
                raise UsageError(f"{name} is a drop in percentage points, above 0 and at most 100, not {100 * value:g}")
        if not LEAST_ALPHA <= self.alpha < 0.5:
            raise UsageError(
                f"--alpha is the chance of a false alarm, a fraction from {LEAST_ALPHA:g} to below 0.5, not {self.alpha:g}",
                "vla-bench gate --alpha 0.05 ..., for 5 %",
            )
        if self.per is By.TASK and self.population is Population.TASKS:
            raise UsageError(
                "a single task says nothing about tasks of its kind", "vla-bench gate --per suite --population tasks BASE NEW"
            )


@dataclass(frozen=True)
class Judgement:
    """What the gate finds of the pairs of two runs, or of one suite or task of them.

    pairs: of init states.  missing, wanted: init states that the baseline has and the new run lacks, and all of the baseline.
    difference, over_tasks: of these tasks and init states, and of tasks of their kind, with intervals that leave `alpha` on
        either side, shared among what is judged; None without a pair, the latter for a single task, too.
    task_count: tasks with pairs.  few: whether they are too few for a finding over tasks.
    p: one-sided, of the population that decides; adjusted by Holm where several are judged.
    smallest_drop: drop that these pairs detect with 80 % power, None for none.
    """

    suite: str | None
    task_id: int | None
    pairs: Pairs
    missing: int
    wanted: int
    difference: Difference | None
    over_tasks: Difference | None
    task_count: int
    few: bool
    p: float
    smallest_drop: float | None
    finding: GateStatus = GateStatus.INCONCLUSIVE

    @property
    def short(self) -> bool:
        """Whether the new run lacks so much of the baseline that no drop is no good news."""
        return self.missing > (1 - COVERAGE) * self.wanted

    def blind(self, rule: GateRule) -> bool:
        """Whether a drop of `must_see` would most likely not be seen."""
        return self.smallest_drop is None or self.smallest_drop > rule.must_see

    def deciding(self, population: Population) -> Difference | None:
        """The difference that decides."""
        if population is Population.INIT_STATES:
            return self.difference
        return None if self.few else self.over_tasks

    def excluded(self, rule: GateRule) -> bool:
        """Whether a drop of the margin is excluded."""
        found = self.deciding(rule.population)
        return found is not None and found.low > -rule.margin


@dataclass(frozen=True)
class GateTask:
    """What a task contributes.  task: its name in LIBERO."""

    suite: str
    task_id: int
    task: str
    pairs: Pairs
    missing: int


@dataclass(frozen=True)
class GateResult:
    """The result of the gate.

    whole: all pairs together.  parts: the suites or tasks that are judged one by one; where there are any, the whole is not.
    """

    base: str
    new: str
    rule: GateRule
    whole: Judgement
    parts: tuple[Judgement, ...]
    costs: tuple[CostFinding, ...]
    tasks: tuple[GateTask, ...]

    @property
    def finding(self) -> GateStatus:
        return gravest([each.finding for each in (*(self.parts or (self.whole,)), *self.costs)])

    @property
    def exit_code(self) -> int:
        return self.finding.exit_code

    def to_dict(self) -> dict[str, object]:
        table = asdict(self)
        rule, whole = table.pop("rule"), table.pop("whole")
        limits = {"limits": rule.pop("costs")}
        return rule | limits | whole | table | {"finding": self.finding, "population": self.rule.population.words}


def gate(base: Path, new: Path, rule: GateRule, only: Collection[Key] | None = None) -> GateResult:
    """Whether a run is worse than the baseline.

    only: init states to judge by; None for all of the baseline's.
    Raises NotComparableError for an incomplete run, another world, or nothing in common.
    """
    runs = [(path, read_summary(path)) for path in (base, new)]
    for path, summary in runs:
        check_whole(path, summary)
    check_comparable(runs)
    summaries = [summary for _, summary in runs]
    first, second = map(units, summaries)
    if only is not None:
        first = {key: unit for key, unit in first.items() if key in only}
    found = evidence(first, second)
    check_common(base, new, found.pairs)
    order = list(summaries[0]["suites"])
    ended = {key for key in first if key in second and None not in (first[key].mean, second[key].mean)}
    names = summaries[0]["tasks"]
    return GateResult(
        base=str(base),
        new=str(new),
        rule=rule,
        whole=judge(found, rule, _lacking(first, second)),
        parts=judge_parts(split_by(rule.per, first, order), second, rule) if rule.per else (),
        costs=tuple(judge_costs(*summaries, ended, rule.costs)),
        tasks=tuple(
            GateTask(suite, task, names[f"{suite}/{task}"]["task"], pair(own, second), _lacking(own, second))
            for (suite, task), own in split_by(By.TASK, first, order).items()
        ),
    )


def check_whole(path: Path, summary: dict) -> None:
    """Raises NotComparableError for an incomplete run: the missing episodes may be the failures."""
    refuse_stopped(path, summary)
    if (status := summary["status"]) != "complete":
        raise NotComparableError(
            f"the run in {path} is not complete: {status}", f"vla-bench eval --out {path} ..., which resumes it"
        )


def judge_parts(
    parts: dict[tuple[str, int | None], dict[Key, Unit]], other: dict[Key, Unit], rule: GateRule
) -> tuple[Judgement, ...]:
    """Each suite or task of the baseline by itself.  p is adjusted for their number (Holm); intervals share `alpha` equally."""
    found = {part: evidence(own, other) for part, own in parts.items()}
    adjusted = holm([each.p_drop(rule.population) for each in found.values()])
    return tuple(
        replace(judge(each, rule, _lacking(parts[part], other), len(found), p), suite=part[0], task_id=part[1])
        for (part, each), p in zip(found.items(), adjusted, strict=True)
    )


def judge(found: Evidence, rule: GateRule, missing: int = 0, tests: int = 1, p: float | None = None) -> Judgement:
    """The finding of these pairs.

    missing: init states of the baseline that the new run lacks.  tests: how many findings share `alpha`.
    p: adjusted for them; None for the one test's own.
    """
    pairs, alpha, some = found.pairs, rule.alpha / tests, found.pairs.count > 0
    judged = Judgement(
        suite=None,
        task_id=None,
        pairs=pairs,
        missing=missing,
        wanted=pairs.count + pairs.errors + missing,
        difference=found.difference(2 * alpha) if some else None,
        over_tasks=found.over_tasks(2 * alpha) if some else None,
        task_count=len(found.tasks),
        few=found.few(rule.population),
        p=found.p_drop(rule.population) if p is None else p,
        smallest_drop=found.smallest_drop(rule.population, alpha) if some else None,
    )
    return replace(judged, finding=_finding(judged, rule))


def _finding(judged: Judgement, rule: GateRule) -> GateStatus:
    excluded = rule.rule is Rule.NONINFERIOR and judged.excluded(rule)
    if not judged.pairs.covered:
        return GateStatus.ERRORS
    if judged.p < rule.alpha and not excluded:
        return GateStatus.DROPPED  # a drop may be established and yet be smaller than the margin
    if judged.few or judged.short or (judged.blind(rule) if rule.rule is Rule.DETECT else not excluded):
        return GateStatus.INCONCLUSIVE
    return GateStatus.PASSED


def _lacking(first: dict[Key, Unit], second: dict[Key, Unit]) -> int:
    return len(first.keys() - second.keys())
