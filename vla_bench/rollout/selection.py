"""The episodes that a request selects by suites, tasks and init states."""

from __future__ import annotations

import heapq
import re
from collections.abc import Mapping

from vla_bench.errors import UsageError, nearest
from vla_bench.records import EpisodeKey
from vla_bench.suites import Suite, Task

MOST = 10_000  # trials of a task, and shards of a run


def select(suites: list[Suite], tasks: str | None, init_states: str | None, trials: int | None) -> list[EpisodeKey]:
    """The selected episodes, ordered by suite, task and init state.  Raises UsageError.

    tasks: "0,3", "0-4" or names; None is all.  init_states: "0-9".  trials: episodes per task, from init state 0 up; past the
    last init state a second round begins (repeat 1).  Without both: every init state.
    """
    if trials is not None and init_states is not None:
        raise UsageError("--trials and --init-states both select init states: give one of them")
    if trials is not None and trials < 1:
        raise UsageError(f"--trials must be at least 1, not {trials}")
    if trials is not None and trials > MOST:
        raise UsageError(f"--trials must be at most {MOST}, not {trials}")
    keys = []
    for suite, task in chosen_tasks(suites, tasks):
        if trials is None:
            starts = [(i, 0) for i in numbers(init_states, suite.init_states, "--init-states")]
        else:
            starts = [(i % suite.init_states, i // suite.init_states) for i in range(trials)]
        keys += [EpisodeKey(suite.name, task.id, init_state, repeat) for init_state, repeat in starts]
    return keys


def chosen_tasks(suites: list[Suite], text: str | None) -> list[tuple[Suite, Task]]:
    """Tasks by number (in every suite) or by name or instruction (in the suite that has it).  Raises UsageError."""
    if text is None:
        return [(suite, task) for suite in suites for task in suite.tasks]
    selected: set[tuple[str, int]] = set()
    for item in (part.strip() for part in text.split(",")):
        if re.fullmatch(r"[0-9-]+", item):
            selected.update((suite.name, i) for suite in suites for i in numbers(item, len(suite.tasks), "--tasks"))
            continue
        named = [(suite.name, task.id) for suite in suites for task in suite.tasks if item in (task.name, task.language)]
        if not named:
            names = [task.language for suite in suites for task in suite.tasks]
            raise UsageError(f'no task "{item}".{nearest(item, names)}', "vla-bench suites")
        selected.update(named)
    return [(suite, task) for suite in suites for task in suite.tasks if (suite.name, task.id) in selected]


def shard_numbers(text: str) -> tuple[int, int]:
    """ "2/8" -> (2, 8).  Raises UsageError."""
    match = re.fullmatch(r"([0-9]{1,6})/([0-9]{1,6})", text)
    if match is None or not 1 <= int(match[1]) <= int(match[2]) <= MOST:
        raise UsageError(f'--shard "{text}" is not a shard such as 1/4, the first of four', "vla-bench eval --help")
    return int(match[1]), int(match[2])


def shard(keys: list[EpisodeKey], number: int, count: int, horizons: Mapping[str, int]) -> list[EpisodeKey]:
    """The episodes of shard `number` of `count`, from 1, in their order; the shards together have every episode once.

    Longest horizon first, each episode goes to the shard with the fewest control steps so far: so no two differ by more than
    one episode, and the episodes of a task are spread over them.  Raises UsageError where this shard has none.
    """
    loads = [(0, index) for index in range(1, count + 1)]
    own = set()
    for key in sorted(keys, key=lambda key: -horizons[key.suite]):
        steps, index = loads[0]
        heapq.heapreplace(loads, (steps + horizons[key.suite], index))
        if index == number:
            own.add(key)
    if not own:
        raise UsageError(f"shard {number}/{count} of {len(keys)} episodes is empty", f"--shard 1/{len(keys)} at the most")
    return [key for key in keys if key in own]


def numbers(text: str | None, limit: int, option: str) -> list[int]:
    """ "0,3,7-9" -> [0, 3, 7, 8, 9]; None is all numbers below `limit`.  Raises UsageError."""
    if text is None:
        return list(range(limit))
    values: set[int] = set()
    for item in text.split(","):
        match = re.fullmatch(r"\s*([0-9]{1,9})(?:-([0-9]{1,9}))?\s*", item)
        if match is None:
            raise UsageError(f'{option} "{text}": "{item}" is neither a number nor a range such as 0-9')
        first, last = int(match[1]), int(match[2] or match[1])
        if last < first or last >= limit:
            raise UsageError(f'{option} "{text}": {item.strip()} is outside 0-{limit - 1}')
        values.update(range(first, last + 1))
    return sorted(values)
