"""The sampling unit of every rate, interval and test: the init state, with its repeats averaged."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import NamedTuple

from vla_bench.planned import unpack
from vla_bench.records import Episode, Status
from vla_bench.stats import Rate, share_rate

OUTCOMES = {"s": Status.SUCCESS, "f": Status.FAILURE, "e": Status.ERROR}  # in a summary
LETTERS = {status: letter for letter, status in OUTCOMES.items()}


class Key(NamedTuple):
    """Identity of a unit: equal keys are paired.  `suite` is its short name."""

    suite: str
    task_id: int
    init_state: int

    @property
    def task(self) -> tuple[str, int]:
        return self.suite, self.task_id


@dataclass(frozen=True)
class Unit:
    """One init state.

    mean: share of its repeats that succeeded; None where all ended in errors.
    repeats: different ones that ended; those with one `state_hash` are the same episode, and count once.
    errors: episodes that ended in errors.
    """

    mean: float | None
    repeats: int
    errors: int


def unit(episodes: Iterable[tuple[Status, str | None]]) -> Unit:
    """Of each repeat its status and `state_hash`; without a hash it counts on its own."""
    ended: dict[object, Status] = {}
    errors = 0
    for place, (status, state_hash) in enumerate(episodes):
        if status is Status.ERROR:
            errors += 1
        else:
            ended.setdefault(place if state_hash is None else (state_hash, status), status)
    won = sum(status is Status.SUCCESS for status in ended.values())
    return Unit(won / len(ended) if ended else None, len(ended), errors)


def units_of(episodes: Iterable[Episode]) -> dict[Key, Unit]:
    """The init states of these episodes, in the order in which they come first."""
    found: dict[Key, list[tuple[Status, str | None]]] = {}
    for e in episodes:
        found.setdefault(Key(e.suite, e.task_id, e.init_state), []).append((e.status, e.state_hash))
    return {key: unit(repeats) for key, repeats in found.items()}


def units(summary: dict) -> dict[Key, Unit]:
    """The init states of a run's summary (`vla_bench.results.summary_file`)."""
    found: dict[Key, list[tuple[Status, str | None]]] = {}
    for name, task in summary["tasks"].items():
        hashes = task.get("state_hash") or [None] * len(task["outcomes"])
        for key, outcome, state_hash in zip(keys_of(name, task), task["outcomes"], hashes, strict=True):
            found.setdefault(key, []).append((OUTCOMES[outcome], state_hash))
    return {key: unit(repeats) for key, repeats in found.items()}


def keys_of(name: str, task: dict) -> list[Key]:
    """The init state of each episode of a summary's task, such as "object/0"."""
    suite, _, task_id = name.rpartition("/")
    return [Key(suite, int(task_id), init_state) for init_state in task["init_states"]]


def planned_units(planned: Mapping[str, str] | None) -> set[Key] | None:
    """The init states of `planned` in a run or its summary; None where unknown.  Raises ValueError."""
    return None if planned is None else {Key(*key[:3]) for key in unpack(planned)}


def rate_of(counted: Iterable[Unit]) -> Rate:
    """Success rate of units; those that ended in errors alone are missing, not failures."""
    known = [each for each in counted if each.mean is not None]
    return share_rate([each.mean for each in known], sum(each.repeats for each in known))
