"""Merging of runs of one policy on single suites into one run of all of them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace

from vla_bench.errors import NotComparableError
from vla_bench.records import Episode, Run

Recorded = tuple[Run, list[Episode]]


def merge(parts: list[Recorded]) -> Recorded:
    """The run that one `eval` of all these suites would have recorded: an episode depends on its own key only.

    Raises NotComparableError where the configurations differ, or two parts have a suite in common.
    """
    (first, _), runs = parts[0], [run for run, _ in parts]
    suites = [name for run in runs for name in run.suites]
    if twice := sorted({name for name in suites if suites.count(name) > 1}):
        raise NotComparableError(f"two of these runs are of the suite {twice[0]}", "vla-bench compare RUN OTHER_RUN")
    for run in runs[1:]:
        if (config := apart_from_suites(run.config)) != (own := apart_from_suites(first.config)):
            changed = ", ".join(sorted(key for key in config.keys() | own.keys() if config.get(key) != own.get(key)))
            raise NotComparableError(
                f"{run.run_id} and {first.run_id} are not parts of one run: they differ in {changed}",
                "vla-bench eval with the same options but --suite",
            )
    config = deepcopy(first.config)
    for run in runs[1:]:
        config["suites"] |= run.config["suites"]
        if "unnorm_keys" in (config.get("policy") or {}):
            config["policy"]["unnorm_keys"] |= run.config["policy"]["unnorm_keys"]
    whole = replace(
        first,
        created=min(run.created for run in runs),
        command=" && ".join(run.command for run in runs),
        config=config,
        suites={name: suite for run in runs for name, suite in run.suites.items()},
        git_commit=" ".join(dict.fromkeys(run.git_commit for run in runs if run.git_commit)) or None,
        status=next((run.status for run in runs if run.status != "complete"), "complete"),
    )
    return whole, [episode for _, episodes in parts for episode in episodes]


def apart_from_suites(config: dict) -> dict:
    """The part of a configuration that must be equal in all parts: without suites and un-normalisation keys."""
    rest = {key: value for key, value in config.items() if key != "suites"}
    if isinstance(rest.get("policy"), dict):
        rest["policy"] = {key: value for key, value in rest["policy"].items() if key != "unnorm_keys"}
    return rest
