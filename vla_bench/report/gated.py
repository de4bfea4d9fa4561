"""The gate's result in words and tables: for a log, and as Markdown for the summary of a CI run."""

from __future__ import annotations

from vla_bench.errors import VlaBenchError
from vla_bench.report.compared_cells import Table
from vla_bench.report.forest import points
from vla_bench.report.gate_reasons import reasons
from vla_bench.results.gate import GateResult, Judgement
from vla_bench.results.gate_costs import CostFinding
from vla_bench.results.pairs import Pairs
from vla_bench.results.result_table import successes
from vla_bench.stats import Difference
from vla_bench.tables import markdown, print_table
from vla_bench.terminal import show
from vla_bench.values import Population, Rule

NO_BENCHMARK = "(times of eval, no benchmark: for that see vla-bench latency)"


def print_gate(result: GateResult) -> None:
    """On standard output."""
    show("\n".join(opening(result)))
    if result.parts:
        print_table(*parts_table(result))
    show("\n".join([*closing(result), *reasons(result)]))


def gate_markdown(result: GateResult) -> str:
    """What it found, the suites or tasks that it judged, and every task's counts."""
    first, *lines = opening(result)
    text = f"### vla-bench gate: {first}\n\n" + "".join(f"- {line}\n" for line in lines)
    if result.parts:
        text += "\n" + markdown(*parts_table(result)) + "\n"
    text += "".join(f"- {line}\n" for line in [*closing(result), *reasons(result)])
    return f"{text}\n<details><summary>tasks</summary>\n\n{markdown(*tasks_table(result))}\n</details>\n"


def error_markdown(error: BaseException) -> str:
    """Of a gate that came to no result."""
    said = error.message if isinstance(error, VlaBenchError) else repr(error)
    return f"### vla-bench gate: no result\n\n```text\n{said}\n```\n"


def opening(result: GateResult) -> list[str]:
    """The finding, what was won, and the differences of either population."""
    whole, rule = result.whole, result.rule
    level = f"{100 * (1 - 2 * rule.alpha):g} % interval"
    lines = [f"{result.finding.value} ({rule.rule.value}): {result.new} against {result.base}", outcome(whole.pairs)]
    p = "" if result.parts else f"; p of no drop {whole.p:.2g}"
    own, over = rule.population is Population.INIT_STATES, rule.population is Population.TASKS
    if whole.difference is not None:
        lines.append(f"difference on {Population.INIT_STATES.words}: {_gap(whole.difference)}, {level}{p if own else ''}")
    if whole.over_tasks is not None:
        lines.append(f"over {Population.TASKS.words}: {_gap(whole.over_tasks)}, {level} (t over task means){p if over else ''}")
    if result.parts:
        count = len(result.parts)
        lines.append(
            f"judged {rule.per} by {rule.per} about {rule.population.words}: p by Holm's correction for {count}, "
            f"{100 * (1 - 2 * rule.alpha):g} % intervals of all {count} together"
        )
    else:
        lines.append(f"the verdict is about {rule.population.words}")
    return lines


def closing(result: GateResult) -> list[str]:
    """The rule in numbers, what could have been seen, and the costs."""
    rule, lines = result.rule, []
    if rule.rule is Rule.NONINFERIOR:
        lines.append(f"passes where the lower bound is above {-100 * rule.margin:g} points")
    if not result.parts:
        drop = result.whole.smallest_drop
        seen = "no drop at all" if drop is None else f"a drop of {100 * drop:.1f} points"
        lines.append(f"these pairs detect {seen} with about 80 % power")
    return [*lines, *map(cost_line, result.costs)]


def cost_line(cost: CostFinding) -> str:
    unit = f" {cost.unit}" if cost.unit else ""
    if cost.base is None or cost.new is None:
        return f"{cost.name}: {cost.finding.value} ({cost.option})"
    means = f"{cost.name} {cost.base:.4g}{unit} before, {cost.new:.4g}{unit} now"
    if cost.ratio is None:
        return f"{means}: {cost.finding.value} ({cost.option})"
    ratio = f"ratio {cost.ratio:.3f}"
    if cost.low is not None and cost.high is not None:
        ratio = f"median ratio {cost.ratio:.3f} [{cost.low:.3f}, {cost.high:.3f}] {NO_BENCHMARK}"
    return f"{means}: {ratio}, at most {cost.limit:.3f} ({cost.option}): {cost.finding.value}"


def outcome(pairs: Pairs) -> str:
    before, now = map(successes, pairs.rates)
    return f"{before} of {pairs.count} won before, {now} now: {pairs.fell} lost, {pairs.rose} gained, {pairs.errors} errors"


def parts_table(result: GateResult) -> Table:
    """One row a suite or task that is judged.  sees: the smallest drop, in points, that it detects with 80 % power."""
    columns = ("suite", *(["task"] if result.parts[0].task_id is not None else []), "n", "before", "now", "lost", "gained")
    columns += ("difference", "p", "sees", "verdict")
    return columns, [[cell for cell in _part(part, result.rule.population) if cell is not None] for part in result.parts]


def _part(part: Judgement, population: Population) -> list[str | None]:
    gap, drop = part.deciding(population), part.smallest_drop
    numbers = ["-" if gap is None else points(gap), f"{part.p:.2g}", "-" if drop is None else f"{100 * drop:.1f}"]
    task = None if part.task_id is None else str(part.task_id)
    return [str(part.suite), task, *_counts(part.pairs), *numbers, part.finding.value]


def tasks_table(result: GateResult) -> Table:
    columns = ("suite", "task", "n", "before", "now", "lost", "gained", "errors", "missing")
    return columns, [
        [task.suite, str(task.task_id), *_counts(task.pairs), str(task.pairs.errors), str(task.missing)] for task in result.tasks
    ]


def _counts(pairs: Pairs) -> list[str]:
    before, now = map(successes, pairs.rates)
    return [str(pairs.count), before, now, str(pairs.fell), str(pairs.rose)]


def _gap(gap: Difference) -> str:
    return points(gap).replace(" [", " points [")
