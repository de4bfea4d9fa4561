"""What a policy receives: numbers and camera images, no access to the simulator."""

from __future__ import annotations

from dataclasses import dataclass, field
from enum import Enum

import numpy as np

from vla_bench.records import EpisodeKey


class Sight(Enum):
    """What an observation contains.  Rendering costs far more than physics, so images are rendered only on request."""

    NOTHING = "nothing"
    STATE = "state"  # proprioception and the privileged scene
    IMAGES = "images"  # the same, and every camera image


@dataclass(frozen=True)
class Pose:
    """A pose in the world frame: `pos` (3,) in metres, `mat` (3, 3) rotation matrix, axes as columns."""

    pos: np.ndarray
    mat: np.ndarray


@dataclass(frozen=True)
class SceneConstants:
    """Properties of a scene that do not change during an episode."""

    goal: tuple[tuple[str, ...], ...]  # predicates, all of which must hold: ("in", "milk_1", "basket_1_contain_region")
    of_interest: tuple[str, ...]  # objects and regions that the goal is about
    categories: dict[str, str]  # object or fixture -> its category
    regions: dict[str, str]  # site region -> the object, fixture or table that it belongs to
    region_sizes: dict[str, np.ndarray]  # half sizes (3,)
    joint_regions: dict[str, tuple[str, ...]] = field(default_factory=dict)  # region or fixture -> its joints


@dataclass(frozen=True)
class Scene:
    """Poses of all objects and joints: privileged information, for scripted experts only."""

    facts: SceneConstants
    bodies: dict[str, Pose]  # every object and fixture
    sites: dict[str, Pose]  # every region
    joints: dict[str, float]  # drawers (m), doors and knobs (rad)


@dataclass(frozen=True)
class Observation:
    """What a policy receives at a query.

    images: camera name -> (H, W, 3) uint8 as rendered, upside down; empty for Sight.STATE.
    eef_pos (3,) m; eef_quat (4,) xyzw; gripper_qpos (2,) m; joint_pos (7,) rad: robosuite's `robot0_*`.
    path: (n, 3) m, positions of the end effector at every step since the last observation, the present one last.
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
