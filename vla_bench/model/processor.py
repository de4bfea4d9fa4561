"""From observations to the model's inputs, and from its output to the robot's actions."""

from __future__ import annotations

from collections.abc import Mapping, Sequence

import numpy as np
import torch
from torch import Tensor

from vla_bench.errors import ModelError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.view import Query
from vla_bench.model.images import Normalisation, pixel_values, prepare
from vla_bench.model.normalisation import Statistics, env_actions, normalise_proprio, proprio_state, unnormalise_actions
from vla_bench.model.tokenizer import Tokenizer
from vla_bench.model.vla import Inputs
from vla_bench.world.observation import Observation

PROMPTS = 4096  # instructions whose tokens are cached


class Processor:
    """Makes a batch of `Inputs` from observations, and actions of the robot from the model's.

    cameras: their names, in the order in which the model was trained with them.
    statistics: of actions and proprio, by the short name of the suite.
    """

    def __init__(
        self,
        config: VLAConfig,
        tokenizer: Tokenizer,
        normalisation: Normalisation,
        statistics: Mapping[str, Statistics],
        cameras: Sequence[str],
    ):
        if len(cameras) < config.cameras:
            raise ModelError(f"the model needs {config.cameras} cameras and the suite has {len(cameras)}: {cameras}")
        self.config = config
        self.tokenizer = tokenizer
        self.normalisation = normalisation
        self.statistics = dict(statistics)
        self.cameras = tuple(cameras[: config.cameras])
        self._prompts: dict[str, tuple[int, ...]] = {}

    def __call__(self, observations: Sequence[Observation]) -> Inputs:
        """Float32 inputs on the CPU, one sample per observation."""
        proprio = torch.stack([self._proprio(o) for o in observations]) if self.config.proprio_dim else None
        images = [self._images(o) for o in observations]
        return Inputs(
            torch.stack([torch.from_numpy(pixel_values(each, self.normalisation)) for each in images]),
            tuple(self.prompt(o.instruction) for o in observations),
            proprio,
            tuple(self.query(o, each) for o, each in zip(observations, images, strict=True)),
        )

    def query(self, observation: Observation, images: np.ndarray | None = None) -> Query:
        """Where a sample comes from, for the pruner."""
        return Query(observation.episode, observation.step, images, observation.path)

    def prompt(self, instruction: str) -> tuple[int, ...]:
        if instruction not in self._prompts:
            if len(self._prompts) == PROMPTS:
                self._prompts.clear()
            self._prompts[instruction] = self.tokenizer.prompt(instruction)
        return self._prompts[instruction]

    def robot_actions(self, normalised: Tensor, observation: Observation) -> np.ndarray:
        """The model's (T, 7) output -> actions for the simulator, float64; not clipped, as in the reference."""
        actions = normalised.detach().to("cpu", torch.float64).numpy()
        return env_actions(unnormalise_actions(actions, self._statistics(observation)))

    def _images(self, observation: Observation) -> np.ndarray:
        """(cameras, S, S, 3) uint8, cropped and resized."""
        frames = [self._frame(observation, camera) for camera in self.cameras]
        return np.stack([prepare(frame, self.config.image_size, self.config.center_crop) for frame in frames])

    def _frame(self, observation: Observation, camera: str) -> np.ndarray:
        if camera not in observation.images:
            raise ModelError(f"no image of camera {camera} in the observation: it has {list(observation.images) or 'none'}")
        return observation.images[camera]

    def _proprio(self, observation: Observation) -> Tensor:
        state = proprio_state(observation.eef_pos, observation.eef_quat, observation.gripper_qpos)
        return torch.from_numpy(normalise_proprio(state, self._statistics(observation))).float()

    def _statistics(self, observation: Observation) -> Statistics:
        return self.statistics[observation.episode.suite]
