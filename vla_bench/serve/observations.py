"""Observations as the policy takes them, from what the clients of either wire send.  All of it is checked here, one by one, so
that nothing in a batch can fail the others."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np

from vla_bench.errors import WireError
from vla_bench.model.normalisation import PROPRIO_DIM, quaternion
from vla_bench.records import EpisodeKey
from vla_bench.serve.limits import INSTRUCTION, PATH
from vla_bench.serve.pictures import frame
from vla_bench.wires import own
from vla_bench.world.observation import Observation, Scene, SceneConstants

LARGEST_STATE = 1e3  # m or rad
_numbers = itertools.count()
NO_SCENE = Scene(SceneConstants((), (), {}, {}, {}), {}, {}, {})  # a policy that sees pictures is told nothing else


class PlayedEpisode(EpisodeKey):
    """The episode that a client says it plays.  Equal to itself alone, in the processes of copies, too: two sessions may play the
    same one, each with a memory of its own, and draws by suite, task and init state are those of `eval`."""

    def __init__(self, *_: object):
        self.number = next(_numbers)

    def __eq__(self, other: object) -> bool:
        return isinstance(other, PlayedEpisode) and self.number == other.number

    def __ne__(self, other: object) -> bool:
        return not self == other

    def __hash__(self) -> int:
        return hash(self.number)


@dataclass(frozen=True)
class Sent:
    """What a client sent at a query, unchecked.  pictures: by the names of the wire, in the order of the model's cameras."""

    instruction: object
    pictures: Mapping[str, object]
    state: object = None
    step: object = None
    path: object = None


def read_state(state: object) -> np.ndarray:
    """(8,) float64: position (3) m, axis-angle (3) rad as robosuite has it, gripper fingers (2) m.  Raises WireError."""
    try:
        found = np.asarray(state)
    except ValueError:
        raise WireError(f"the state is no row of numbers: {state!r:.60}") from None
    if found.dtype.kind not in "fiu" or found.shape != (PROPRIO_DIM,):
        raise WireError(f"the state is {found.dtype} of shape {found.shape}, not ({PROPRIO_DIM},) numbers")
    values = found.astype(np.float64)
    if not (np.abs(values) <= LARGEST_STATE).all():
        raise WireError(f"the state has numbers beyond {LARGEST_STATE:g}, or that are not finite: {values.tolist()}")
    return values


def observation(
    sent: Sent,
    episode: EpisodeKey,
    step: int,
    *,
    cameras: tuple[str, ...],
    size: int | None,
    needs_state: bool,
    path: np.ndarray | None = None,
) -> Observation:
    """What the policy sees.  Raises WireError for what cannot be used.

    step, path: those that the session counted; the client's own come first.
    cameras: the suite's names, as many as the model sees.  size: pixels a side of the model's pictures.
    """
    text = sent.instruction
    if not isinstance(text, str) or not text.strip() or len(text) > INSTRUCTION:
        raise WireError(f"the instruction must be a text of 1 to {INSTRUCTION} characters, not {text!r:.60}")
    if sent.state is None and needs_state:
        raise WireError("there is no state, and the model reads it")
    state = np.zeros(PROPRIO_DIM) if sent.state is None else read_state(sent.state)
    own_path = _path(sent.path)
    return Observation(
        episode=episode,
        step=step if sent.step is None else _step(sent.step),
        instruction=text,
        eef_pos=state[:3],
        eef_quat=quaternion(state[3:6]),
        gripper_qpos=state[6:],
        scene=NO_SCENE,
        images={
            camera: frame(picture, name, size) for camera, (name, picture) in zip(cameras, sent.pictures.items(), strict=False)
        },
        path=path if own_path is None else own_path,
    )


def _step(step: object) -> int:
    if type(step) is not int or not 0 <= step < 2**31:
        raise WireError(f"{own.STEP} is {step!r:.60}, not a number of control steps")
    return step


def _path(path: object) -> np.ndarray | None:
    if path is None:
        return None
    if not isinstance(path, np.ndarray) or path.dtype.kind != "f" or path.shape[1:] != (3,) or not 0 < len(path) <= PATH:
        what = f"{path.dtype} of shape {path.shape}" if isinstance(path, np.ndarray) else type(path).__name__
        raise WireError(f"{own.PATH} is {what}, not (n, 3) numbers of 1 to {PATH} steps")
    if not (np.abs(path) <= LARGEST_STATE).all():
        raise WireError(f"{own.PATH} has numbers beyond {LARGEST_STATE:g}, or that are not finite")
    return path.astype(np.float64)
