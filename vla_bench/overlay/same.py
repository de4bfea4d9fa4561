"""The world of a recorded run, made again: its suites, its asset pack, and simulators that would end its episodes alike."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from vla_bench.errors import NotComparableError
from vla_bench.records import EpisodeKey, Run
from vla_bench.results.same_world import NOT_SAID, world
from vla_bench.rollout.world_setup import WorldSetup, check_files, set_up
from vla_bench.suites import Suite, load_suite
from vla_bench.world.assets import resolve_assets

LOOKS = ("gl_backend", "drawn_by")  # what changes pixels, and no state
AUTO = "auto"


def world_of(path: Path, run: Run, keys: Sequence[EpisodeKey], assets: str = AUTO) -> tuple[WorldSetup, list[str]]:
    """What the run's episodes are replayed with, and notes on pictures that may differ.

    assets: as `resolve_assets` takes it; "auto" is the pack that the run names.
    Raises NotComparableError where this installation has other suites, assets or versions; AssetError, WorldError.
    """
    names = sorted({key.suite for key in keys})
    suites = [_suite(path, run, name) for name in names]
    check_files(suites, keys)
    pack = resolve_assets(str(run.assets.get("name", AUTO)) if assets == AUTO else assets, suites)
    setup = set_up(suites, pack)
    there = world(run.config, set(names))
    here = world({"suites": {suite.name: suite.sha256 for suite in suites}} | setup.identity, set(names))
    # What an old run does not say is not refused here: the hash of its last state decides.
    other = [key for key in there if there[key] not in (NOT_SAID, here[key])]
    if changed := [f"  {key}: {there[key]} there, {here[key]} here" for key in other if key not in LOOKS]:
        lines = "\n".join([f"{path} ran in another world than this installation is:", *changed])
        raise NotComparableError(lines, f"vla-bench overlay {path} where the run was made, or --assets FOLDER for its asset pack")
    return setup, [f"drawn otherwise than in the run: {key} {here[key]}, there {there[key]}" for key in other]


def _suite(path: Path, run: Run, name: str) -> Suite:
    """The suite with the run's protocol, of either kind of fixtures."""
    recorded = (run.config.get("suites") or {}).get(name, NOT_SAID)
    found = [load_suite(name, frozen) for frozen in (False, True)]
    for suite in found:
        if recorded in (NOT_SAID, suite.sha256):
            return suite
    raise NotComparableError(
        f"{path} ran suite {name} with another protocol: {recorded} there, {found[0].sha256} here",
        f"vla-bench overlay {path} with the version of vla-bench that its run.json names",
    )
