"""Merging of the parts of one run: of single suites, of shards, of single tasks or init states."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from copy import deepcopy
from dataclasses import replace
from itertools import combinations
from pathlib import Path

from vla_bench.errors import NotComparableError
from vla_bench.planned import pack
from vla_bench.records import Episode, EpisodeKey, Run
from vla_bench.results.stopped import STOPPED
from vla_bench.results.summary_file import read_folder

BY_SUITE = {"suites", "init_states", "changed_objects"}  # of a configuration: hashes of the protocol, suite by suite
Recorded = tuple[Run, list[Episode]]
NOT_STOPPED: dict[str, None] = {"stop_rule": None, "stopped": None}


def merge(folders: Sequence[Path]) -> Recorded:
    """The run that one `eval` of all these parts would have recorded, suite by suite, in the order of the keys.

    An episode depends on its own key only.

    It is complete if it has every episode that was planned for a part, and for the whole of which a part is a shard.  Raises
    RecordError, and NotComparableError where the configurations differ, or two parts have an episode in common.
    """
    return merge_parts(folders, [read_folder(folder) for folder in folders])


def merge_parts(folders: Sequence[Path], parts: Sequence[Recorded]) -> Recorded:
    """As `merge`, of what was read from the folders."""
    if len(parts) == 1:
        return parts[0]
    _refuse_other_configurations(folders, [run for run, _ in parts])
    _refuse_overlaps(folders, parts)
    runs = [run for run, _ in parts]
    suites = {name: suite for run in runs for name, suite in run.suites.items()}
    place = {name: number for number, name in enumerate(suites)}
    episodes = [episode for _, own in parts for episode in own]
    episodes.sort(key=lambda episode: (place.get(episode.suite, len(place)), episode.key))
    config = deepcopy(runs[0].config)
    for run in runs[1:]:
        for key in BY_SUITE & run.config.keys():
            config[key] = config.get(key, {}) | run.config[key]
        if "unnorm_keys" in (config.get("policy") or {}):
            config["policy"]["unnorm_keys"] |= run.config["policy"]["unnorm_keys"]
    plans = [run.whole_keys for run in runs]
    whole = replace(
        runs[0],
        run_id=runs[0].run_id.removesuffix(f"-{runs[0].shard['number'].replace('/', 'of')}" if runs[0].shard else ""),
        created=min(run.created for run in runs),
        command=" && ".join(run.command for run in runs),
        config=config,
        suites=suites,
        git_commit=" ".join(dict.fromkeys(run.git_commit for run in runs if run.git_commit)) or None,
        planned=None if None in plans else pack(sorted({key for keys in plans for key in keys})),
        shard=None,
        **next(({"stop_rule": run.stop_rule, "stopped": run.stopped} for run in runs if run.status == STOPPED), NOT_STOPPED),
        parts=[about for folder, part in zip(folders, parts, strict=True) for about in _provenance(folder, *part)],
    )
    if whole.planned is None:
        status = next((run.status for run in runs if run.status != "complete"), "complete")
    else:
        status = "complete"
        if whole.missing({episode.key for episode in episodes}):
            status = STOPPED if whole.stopped else "interrupted"
    return replace(whole, status=status), episodes


def refuse_gaps(whole: Run, episodes: Iterable[Episode]) -> None:
    """Raise NotComparableError with the planned episodes that a merged run lacks.

    Where a part's plan is unknown, it must at least have been complete.
    """
    recorded = {episode.key for episode in episodes}
    if missing := [key for key in whole.whole_keys or () if key not in recorded]:
        raise NotComparableError(
            f"{len(missing)} planned episodes are in none of these runs: {listed(missing)}",
            "vla-bench eval with the command of the part that lacks them, which resumes it; or vla-bench merge --partial",
        )
    if whole.status != "complete":
        raise NotComparableError(
            f"not all of these runs are complete: {whole.status}", "the command of that run again; or vla-bench merge --partial"
        )


def listed(keys: Iterable[EpisodeKey]) -> str:
    """Episodes in short, as "object/3: 0-9,12; goal/0: 4"."""
    return "; ".join(f"{task}: {states}" for task, states in pack(sorted(keys)).items())


def _refuse_other_configurations(folders: Sequence[Path], runs: Sequence[Run]) -> None:
    for folder, run in zip(folders[1:], runs[1:], strict=True):
        if (config := apart_from_suites(run.config)) != (own := apart_from_suites(runs[0].config)):
            changed = ", ".join(sorted(key for key in config.keys() | own.keys() if config.get(key) != own.get(key)))
            raise NotComparableError(
                f"{folder} and {folders[0]} are not parts of one run: they differ in {changed}",
                "vla-bench eval with the same options but --suite, --tasks, --init-states or --shard",
            )
    for (folder, run), (other, second) in combinations(zip(folders, runs, strict=True), 2):
        for suite in run.suites.keys() & second.suites.keys():
            if _of_suite(run, suite) != _of_suite(second, suite):
                raise NotComparableError(
                    f"{folder} and {other} are not parts of one run: they differ in the suite {suite}",
                    "vla-bench eval with one version of the suite and one --unnorm-key",
                )


def _of_suite(run: Run, suite: str) -> tuple:
    keys = (run.config.get("policy") or {}).get("unnorm_keys") or {}
    return run.suites[suite], *((run.config.get(key) or {}).get(suite) for key in sorted(BY_SUITE)), keys.get(suite)


def _refuse_overlaps(folders: Sequence[Path], parts: Sequence[Recorded]) -> None:
    keys = [{episode.key for episode in episodes} for _, episodes in parts]
    pairs = combinations(zip(folders, keys, strict=True), 2)
    lines = [f"  {one} and {two} both have {listed(both)}" for (one, own), (two, other) in pairs if (both := own & other)]
    if lines:
        raise NotComparableError(
            "an episode counts once, but\n" + "\n".join(lines), "leave one of the two out, or vla-bench compare RUN OTHER_RUN"
        )


def _provenance(folder: Path, run: Run, episodes: Sequence[Episode]) -> list[dict]:
    """Where a part comes from; of a part that was merged itself, its own parts."""
    about = {name: getattr(run, name) for name in ("run_id", "created", "command", "config_hash", "environment", "git_commit")}
    about |= {"status": run.status, "shard": run.shard and run.shard["number"], "episodes": len(episodes), "folder": str(folder)}
    return run.parts or [about]


def apart_from_suites(config: dict) -> dict:
    """The part of a configuration that must be equal in all parts: without suites and un-normalisation keys."""
    rest = {key: value for key, value in config.items() if key not in BY_SUITE}
    if isinstance(rest.get("policy"), dict):
        rest["policy"] = {key: value for key, value in rest["policy"].items() if key != "unnorm_keys"}
    return rest
