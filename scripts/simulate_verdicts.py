"""Do the verdicts hold what they promise?  Runs are drawn from known truths, and judged by the functions behind `gate`, `compare`
and `eval --stop-early`.

    python scripts/simulate_verdicts.py --out results/verdicts.md

The truths are made of two committed summaries: each task of each suite has its own share of lost and of gained init states, as
measured.  "Alike" takes the mean of both for either, so that no task changes; "unlike" keeps the tasks' differences less their
mean, so that some tasks gain what others lose and the whole does not change.  A drop is taken from every task alike.  Shares are
scaled to the wanted number of pairs that differ.  "Opposite": half of the tasks lose every init state, and the others gain it.
"Drawn": the tasks of each draw are drawn anew from all forty, those "unlike" or, each with its effect's sign drawn as well, those
"unlike either way".  Four minutes on one core.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from functools import partial
from pathlib import Path
from types import SimpleNamespace
from typing import Annotated

import numpy as np
import typer

from vla_bench.power import drop_power
from vla_bench.records import EpisodeKey, Status, write_atomically
from vla_bench.results.early_stop import EarlyStop, EarlyVerdict
from vla_bench.results.evidence import Evidence, Verdict, evidence
from vla_bench.results.gate import GateRule, judge, judge_parts
from vla_bench.results.gate_status import GateStatus
from vla_bench.results.pairs import Pairs, pair
from vla_bench.results.parts import compare_parts, split_by
from vla_bench.results.summary_file import read_summary
from vla_bench.results.units import Key, Unit, unit, units
from vla_bench.sequential import log_e_drop
from vla_bench.stats import mcnemar_drop
from vla_bench.tables import markdown
from vla_bench.values import By, Population

BASELINES = Path(__file__).resolve().parent.parent / "results" / "baselines"
ALPHA = 0.05
ENDED = {True: SimpleNamespace(status=Status.SUCCESS), False: SimpleNamespace(status=Status.FAILURE)}


@dataclass(frozen=True)
class Truth:
    """Shares of the init states of each task that are lost and gained.  name: in the table."""

    name: str
    tasks: list[tuple[str, int]]
    lost: np.ndarray  # (tasks,)
    gained: np.ndarray  # (tasks,)
    won: np.ndarray  # (tasks,) of those that are neither, won by both

    def draw(self, rng: np.random.Generator, per_task: int) -> np.ndarray:
        """0 both won, 1 lost, 2 gained, 3 neither won: (tasks, per_task)."""
        u = rng.random((len(self.tasks), per_task))
        lost, differ = self.lost[:, None], (self.lost + self.gained)[:, None]
        alike = np.where(u < differ + (1 - differ) * self.won[:, None], 0, 3)
        return np.where(u < lost, 1, np.where(u < differ, 2, alike))


def measured(base: Path, new: Path) -> Truth:
    """The truth in which every task is as these runs found it."""
    first, second = (units(read_summary(path)) for path in (base, new))
    tasks = list(dict.fromkeys(key.task for key in first))
    found = [pair({key: each for key, each in first.items() if key.task == task}, second) for task in tasks]
    counts = np.array([(p.both, p.lost, p.gained, p.neither) for p in found], float)
    both, lost, gained, neither = (counts / counts.sum(1, keepdims=True)).T
    return Truth("measured", tasks, lost, gained, both / np.maximum(both + neither, 1e-9))


def alike(truth: Truth, differ: float, drop: float = 0.0) -> Truth:
    """No task changes but by the drop, and `differ` of all pairs differ besides it."""
    share = (truth.lost + truth.gained) * differ / np.mean(truth.lost + truth.gained) / 2
    share = np.minimum(share, (1 - drop) / 2)
    name = f"{_points(drop)}, tasks alike, {100 * np.mean(2 * share + drop):.3g} % differ"
    return Truth(name, truth.tasks, share + drop, share, truth.won)


def unlike(truth: Truth, drop: float = 0.0) -> Truth:
    """Some tasks gain what others lose, but for the drop."""
    differ, effect = truth.lost + truth.gained, truth.gained - truth.lost
    effect = effect - effect.mean() - drop
    differ = np.maximum(differ, np.abs(effect))
    name = f"{_points(drop)}, tasks unlike (sd {100 * effect.std():.0f} points), {100 * differ.mean():.3g} % differ"
    return Truth(name, truth.tasks, (differ - effect) / 2, (differ + effect) / 2, truth.won)


def opposite(truth: Truth) -> Truth:
    """The tasks as unlike as they can be: what any order of the tasks would show."""
    loses = np.arange(len(truth.tasks)) % 2.0
    return Truth("no drop, tasks opposite", truth.tasks, loses, 1 - loses, truth.won)


def _points(drop: float) -> str:
    return f"a drop of {100 * drop:g} points" if drop else "no drop"


# One verdict each: of what was drawn.


def dropped(truth: Truth, kinds: np.ndarray, population: Population = Population.INIT_STATES) -> bool:
    """`gate --rule detect`."""
    tasks = np.mean(kinds == 2, axis=1) - np.mean(kinds == 1, axis=1)
    found = Evidence(pairs_of(kinds), tuple(tasks.tolist()))
    return judge(found, GateRule(alpha=ALPHA, population=population)).finding is GateStatus.DROPPED


def dropped_over_tasks(truth: Truth, kinds: np.ndarray) -> bool:
    """`gate --population tasks`."""
    return dropped(truth, kinds, Population.TASKS)


def any_suite_dropped(truth: Truth, kinds: np.ndarray) -> bool:
    """`gate --per suite`: whether any suite does."""
    first, second = (units(summary(truth, kinds, won)) for won in ((0, 1), (0, 2)))
    parts = split_by(By.SUITE, first, list(dict.fromkeys(suite for suite, _ in truth.tasks)))
    judged = judge_parts(parts, second, GateRule(alpha=ALPHA, per=By.SUITE))
    return any(part.finding is GateStatus.DROPPED for part in judged)


def pairs_of(kinds: np.ndarray) -> Pairs:
    both, lost, gained, neither = (int(np.count_nonzero(kinds == kind)) for kind in range(4))
    return Pairs(both, lost, gained, neither, 0)


def any_suite_separated(truth: Truth, kinds: np.ndarray) -> bool:
    """`compare --by suite`: whether any suite is called lower or higher."""
    runs = [(Path(name), summary(truth, kinds, won)) for name, won in (("base", (0, 1)), ("new", (0, 2)))]
    return any(part.verdict in (Verdict.LOWER, Verdict.HIGHER) for part in compare_parts(runs, By.SUITE))


def summary(truth: Truth, kinds: np.ndarray, won: tuple[int, int]) -> dict:
    letters = np.where(np.isin(kinds, won), "s", "f")
    per_task = kinds.shape[1]
    same = {"task": "task", "init_states": [*range(per_task)], "repeats": [0] * per_task}
    names = [f"{suite}/{task}" for suite, task in truth.tasks]
    tasks = {name: same | {"outcomes": "".join(own)} for name, own in zip(names, letters, strict=True)}
    suites = dict.fromkeys((suite for suite, _ in truth.tasks), {})
    return {"suites": suites, "tasks": tasks, "status": "complete", "totals": {}}


def stopped(truth: Truth, kinds: np.ndarray, must_see: float, seed: int) -> EarlyVerdict:
    """`eval --stop-early`."""
    keys = [EpisodeKey(*task, init) for task in truth.tasks for init in range(kinds.shape[1])]
    base = dict(zip(keys, map(bool, np.isin(kinds, (0, 1)).ravel()), strict=True))
    done = dict(zip(keys, (ENDED[bool(won)] for won in np.isin(kinds, (0, 2)).ravel()), strict=True))
    return EarlyStop.of(keys, base, path="base", alpha=ALPHA, must_see=must_see, seed=seed).look(done)


@dataclass(frozen=True)
class Row:
    question: str
    truth: str
    n: int
    promise: str
    found: float
    draws: int
    pairs: float | None = None

    @property
    def error(self) -> float:
        """Standard error of the simulation, at least that of one in as many draws."""
        p = min(max(self.found, 1 / self.draws), 1 - 1 / self.draws)
        return math.sqrt(p * (1 - p) / self.draws)

    def cells(self) -> list[str]:
        pairs = "" if self.pairs is None else f"{self.pairs:.0f}"
        found = f"{100 * self.found:.1f} ± {100 * self.error:.1f}"
        return [self.question, self.truth, str(self.n), self.promise, found, pairs, str(self.draws)]


COLUMNS = ("what", "truth", "init states", "promised %", "found %", "pairs used", "draws")


def share(
    verdict: Callable[[Truth, np.ndarray], bool],
    truth: Truth,
    per_task: int,
    draws: int,
    rng: np.random.Generator,
    sampled: Callable[[Truth, np.random.Generator], Truth] = lambda truth, rng: truth,
) -> float:
    """How often a verdict is reached.  sampled: draws the tasks of each draw."""
    found = 0
    for _ in range(draws):
        drawn = sampled(truth, rng)
        found += verdict(drawn, drawn.draw(rng, per_task))
    return found / draws


def detect_rows(truth: Truth, draws: int, rng: np.random.Generator) -> Iterator[Row]:
    question = "detect: dropped"
    for null in (alike(truth, 0.04), alike(truth, 0.2), unlike(truth)):
        for per_task in (10, 50):
            yield Row(question, null.name, 40 * per_task, "at most 5", share(dropped, null, per_task, draws, rng), draws)
    for drop in (0.02, 0.05, 0.10):
        for differ in (0.02, 0.2):
            worse = alike(truth, differ, drop)
            for per_task in (5, 10, 50):
                power = drop_power(40 * per_task, drop, float(worse.gained.mean()), ALPHA)
                found = share(dropped, worse, per_task, draws, rng)
                yield Row(question, worse.name, 40 * per_task, f"{100 * power:.1f}", found, draws)


def suite_rows(truth: Truth, draws: int, rng: np.random.Generator) -> Iterator[Row]:
    for question, verdict in (("any suite separated", any_suite_separated), ("gate per suite: any dropped", any_suite_dropped)):
        for null in (alike(truth, 0.04), alike(truth, 0.2)):
            yield Row(question, null.name, 400, "at most 5", share(verdict, null, 10, draws, rng), draws)


def task_rows(truth: Truth, draws: int, rng: np.random.Generator) -> Iterator[Row]:
    """Over tasks of their kind: how far tasks differ from one another decides, and not how many init states each has."""
    question, null, worse = "detect over tasks: dropped", unlike(truth), unlike(truth, 0.1)
    for tasks, per_task in ((40, 10), (40, 50), (10, 50)):
        for either_way, promise in ((True, "at most 5"), (False, "about 5")):
            name = f"{tasks} tasks drawn, unlike{' either way' if either_way else ''}, no drop on average"
            sampled = partial(sample, tasks=tasks, either_way=either_way)
            yield Row(
                question, name, tasks * per_task, promise, share(dropped_over_tasks, null, per_task, draws, rng, sampled), draws
            )
    sampled = partial(sample, tasks=40, either_way=False)
    name, found = "40 tasks drawn, unlike, no drop on average", share(dropped, null, 50, draws, rng, sampled)
    yield Row("detect on these init states: dropped", name, 2000, "(not promised)", found, draws)
    found = share(dropped_over_tasks, worse, 50, draws, rng, sampled)
    yield Row(question, "40 tasks drawn, unlike, a drop of 10 points on average", 2000, "", found, draws)


def sample(truth: Truth, rng: np.random.Generator, tasks: int, either_way: bool) -> Truth:
    """Tasks drawn from those of a truth.  either_way: each as likely with what it loses and gains exchanged."""
    place = rng.integers(len(truth.tasks), size=tasks)
    lost, gained = truth.lost[place], truth.gained[place]
    turned = rng.random(tasks) < 0.5 * either_way
    lost, gained = np.where(turned, gained, lost), np.where(turned, lost, gained)
    return Truth(truth.name, [("drawn", number) for number in range(tasks)], lost, gained, truth.won[place])


def early_rows(truth: Truth, draws: int, rng: np.random.Generator) -> Iterator[Row]:
    nulls = (alike(truth, 0.04), alike(truth, 0.2), unlike(truth), opposite(truth))
    cases = [(null, 0.05, GateStatus.DROPPED, "at most 5") for null in nulls]
    worse = (*(alike(truth, differ, 0.05) for differ in (0.0, 0.04, 0.2)), unlike(truth, 0.05))
    cases += [(each, 0.05, GateStatus.PASSED, "at most 5") for each in worse]
    cases += [(alike(truth, 0.04, drop), 0.05, GateStatus.DROPPED, "") for drop in (0.05, 0.1)]
    cases += [(alike(truth, 0.04), must_see, GateStatus.PASSED, "") for must_see in (0.05, 0.1)]
    for drawn, must_see, finding, promise in cases:
        verdicts = [stopped(drawn, drawn.draw(rng, 10), must_see, seed) for seed in range(draws)]
        found = float(np.mean([verdict.finding is finding for verdict in verdicts]))
        pairs = float(np.mean([verdict.pairs for verdict in verdicts]))
        question = f"stop early, must-see {100 * must_see:g}: {finding.value}"
        yield Row(question, drawn.name, 400, promise, found, draws, pairs)


def e_value_rows(draws: int, rng: np.random.Generator) -> Iterator[Row]:
    """The e-value of a drop by itself, pair by pair, with no pass that ends a run before."""
    cases = ((0.02, 0.02, 500), (0.02, 0.02, 2000), (0.02, 0.01, 2000), (0.03, 0.01, 500), (0.03, 0.01, 2000))
    for lost, gained, n in (*cases, (0.04, 0.02, 2000), (0.06, 0.01, 500), (0.10, 0.02, 500)):
        ends = [first_alarm(rng.random(n), lost, gained) for _ in range(draws)]
        used = float(np.mean([n if end is None else end for end in ends]))
        found = 1 - ends.count(None) / draws
        promise = "at most 5" if lost == gained else ""
        yield Row("e-value alone: a drop", f"{100 * lost:g} % lost, {100 * gained:g} % gained", n, promise, found, draws, used)


def first_alarm(u: np.ndarray, lost: float, gained: float) -> int | None:
    """Pairs after which the e-value decides; None for never."""
    counts = [0, 0]
    for place in np.flatnonzero(u < lost + gained):
        counts[int(u[place] >= lost)] += 1
        if log_e_drop(*counts) >= -math.log(ALPHA):
            return int(place) + 1
    return None


def repeat_rows(draws: int, rng: np.random.Generator) -> Iterator[Row]:
    """Three repeats of 100 init states, each with a chance of its own and the same for both policies."""
    other, same = "three repeats that differ: dropped", "three equal repeats: another p than without"
    wrong = "three equal repeats, were each an init state: p below 0.05"
    found = dict.fromkeys((other, same, wrong), 0)
    for _ in range(draws):
        chances = rng.choice((0.0, 0.5, 0.8, 1.0), 100)
        runs = [rng.random((3, 100)) < chances for _ in range(2)]
        first, second = (repeated(won) for won in runs)
        found[other] += judge(evidence(first, second), GateRule(alpha=ALPHA)).finding is GateStatus.DROPPED
        once, thrice = ([repeated(np.repeat(won[:1], times, 0), times > 1) for won in runs] for times in (1, 3))
        found[same] += pair(*once).p_drop != pair(*thrice).p_drop
        base, new = (won[0] for won in runs)
        found[wrong] += mcnemar_drop(3 * int((base & ~new).sum()), 3 * int((new & ~base).sum())) < ALPHA
    promises = ("at most 5", "0", "more than 5")
    for (question, count), promise in zip(found.items(), promises, strict=True):
        yield Row(question, "no drop, init states unlike", 100, promise, count / draws, draws)


def repeated(won: np.ndarray, same: bool = False) -> dict[Key, Unit]:
    """Units of an array (repeats, init states).  same: all repeats of an init state are one episode."""
    return {
        Key("object", 0, i): unit((ENDED[bool(each)].status, "0" if same else str(number)) for number, each in enumerate(column))
        for i, column in enumerate(won.T)
    }


def main(
    base: Annotated[Path, typer.Option(help="Summary of the baseline.")] = BASELINES / "nano-oft.json",
    new: Annotated[Path, typer.Option(help="Summary of the run that is compared with it.")] = BASELINES / "nano-lightvla.json",
    draws: Annotated[int, typer.Option(help="Draws a row; a quarter of them where runs are stopped early.")] = 4000,
    seed: Annotated[int, typer.Option(help="Of the draws.")] = 0,
    out: Annotated[Path | None, typer.Option(help="Markdown file to write.", show_default="none")] = None,
) -> None:
    rng, started, truth = np.random.default_rng(seed), time.process_time(), measured(base, new)
    rows: list[Row] = []
    for some in (
        detect_rows(truth, draws, rng),
        suite_rows(truth, max(draws // 4, 1), rng),
        task_rows(truth, draws, rng),
        early_rows(truth, max(draws // 4, 1), rng),
        e_value_rows(draws, rng),
        repeat_rows(max(draws // 4, 1), rng),
    ):
        for row in some:
            rows.append(row)
            print(" | ".join(row.cells()), flush=True)
    print(f"{time.process_time() - started:.0f} s of CPU")
    if out is not None:
        write_atomically(out, page(base, new, rows, draws, seed))


def page(base: Path, new: Path, rows: list[Row], draws: int, seed: int) -> str:
    return f"""# Do the verdicts hold what they promise?

Made by `python scripts/simulate_verdicts.py --draws {draws} --seed {seed} --out results/verdicts.md`. Runs are drawn from known
truths, made of `{base.name}` and `{new.name}`, and judged by the functions behind `gate`, `compare` and `eval --stop-early`; the
script says what each truth is. Behind ± is the standard error of the simulation. Promised is a false alarm in at most 5 % of the
runs, or the power that `vla-bench plan` tells; nothing where there is no promise.

{markdown(COLUMNS, [row.cells() for row in rows])}"""


if __name__ == "__main__":
    typer.run(main)
