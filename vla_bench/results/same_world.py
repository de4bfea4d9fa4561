"""Runs are comparable in one simulator world: the same versions, assets, renderer, protocol and init states.

What one of two runs does not say is not taken to be the same.
"""

from __future__ import annotations

from pathlib import Path

from vla_bench.errors import NotComparableError
from vla_bench.records import EpisodeKey
from vla_bench.results.units import Key

# What decides an episode's outcome besides the policy: runs that differ here have no episode in common.
WORLD = ("assets", "gl_backend", "drawn_by", "packages.mujoco", "packages.robosuite", "packages.hf-libero")
NOT_SAID = "not said"
OTHER_PROTOCOL = "vla-bench eval of the same suites; with --frozen-fixtures where one of the runs is of version 0.1"


def check_same_world(path: Path, run: dict, other_path: Path, other: dict) -> None:
    """Raises NotComparableError, which lists every difference."""
    suites = suites_of(run) & suites_of(other)
    here, there = world(run["config"], suites), world(other["config"], suites)
    changed = [
        f"  {key}: {before} there, {after} here"
        for key in sorted({*here, *there})
        if (before := here.get(key, NOT_SAID)) != (after := there.get(key, NOT_SAID)) or before == NOT_SAID
    ]
    if changed:
        lines = "\n".join([f"{other_path} ran in another world than {path}:", *changed])
        protocol = any(line.startswith("  suites.") for line in changed)
        same_machine = "vla-bench eval with the same --assets, on the same kind of machine"
        raise NotComparableError(lines, OTHER_PROTOCOL if protocol else same_machine)
    _check_init_states(path, init_hashes(run), other_path, init_hashes(other))


def world(config: dict, suites: set[str]) -> dict[str, str]:
    """The values of `WORLD` in a configuration, and of each of these suites the hashes of its protocol and of changed objects."""
    changed = suites & (config.get("changed_objects") or {}).keys()
    names = [*WORLD, *(f"suites.{suite}" for suite in suites), *(f"changed_objects.{suite}" for suite in changed)]
    return {name: _said(config, *name.split(".", 1)) for name in names}


def _said(config: object, *path: str) -> str:
    for part in path:
        if not isinstance(config, dict) or part not in config:
            return NOT_SAID
        config = config[part]
    return str(config)


def suites_of(run: dict) -> set[str]:
    """The suites of which a summary has episodes."""
    return {name.rpartition("/")[0] for name in run["tasks"]}


def init_hashes(run: dict) -> dict[Key, set[str]]:
    """Hashes of the init states of a summary's episodes; none of those that ended in errors, and in summaries from before."""
    found: dict[Key, set[str]] = {}
    for name, task in run["tasks"].items():
        suite, _, task_id = name.rpartition("/")
        for state, value in zip(task["init_states"], task.get("init_hash", ()), strict=False):
            if value is not None:
                found.setdefault(Key(suite, int(task_id), state), set()).add(value)
    return found


def _check_init_states(path: Path, here: dict[Key, set[str]], other_path: Path, there: dict[Key, set[str]]) -> None:
    changed = [EpisodeKey(*key) for key in sorted(here.keys() & there.keys()) if len(here[key] | there[key]) > 1]
    if changed:
        raise NotComparableError(
            f"{other_path} has other init states than {path}: {len(changed)} of one number have another state, "
            f"the first is {changed[0]}",
            "vla-bench doctor on both machines, then vla-bench eval --fresh with the same --out",
        )
