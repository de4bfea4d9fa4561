"""Which entry of a checkpoint's statistics belongs to a suite, by the name of its data set."""

from __future__ import annotations

import re
from collections.abc import Sequence

from vla_bench.errors import CheckpointError

LIBERO_NAMES = ("libero_spatial", "libero_object", "libero_goal", "libero_10", "libero_90")
# First words of the names of Open X-Embodiment's data sets, as OpenVLA's training spells them: data of other robots.
OPEN_X = """asu_table_top austin_buds austin_sailor austin_sirius bc_z berkeley bridge cmu columbia_cairlab dlr dobbe droid
    fmb fractal furniture_bench iamlab imperialcollege jaco_play kaist kuka language_table maniskill nyu rh20t robo_net roboset
    roboturk stanford taco_play tdroid tokyo toto ucsd uiuc utaustin utokyo viola""".split()
OPEN_X_END = "_converted_externally_to_rlds"
FIX = "give one of them with --unnorm-key KEY"


def find_key(keys: Sequence[str], libero_name: str) -> tuple[str, str]:
    """The key of a suite's statistics, and why it is that one.

    In this order: the suite's LIBERO name; the same with `_no_noops`; either with a version, as `libero_10_no_noops_1.0.0`;
    the only key there is, unless it names another suite or a data set of Open X-Embodiment, whose statistics would move the
    arm plausibly and wrongly.  Raises CheckpointError.
    """
    listed = f"The checkpoint has: {', '.join(keys)}"
    for key, why in ((libero_name, "the suite's name"), (f"{libero_name}_no_noops", "the suite's name, without no-ops")):
        if key in keys:
            return key, why
    versions = [key for key in keys if re.fullmatch(rf"{libero_name}(_no_noops)?[_:/-]v?\d+(\.\d+)*", key)]
    if len(versions) > 1:
        raise CheckpointError(f"{len(versions)} statistics could be {libero_name}'s: {', '.join(versions)}", FIX)
    if versions:
        return versions[0], "the suite's name, with a version"
    only = keys[0] if len(keys) == 1 else None
    if only is not None and is_open_x(only):
        what = f"{only} is a data set of Open X-Embodiment, recorded with other robots"
        raise CheckpointError(f"no statistics for {libero_name}: {what}", f"--unnorm-key {only}, if it is meant after all")
    if only is None or any(only == name or only.startswith(f"{name}_") for name in LIBERO_NAMES if name != libero_name):
        raise CheckpointError(f"no statistics for {libero_name}. {listed}", FIX)
    return only, "the only one"


def is_open_x(key: str) -> bool:
    """Whether a key is the name of a data set of Open X-Embodiment, of whatever version."""
    first = any(re.match(rf"{name}(?![a-z])", key, re.IGNORECASE) for name in OPEN_X)
    return (first or key.endswith(OPEN_X_END)) and "libero" not in key.lower()
