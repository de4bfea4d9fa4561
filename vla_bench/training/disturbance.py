"""Pushes: moments at which something other than the expert moves the arm, so that it has something to recover from.

A learner that has only seen flawless episodes does not know what to do a centimetre beside them.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

SHARE_AT_START = 0.25  # of disturbed episodes: the arm starts elsewhere
MOST = 3  # pushes an episode
STEPS = (4, 7)
DISTANCE = (0.02, 0.06)  # m
ANGLE = (0.0, 0.2)  # rad
GAP = (0.05, 0.3)  # from one push to the next, as a share of the horizon
# What one step of action 1.0 comes to, measured from rest in free air.
METRES_A_STEP, RADIANS_A_STEP = 0.0122, 0.174


@dataclass(frozen=True)
class Push:
    """From control step `start` on, for `steps` steps, the arm is moved by `move` (6,): an action without the gripper."""

    start: int
    steps: int
    move: np.ndarray


class Pushes:
    """The pushes of one episode.

    Args:
        seed: of the episode; its start state is drawn from other numbers, and is the same with and without pushes.
        share: of episodes that are pushed at all.
        horizon: of the episode, in control steps; pushes may come later than it ends.
    """

    def __init__(self, seed: int, share: float, horizon: int):
        random = np.random.default_rng([seed, 1])
        self.plan: tuple[Push, ...] = ()
        if random.random() >= share:
            return
        at = 0 if random.random() < SHARE_AT_START else _gap(random, horizon)
        plan = []
        for _ in range(random.integers(1, MOST + 1)):
            plan.append(_push(random, at))
            at += plan[-1].steps + _gap(random, horizon)
        self.plan = tuple(plan)

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


def _direction(random: np.random.Generator) -> np.ndarray:
    vector = random.standard_normal(3)
    return vector / np.linalg.norm(vector)
