"""Why a gate says neither, and what would mend it."""

from __future__ import annotations

from vla_bench.results.gate import GateResult, Judgement
from vla_bench.results.gate_status import GateStatus
from vla_bench.task_stats import LEAST_TASKS
from vla_bench.values import Population, Rule


def reasons(result: GateResult) -> list[str]:
    """One sentence for each thing that keeps the gate from a verdict."""
    lines = []
    for judged in result.parts or (result.whole,):
        where = "" if judged.suite is None else f"{part_name(judged)}: "
        lines += [f"{where}{line}" for line in reasons_of(judged, result)]
    return lines + [f"{cost.name}: {cost.reason}" for cost in result.costs if cost.reason is not None]


def part_name(judged: Judgement) -> str:
    return str(judged.suite) if judged.task_id is None else f"{judged.suite}, task {judged.task_id}"


def reasons_of(judged: Judgement, result: GateResult) -> list[str]:
    """Those of the whole, or of one suite or task; none where there is a verdict."""
    if judged.finding is not GateStatus.INCONCLUSIVE:
        return []
    rule = result.rule
    lines, more = [], "run more init states"
    if rule.population is Population.TASKS:
        more = "run more tasks or init states, or judge by --population init-states"
    if judged.short:
        lines.append(
            f"{result.new} lacks {judged.missing} of the {judged.wanted} init states: run them, or say with --suite, --tasks or "
            "--init-states that fewer are meant"
        )
    if judged.few:
        lines.append(
            f"{judged.task_count} tasks are too few to speak of tasks of their kind: run {LEAST_TASKS} or more, or judge by "
            "--population init-states"
        )
    elif rule.rule is Rule.DETECT and judged.blind(rule):
        lines.append(f"a drop of {100 * rule.must_see:g} points (--must-see) must be seen: {more}")
    elif rule.rule is Rule.NONINFERIOR and not judged.excluded(rule):
        lines.append(f"a drop beyond {100 * rule.margin:g} points (--margin) is not excluded: {more}")
    return lines
