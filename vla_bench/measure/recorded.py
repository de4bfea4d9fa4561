"""Recorded observations, for queries without a simulator.

A bundled set has a few queries in a row from expert demonstrations of all suites, from sampled starts, not the official init
states.  scripts/make_observations.py wrote it.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from itertools import groupby
from pathlib import Path

import numpy as np

from vla_bench.arrays import read_arrays
from vla_bench.demonstrations.hdf5 import suite_name
from vla_bench.demonstrations.layout import IMAGES, SUFFIX
from vla_bench.demonstrations.usable import UsableDemos
from vla_bench.errors import RecordError, UsageError
from vla_bench.model.normalisation import quaternion
from vla_bench.records import EpisodeKey
from vla_bench.suites import load_suite, load_suites, suite_names
from vla_bench.training.account import DataAccount, FileAccount, account_of
from vla_bench.world.observation import Observation, Scene, SceneConstants

SHIPPED = Path(__file__).resolve().parent / "observations.npz"
NO_SCENE = Scene(SceneConstants((), (), {}, {}, {}), {}, {}, {})  # object poses, which only the expert reads
# Kind of numpy's types, and shape behind the number of observations; None for any.
ARRAYS: dict[str, tuple[str, tuple[int | None, ...]]] = {
    "images": ("u", (None, None, None, 3)),
    "eef_pos": ("f", (3,)),
    "eef_quat": ("f", (4,)),
    "gripper_qpos": ("f", (2,)),
    "path": ("f", (None, 3)),
    "step": ("iu", ()),
    "task": ("iu", ()),
    "episode": ("iu", ()),
    "suite": ("U", ()),
    "instruction": ("U", ()),
}


def read_observations(
    source: Path | None = None, episodes: int = 1, suites: Sequence[str] | None = None
) -> list[list[Observation]]:
    """Episodes of observations in order: from a .npz file, a folder of demonstrations, or by default the bundled set.

    episodes: number from each demonstration file.  suites: names, None for all.  Raises RecordError, UsageError.
    """
    source = SHIPPED if source is None else source
    suites = suite_names() if suites is None else suites
    if source.is_dir():
        files = sorted(source.rglob(f"*{SUFFIX}"))
        if not files:
            raise UsageError(f"{source} holds no demonstrations (*{SUFFIX})", f"vla-bench demos --out {source}")
        by_suite = [(_task_of(file)[0].name, file) for file in files]
        _check_suites(source, suites, [name for name, _ in by_suite])
        return [episode for name, file in by_suite if name in suites for episode in from_demonstrations(file, episodes)]
    try:
        arrays = _checked(read_arrays(source, ARRAYS))
    except (OSError, ValueError) as error:
        raise RecordError(f"{source} holds no recorded observations: {error}", "vla-bench agree") from error
    _check_suites(source, suites, [str(name) for name in arrays["suite"]])
    rows = [_observation(arrays, i) for i, name in enumerate(arrays["suite"]) if str(name) in suites]
    return [list(group) for _, group in groupby(rows, key=lambda o: o.episode)]


def _checked(arrays: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Raises ValueError where an array has not the type or the shape that its name stands for."""
    count = len(np.atleast_1d(arrays["step"]))
    for name, (kinds, shape) in ARRAYS.items():
        array, wanted = arrays[name], (count, *shape)
        fits = array.ndim == len(wanted) and all(want in (None, got) for want, got in zip(wanted, array.shape, strict=True))
        if array.dtype.kind not in kinds or not fits:
            raise ValueError(
                f"{name} is {array.dtype} of shape {array.shape}, not {tuple('any' if n is None else n for n in wanted)}"
            )
        if kinds == "f" and name != "path" and not np.isfinite(array).all():
            raise ValueError(f"{name} has a number that is not finite")
    if arrays["images"].dtype != np.uint8:
        raise ValueError(f"images are {arrays['images'].dtype}, not uint8")
    return arrays


def _check_suites(source: Path, wanted: Sequence[str], recorded: Sequence[str]) -> None:
    if not set(wanted) & set(recorded):
        has = list(dict.fromkeys(recorded))
        raise UsageError(
            f"{source} has no observation of suite {', '.join(wanted)}: it has {', '.join(has)}",
            f"vla-bench agree --observations {source} --suite {has[0]} --pruner fastv",
        )


def write_observations(path: Path, episodes: Sequence[Sequence[Observation]]) -> None:
    """The inverse of `read_observations`, for one file."""
    flat = [o for episode in episodes for o in episode]
    longest = max(len(o.path) for o in flat)
    np.savez_compressed(
        path,
        images=np.array([list(o.images.values()) for o in flat]),
        eef_pos=np.array([o.eef_pos for o in flat]),
        eef_quat=np.array([o.eef_quat for o in flat]),
        gripper_qpos=np.array([o.gripper_qpos for o in flat]),
        path=np.array([np.pad(o.path, ((0, longest - len(o.path)), (0, 0)), constant_values=np.nan) for o in flat]),
        step=np.array([o.step for o in flat]),
        task=np.array([o.episode.task_id for o in flat]),
        episode=np.array([o.episode.init_state for o in flat]),
        suite=np.array([o.episode.suite for o in flat]),
        instruction=np.array([o.instruction for o in flat]),
    )


def from_demonstrations(file: Path, count: int) -> Iterator[list[Observation]]:
    """The observation at every query of a file's first `count` usable demonstrations.

    The episode's `init_state` is -1 minus the demonstration's number: no official init state.
    """
    suite, task = _task_of(file)
    demos = UsableDemos(file)
    for number, demo in zip(range(count), demos.read(), strict=False):
        positions, chunk = demo["obs/ee_pos"], suite.chunk
        yield [
            Observation(
                episode=EpisodeKey(suite.name, task.id, -1 - number),
                step=step,
                instruction=task.language,
                eef_pos=positions[step],
                eef_quat=quaternion(demo["obs/ee_ori"][step]),
                gripper_qpos=demo["obs/gripper_states"][step],
                scene=NO_SCENE,
                images={camera: demo[name][step] for camera, name in zip(suite.cameras, IMAGES, strict=False)},
                path=positions[max(0, step - chunk) + 1 : step + 1],
            )
            for step in range(0, len(demo), chunk)
        ]
    DataAccount([FileAccount(str(file), **account_of(demos))], demos.steps).warn()


def _task_of(file: Path):
    name = file.name.removesuffix(SUFFIX)
    for suite in load_suites():
        if suite_name(file) == suite.libero_name:
            for task in suite.tasks:
                if task.name == name:
                    return suite, task
    raise UsageError(f"{file} is no task of a LIBERO suite: the folder must be libero_object or the like")


def _observation(arrays: dict[str, np.ndarray], i: int) -> Observation:
    key = EpisodeKey(str(arrays["suite"][i]), int(arrays["task"][i]), int(arrays["episode"][i]))
    cameras = load_suite(key.suite).cameras
    path = arrays["path"][i]
    return Observation(
        episode=key,
        step=int(arrays["step"][i]),
        instruction=str(arrays["instruction"][i]),
        eef_pos=arrays["eef_pos"][i],
        eef_quat=arrays["eef_quat"][i],
        gripper_qpos=arrays["gripper_qpos"][i],
        scene=NO_SCENE,
        images=dict(zip(cameras, arrays["images"][i], strict=False)),
        path=path[np.isfinite(path).all(axis=1)],
    )
