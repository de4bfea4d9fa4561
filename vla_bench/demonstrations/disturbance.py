"""What else than the expert moves the arm, so that it has something to recover from: pushes, and a tremor all the time.

A learner that has only seen flawless episodes does not know what to do a centimetre beside them.  It closes its hand where the
way down ends, for there an expert always was above what it came for.  With a tremor the arm is never quite where it should be,
and what is learnt is what the expert does about it (Laskey et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_bench.policies.expert.motions import METRES_A_STEP, RADIANS_A_STEP

SHARE_AT_START = 0.25  # of disturbed episodes: the arm starts elsewhere
MOST = 3  # pushes an episode
STEPS = (4, 7)
DISTANCE = (0.02, 0.06)  # m
ANGLE = (0.0, 0.2)  # rad
GAP = (0.05, 0.3)  # from one push to the next, as a share of the horizon
# The tremor is a random walk that is drawn back to nothing: its spread, an episode's own, in parts of the fastest move and of
# the fastest turn, and the steps after which it has forgotten where it was.
TREMOR, TREMBLING_TURN, MEMORY = (0.1, 0.5), 0.25, 6.0


@dataclass(frozen=True)
class Push:
    """From control step `start` on, for `steps` steps, the arm is moved by `move` (6,): an action without the gripper."""

    start: int
    steps: int
    move: np.ndarray


class Disturbance:
    """The pushes and the tremor of one episode; none of both where it is not `disturbed`.

    Args:
        seed: of the episode; its start state is drawn from other numbers, and is the same with and without disturbance.
        share: of episodes that are disturbed at all.
        horizon: of the episode, in control steps; pushes may come later than it ends.
    """

    def __init__(self, seed: int, share: float, horizon: int):
        random = np.random.default_rng([seed, 1])
        self.plan: tuple[Push, ...] = ()
        self._tremor = np.zeros((horizon, 6))
        self.disturbed = bool(random.random() < share)
        if not self.disturbed:
            return
        at = 0 if random.random() < SHARE_AT_START else _gap(random, horizon)
        plan = []
        for _ in range(random.integers(1, MOST + 1)):
            plan.append(_push(random, at))
            at += plan[-1].steps + _gap(random, horizon)
        self.plan = tuple(plan)
        self._tremor = _tremor(np.random.default_rng([seed, 3]), horizon)

    def shaken(self, step: int, action: np.ndarray) -> np.ndarray:
        """(7,) what the arm does at control step `step` when it is told `action` (7,)."""
        return np.append(np.clip(action[:6] + self._tremor[step], -1.0, 1.0), action[6])

    def at(self, step: int) -> Push | None:
        """The push that is under way at control step `step`."""
        return next((push for push in self.plan if push.start <= step < push.start + push.steps), None)


def _gap(random: np.random.Generator, horizon: int) -> int:
    return round(random.uniform(*GAP) * horizon)


def _push(random: np.random.Generator, start: int) -> Push:
    steps = int(random.integers(STEPS[0], STEPS[1] + 1))
    travel = random.uniform(*DISTANCE) / (METRES_A_STEP * steps) * _direction(random)
    turn = random.uniform(*ANGLE) / (RADIANS_A_STEP * steps) * _direction(random)
    return Push(start, steps, np.clip(np.concatenate([travel, turn]), -1.0, 1.0))


def _tremor(random: np.random.Generator, horizon: int) -> np.ndarray:
    """(horizon, 6), of the same spread at every step."""
    keep = np.exp(-1.0 / MEMORY)
    spread = random.uniform(*TREMOR) * np.repeat([1.0, TREMBLING_TURN], 3)
    walk = random.standard_normal((horizon, 6))
    for step in range(1, horizon):
        walk[step] = keep * walk[step - 1] + np.sqrt(1.0 - keep * keep) * walk[step]
    return spread * walk


def _direction(random: np.random.Generator) -> np.ndarray:
    vector = random.standard_normal(3)
    return vector / np.linalg.norm(vector)
