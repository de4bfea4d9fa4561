"""What a policy server receives of an observation: pictures turned by 180 degrees, the robot's state, the instruction."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np

from vla_bench.errors import ModelError
from vla_bench.model.images import upright
from vla_bench.model.normalisation import proprio_state
from vla_bench.wires import openpi, own, vla_eval
from vla_bench.world.observation import Observation

IMAGE_SIZE = 256  # pixels a side, as both harnesses render LIBERO


@dataclass(frozen=True)
class Wanted:
    """What a server of vla-eval asks for.

    wrist, state: whether it wants the second picture and the robot's state.
    shortest_turn: the axis-angle of q and of -q are to be the same, with an angle up to pi, as vla-eval's default has it.
        robosuite, lerobot, openpi and the models trained with them have it otherwise: the end effector of LIBERO looks down, with
        +3.20 rad where the shortest turn is -3.08.
    """

    wrist: bool = False
    state: bool = False
    shortest_turn: bool = False


def state(observation: Observation, shortest_turn: bool = False) -> np.ndarray:
    """(8,) float64: position of the end effector (3) m, its axis-angle (3) rad, gripper fingers (2) m."""
    quat = np.asarray(observation.eef_quat)
    if shortest_turn and quat[3] < 0:
        quat = -quat
    return proprio_state(observation.eef_pos, quat, observation.gripper_qpos)


def for_vla_eval(observation: Observation, cameras: Sequence[str], wanted: Wanted) -> dict[str, object]:
    """The payload of an `observation`.  cameras: the suite's, that of the scene first, then the wrist's."""
    names = {vla_eval.AGENTVIEW: cameras[0]} | ({vla_eval.WRIST: _wrist(cameras)} if wanted.wrist else {})
    payload: dict[str, object] = {
        vla_eval.IMAGES: {name: _picture(observation, camera) for name, camera in names.items()},
        vla_eval.TASK: observation.instruction,
    }
    return payload | ({vla_eval.STATES: state(observation, wanted.shortest_turn)} if wanted.state else {})


def for_own(observation: Observation) -> dict[str, object]:
    """What a server of vla-bench is sent beside: with it, all pruners work as in this process."""
    path = {} if observation.path is None else {own.PATH: observation.path}
    return {own.STEP: observation.step, own.WHOLE_CHUNK: True} | path


def for_openpi(observation: Observation, cameras: Sequence[str]) -> dict[str, object]:
    """The request to a server of openpi's LIBERO policies, as openpi's own client makes it."""
    return {
        openpi.IMAGE: _small(_picture(observation, cameras[0])),
        openpi.WRIST: _small(_picture(observation, _wrist(cameras))),
        openpi.STATE: state(observation),
        openpi.PROMPT: observation.instruction,
    }


def _wrist(cameras: Sequence[str]) -> str:
    if len(cameras) < 2:
        raise ModelError(f"the server wants a picture of the wrist, and the suite has one camera: {cameras[0]}")
    return cameras[1]


def _picture(observation: Observation, camera: str) -> np.ndarray:
    return np.ascontiguousarray(upright(observation.images[camera]))


def _small(picture: np.ndarray) -> np.ndarray:
    """Openpi's size, by the resize of its client."""
    from PIL import Image

    size = (openpi.IMAGE_SIZE, openpi.IMAGE_SIZE)
    return np.asarray(Image.fromarray(picture).resize(size, Image.Resampling.BILINEAR))
