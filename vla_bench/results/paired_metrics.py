"""What some init states of a run cost: its metrics over their queries alone."""

from __future__ import annotations

from collections.abc import Collection, Iterator

from vla_bench.metrics import Values, episode_keys, of_group
from vla_bench.results.units import Key, keys_of


def metrics_on(summary: dict, keys: Collection[Key]) -> Values:
    """The metrics of a run's summary over all queries on these init states; None where the file does not tell.

    Older summaries have some metrics by task alone: they are known where all of the task's init states are asked for.
    """
    groups = [group for name, task in summary["tasks"].items() for group in _groups(summary, name, task, keys)]
    values = dict(of_group(groups))
    for key in values:
        mean = f"{key.rpartition('_')[0]}_mean"
        if any(group.get(key) is None or group.get(mean) is None for _, group in groups):
            values[key] = None
    return values


def by_init_state(summary: dict, metric: str) -> dict[Key, float]:
    """A metric by init state, its repeats averaged; without the init states of which the file does not tell it."""
    found: dict[Key, list[tuple[int, float]]] = {}
    for name, task in summary["tasks"].items():
        known = task.get(metric) or [None] * len(task["outcomes"])
        for key, outcome, queries, value in zip(keys_of(name, task), task["outcomes"], task["queries"], known, strict=True):
            if value is not None and outcome != "e" and queries:
                found.setdefault(key, []).append((queries, value))
    return {key: sum(n * value for n, value in own) / sum(n for n, _ in own) for key, own in found.items()}


def _groups(summary: dict, name: str, task: dict, keys: Collection[Key]) -> Iterator[tuple[int, Values]]:
    """The chosen episodes of a task without an error: of each, or of all together, its queries and their metrics."""
    ended = [place for place, outcome in enumerate(task["outcomes"]) if outcome != "e"]
    own = keys_of(name, task)
    chosen = [place for place in ended if own[place] in keys and task["queries"][place]]
    recorded = [key for key in episode_keys() if key in task]
    if all(own[place] in keys for place in ended) and len(recorded) < len(episode_keys()):
        suite, _, task_id = name.rpartition("/")
        whole = summary["totals"]["suites"][suite]["tasks"][task_id]
        yield sum(task["queries"][place] for place in chosen), {key: whole.get(key) for key in episode_keys()}
        return
    for place in chosen:
        yield task["queries"][place], {key: task[key][place] for key in recorded}
