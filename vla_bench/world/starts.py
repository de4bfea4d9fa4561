"""New starts, sampled as the official init states were: by LIBERO's own `reset`, without its cost.

A start equals, to the last bit for objects on a table, what `seed(s); reset()` makes of an environment with robosuite's default
joint noise: the state, and the poses of the fixtures, on and in which objects may be placed.
"""

from __future__ import annotations

import json
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

import numpy as np

from vla_bench.errors import WorldError
from vla_bench.world.fixtures import Poses

if TYPE_CHECKING:  # LIBERO and MuJoCo; readers of demonstrations need neither
    from vla_bench.world.resets import Resets, ResetSampler

# robosuite's default for a robot.  LIBERO's evaluation wrapper turns it off, but the official init states have it.
JOINT_NOISE = 0.02  # rad, standard deviation
TRIES = 100  # of drawing a start that is not official
SAME = 1e-4  # m: a start whose objects are all within this distance of an official one counts as that one
# Objects that overlap push each other apart in the settling steps, in official starts too: by up to 10 cm and 0.43 rad,
# and a bowl placed on the rim of a drawer turns by 0.63.  Objects that fell had turned by 0.9 rad or moved by 30 cm.
SLID, TIPPED = 0.15, 0.8  # m, rad


@dataclass(frozen=True)
class Start:
    """Where an episode begins.

    state: flattened MuJoCo state (time, qpos, qvel).
    fixtures: poses of the fixtures, which a state does not have; those that are left out stand as after the task's first reset.
    """

    state: np.ndarray
    fixtures: Poses = field(default_factory=dict)

    @property
    def fixtures_json(self) -> str:
        """The fixtures' poses as JSON, exactly."""
        return json.dumps({name: pose.tolist() for name, pose in self.fixtures.items()})


def poses_from_json(text: str) -> dict[str, np.ndarray]:
    """The inverse of `Start.fixtures_json`.  Raises ValueError for anything else."""
    table = json.loads(text)
    if not isinstance(table, dict):
        raise ValueError(f"not poses of fixtures: {text[:80]}")
    poses = {name: np.array(pose, float) for name, pose in table.items()}
    if wrong := [name for name, pose in poses.items() if pose.shape != (7,) or not np.isfinite(pose).all()]:
        raise ValueError(f"the pose of {wrong[0]} is not seven finite numbers")
    return poses


class StartSampler:
    """Samples starts of a loaded task, without changing its simulation.

    Args:
        sampler: draws the task's resets.
        official: its official init states (n, S), none of which is ever returned.
        reference: the resets of the official episodes, whose first n sets of fixtures are never returned; None keeps the
            fixtures where they are.
    """

    def __init__(self, sampler: ResetSampler, official: np.ndarray, reference: Resets | None):
        self._sampler = sampler
        self._official = official
        self._reference = reference
        self._poses = sampler.objects

    def draw(self, seed: int) -> Start:
        """The same start for the same seed below 2**32.  Raises WorldError."""
        resets = self._sampler.resets(seed)
        for number in range(TRIES):
            qpos = self._sampler.qpos(resets[number], JOINT_NOISE)
            state = np.concatenate([[0.0], qpos, np.zeros(self._official.shape[1] - 1 - len(qpos))])
            fixtures = {} if self._reference is None else resets[number].fixtures
            if self.distance(state) > SAME and not self._evaluated(fixtures):
                return Start(state, fixtures)
        raise WorldError(f"{TRIES} sampled starts of {self._sampler.task} are official ones (seed {seed})")

    def distance(self, state: np.ndarray) -> float:
        """Distance in metres to the nearest official init state: of the object that is farthest from its position there."""
        apart = self._official[:, self._poses[:, :3]] - state[self._poses[:, :3]]  # (n, objects, 3)
        return float(np.linalg.norm(apart, axis=2).max(axis=1).min())

    def fallen(self, start: np.ndarray, now: np.ndarray) -> list[str]:
        """The objects that do not have about the pose in state `now` that they have in `start`: they fell or tipped over."""
        before, after = start[self._poses], now[self._poses]  # (objects, 7)
        slid = np.linalg.norm(after[:, :2] - before[:, :2], axis=1)
        turned = 2.0 * np.arccos(np.minimum(1.0, np.abs((after[:, 3:] * before[:, 3:]).sum(axis=1))))
        return [self._sampler.object_names[i] for i in np.flatnonzero((slid >= SLID) | (turned >= TIPPED))]

    def _evaluated(self, fixtures: Poses) -> bool:
        """Whether an official episode has these very fixtures."""
        episodes = [self._reference[number].fixtures for number in range(len(self._official))] if fixtures else []
        return any(all(np.array_equal(other[name], pose) for name, pose in fixtures.items()) for other in episodes)
