"""Disturbances of the arm in demonstrations: pushes, and noise on all of the expert's commands.

A policy trained on undisturbed episodes does not know how to act a centimetre off their path: it closes the gripper where the
descent ends, since the expert was always above the object there.  With noise the arm is never exactly on the path, and the
policy learns the expert's corrections (Laskey et al. 2017).
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from vla_bench.policies.expert.motions import METRES_A_STEP, RADIANS_A_STEP

SHARE_AT_START = 0.25  # share of disturbed episodes that begin with a push
MOST = 3  # pushes per episode
STEPS = (4, 7)  # control steps of a push
DISTANCE = (0.02, 0.06)  # m
ANGLE = (0.0, 0.2)  # rad
GAP = (0.05, 0.3)  # from one push to the next, as a share of the horizon
# The noise is an Ornstein-Uhlenbeck process: range of its standard deviation, drawn per episode, as a share of the largest
# action; factor for rotations; and time constant in steps.
NOISE, ROTATION_NOISE, TIME_CONSTANT = (0.1, 0.5), 0.25, 6.0


@dataclass(frozen=True)
class Push:
    """In `steps` control steps from `start` on, the arm executes `move` (6,): an action without the gripper."""

    start: int
    steps: int
    move: np.ndarray


class Disturbance:
    """The pushes and the noise of one episode; neither where it is not `disturbed`.

    Args:
        seed: seed of the episode; its start state does not depend on the disturbance.
        share: share of episodes that are disturbed.
        horizon: of the episode, in control steps; pushes may be planned after its end.
    """

    def __init__(self, seed: int, share: float, horizon: int):
        random = np.random.default_rng([seed, 1])
        self.plan: tuple[Push, ...] = ()
        self._noise = np.zeros((horizon, 6))
        self.disturbed = bool(random.random() < share)
        if not self.disturbed:
            return
        at = 0 if random.random() < SHARE_AT_START else _gap(random, horizon)
        plan = []
        for _ in range(random.integers(1, MOST + 1)):
            plan.append(_push(random, at))
            at += plan[-1].steps + _gap(random, horizon)
        self.plan = tuple(plan)
        self._noise = _noise(np.random.default_rng([seed, 3]), horizon)

    def with_noise(self, step: int, action: np.ndarray) -> np.ndarray:
        """The executed action (7,) at control step `step`: `action` (7,) with noise."""
        return np.append(np.clip(action[:6] + self._noise[step], -1.0, 1.0), action[6])

    def at(self, step: int) -> Push | None:
        """The push at control step `step`; None where there is none."""
        return next((push for push in self.plan if push.start <= step < push.start + push.steps), None)


def _gap(random: np.random.Generator, horizon: int) -> int:
    return round(random.uniform(*GAP) * horizon)


def _push(random: np.random.Generator, start: int) -> Push:
    steps = int(random.integers(STEPS[0], STEPS[1] + 1))
    travel = random.uniform(*DISTANCE) / (METRES_A_STEP * steps) * _direction(random)
    turn = random.uniform(*ANGLE) / (RADIANS_A_STEP * steps) * _direction(random)
    return Push(start, steps, np.clip(np.concatenate([travel, turn]), -1.0, 1.0))


def _noise(random: np.random.Generator, horizon: int) -> np.ndarray:
    """(horizon, 6), of the same standard deviation at every step."""
    keep = np.exp(-1.0 / TIME_CONSTANT)
    spread = random.uniform(*NOISE) * np.repeat([1.0, ROTATION_NOISE], 3)
    walk = random.standard_normal((horizon, 6))
    for step in range(1, horizon):
        walk[step] = keep * walk[step - 1] + np.sqrt(1.0 - keep * keep) * walk[step]
    return spread * walk


def _direction(random: np.random.Generator) -> np.ndarray:
    vector = random.standard_normal(3)
    return vector / np.linalg.norm(vector)
