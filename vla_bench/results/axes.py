"""Suites that are others with a change: what success drops under each kind of change, the axis.

A drop is of one run: its rate on the changed suites less that on their originals, over the tasks of which it has both.  Which
suite is a change of which, and on which axis, stands in the run.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import asdict, dataclass

from vla_bench.differences import independent_difference
from vla_bench.results.pairs import pair
from vla_bench.results.same_world import init_hashes
from vla_bench.results.units import Key, Unit, rate_of, units
from vla_bench.stats import Difference, Rate

Found = Mapping[Key, Unit]
Task = tuple[str, int]


@dataclass(frozen=True)
class AxisDrop:
    """One run on one axis, over the tasks that it has on changed suites and on their originals.

    suites: the changed ones.  tasks: how many.  original, rate: success on the originals, and on the changed suites.
    drop: the second less the first, below 0 for a loss; paired: whether both have the same init states.
    """

    run: str
    axis: str
    suites: tuple[str, ...]
    tasks: int
    original: Rate
    rate: Rate
    drop: Difference
    paired: bool

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


@dataclass(frozen=True)
class Change:
    """What one axis changes in a run.  tasks: each changed one with its original."""

    axis: str
    tasks: tuple[tuple[Task, Task], ...]

    def changed(self, found: Found) -> dict[Key, Unit]:
        """The init states of the changed tasks, by the name of the original suite, so that both have equal keys."""
        back = {changed: original for changed, original in self.tasks}
        return {Key(*back[key.task], key.init_state): unit for key, unit in found.items() if key.task in back}

    def originals(self, found: Found) -> dict[Key, Unit]:
        wanted = {original for _, original in self.tasks}
        return {key: unit for key, unit in found.items() if key.task in wanted}


def changed_suites(summary: dict) -> dict[str, tuple[str, str]]:
    """Of every changed suite of a run its axis and its original, where the run has that, too."""
    about = {name: suite for name, suite in summary["suites"].items() if isinstance(suite, dict)}
    changed = {name: (suite.get("axis"), suite.get("original")) for name, suite in about.items()}
    return {name: (str(axis), str(original)) for name, (axis, original) in changed.items() if axis and original in about}


def changes(about: Mapping[str, tuple[str, str]], found: Iterable[Found]) -> list[Change]:
    """Axis by axis the changed tasks of which all of `found` have ended init states, and of their originals, too.

    about: as `changed_suites`.
    """
    known = set.intersection(*({key.task for key, unit in own.items() if unit.mean is not None} for own in found))
    pairs: dict[str, list[tuple[Task, Task]]] = {}
    for suite, (axis, original) in about.items():
        numbers = sorted(task for name, task in known if name == suite and (original, task) in known)
        pairs.setdefault(axis, []).extend(((suite, task), (original, task)) for task in numbers)
    return [Change(axis, tuple(tasks)) for axis, tasks in pairs.items() if tasks]


def axis_drops(name: str, summary: dict, found: Found | None = None) -> list[AxisDrop]:
    """Of a run its drop on every axis, in the order of its suites; none without an original beside a changed suite.

    found: its init states, where they are known.
    """
    found = units(summary) if found is None else found
    hashes = init_hashes(summary)
    return [drop_of(name, change, found, hashes) for change in changes(changed_suites(summary), [found])]


def drop_of(name: str, change: Change, found: Found, hashes: Mapping[Key, set[str]]) -> AxisDrop:
    """hashes: of the init states, as `vla_bench.results.same_world.init_hashes`."""
    ended = {key: unit for key, unit in found.items() if unit.mean is not None}
    here, there = change.changed(ended), change.originals(ended)
    original, rate = rate_of(there.values()), rate_of(here.values())
    known = change.changed({key: Unit(None, 0, 0) for key in hashes}).keys()
    paired = here.keys() == there.keys() <= known and _same_states(change, hashes, here)
    drop = pair(there, here).difference() if paired else independent_difference(original, rate)
    suites = tuple(dict.fromkeys(suite for (suite, _), _ in change.tasks))
    return AxisDrop(name, change.axis, suites, len(change.tasks), original, rate, drop, paired)


def _same_states(change: Change, hashes: Mapping[Key, set[str]], keys: Iterable[Key]) -> bool:
    """Whether the init states of these numbers are the same in the changed tasks as in their originals."""
    wanted = set(keys)
    return all(
        hashes.get(Key(*changed, key.init_state)) == hashes.get(key)
        for changed, original in change.tasks
        for key in wanted
        if key.task == original
    )
