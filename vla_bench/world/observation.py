"""What a policy is given: numbers and pictures, nothing of the simulator itself."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from vla_bench.records import EpisodeKey


class Sight(Enum):
    """How much to look at after an action.  Pictures cost far more than physics, so they are taken only when asked."""

    NOTHING = "nothing"
    STATE = "state"  # proprioception and the privileged scene
    IMAGES = "images"  # the same, and every camera


@dataclass(frozen=True)
class Pose:
    """A frame in the world: `pos` (3,) in metres, `mat` (3, 3) with the frame's axes as columns."""

    pos: np.ndarray
    mat: np.ndarray


@dataclass(frozen=True)
class SceneConstants:
    """What does not change during an episode of a task."""

    goal: tuple[tuple[str, ...], ...]  # predicates, all of which must hold: ("in", "milk_1", "basket_1_contain_region")
    of_interest: tuple[str, ...]
    categories: dict[str, str]  # instance -> category, movable objects and fixtures
    regions: dict[str, str]  # site region -> the object, fixture or table that it belongs to
    region_sizes: dict[str, np.ndarray]  # half sizes (3,)
    joint_regions: dict[str, tuple[str, ...]] = field(default_factory=dict)  # region or fixture -> its joints


@dataclass(frozen=True)
class Scene:
    """The privileged state, for scripted experts only."""

    facts: SceneConstants
    bodies: dict[str, Pose]  # every object and fixture
    sites: dict[str, Pose]  # every region
    joints: dict[str, float]  # drawers, doors and knobs


@dataclass(frozen=True)
class Observation:
    """One look at the world.

    images: camera name -> (H, W, 3) uint8 as the simulator draws them, upside down; empty when only the state was asked for.
    eef_pos (3,) m; eef_quat (4,) xyzw; gripper_qpos (2,) m; joint_pos (7,) rad: robosuite's `robot0_*`.
    path: (n, 3) m, where the gripper was in each step since the last look, this moment last.
    """

    episode: EpisodeKey
    step: int
    instruction: str
    eef_pos: np.ndarray
    eef_quat: np.ndarray
    gripper_qpos: np.ndarray
    scene: Scene
    images: dict[str, np.ndarray] = field(default_factory=dict)
    joint_pos: np.ndarray | None = None
    path: np.ndarray | None = None
