"""Batches of training samples.  Their choice, augmentation and noise depend on (seed, step) alone.

So a killed run resumes exactly, and several processes that share a batch compute the same as one.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vla_bench.demonstrations.layout import chunk_starts
from vla_bench.errors import RecordError
from vla_bench.interface.config import VLAConfig
from vla_bench.model.images import Normalisation
from vla_bench.model.normalisation import Statistics, normalise_actions, normalise_proprio
from vla_bench.model.tokenizer import Tokenizer
from vla_bench.model.vla import Inputs
from vla_bench.training.augment import Augmentation
from vla_bench.training.frames import TARGETS, Frames
from vla_bench.training.shares import balanced

GRIPPER = 6
KEYPOINTS = 1 + TARGETS  # predicted by the auxiliary head


@dataclass(frozen=True)
class Batch:
    """One batch.

    actions: (B, 8, 7) normalised target chunks.
    targets: (B, KEYPOINTS, 3) m, where the gripper opens or closes next, then the positions of objects; NaN where unknown.
    seeds: one per sample, for everything else that is random in the step.
    """

    inputs: Inputs
    actions: Tensor
    targets: Tensor
    seeds: tuple[int, ...]

    def to(self, device: torch.device) -> Batch:
        inputs = self.inputs
        proprio = None if inputs.proprio is None else inputs.proprio.to(device)
        inputs = replace(inputs, pixel_values=inputs.pixel_values.to(device), proprio=proprio)
        return replace(self, inputs=inputs, actions=self.actions.to(device), targets=self.targets.to(device))


class SampleLoader:
    """Draws batches from prepared frames.

    switch_weight: factor by which chunks with, or shortly before, an opening or closing of the gripper are drawn more often,
        since these moments are rare and decisive.
    shares: suite weights; tasks of a suite are drawn evenly.  None to draw every step equally often.
    fill_ends: also draw a demonstration's last steps, their chunks padded with its last action.
    augmentation: None for the centre crop.
    """

    def __init__(
        self,
        frames: Frames,
        config: VLAConfig,
        tokenizer: Tokenizer,
        statistics: Statistics,
        *,
        normalisation: Normalisation,
        seed: int,
        augmentation: Augmentation | None = None,
        switch_weight: float = 1.0,
        shares: dict[str, float] | None = None,
        fill_ends: bool = False,
    ):
        self.frames = frames
        self.config = config
        self.seed = seed
        self.augmentation = augmentation
        self._last = np.searchsorted(frames.segment, frames.segment, side="right") - 1  # last step of each step's segment
        self.starts = chunk_starts(frames.segment, config.chunk)
        if fill_ends:
            filled = frames.ends[self._last] & (self._last - np.arange(len(self._last)) < config.chunk - 1)
            self.starts = np.union1d(self.starts, np.flatnonzero(filled))
        if not len(self.starts):
            raise RecordError(f"no demonstration has {config.chunk} steps in a row that are not no-ops, the length of a chunk")
        self.actions = normalise_actions(frames.actions, statistics).astype(np.float32)
        self.proprio = normalise_proprio(frames.proprio, statistics).astype(np.float32)
        self.prompts = [tokenizer.prompt(instruction) for instruction in frames.instructions]
        # (1, 2 branches, 3, 1, 1) each
        self.mean = torch.tensor(normalisation.means).view(1, 2, 3, 1, 1)
        self.std = torch.tensor(normalisation.stds).view(1, 2, 3, 1, 1)
        weights = np.where(self._switches(), switch_weight, 1.0)
        if shares is not None:
            weights = balanced(weights, frames.instruction[self.starts], frames.suites, shares)
        self.probabilities = weights / weights.sum()  # of every start
        self._cumulative = np.cumsum(self.probabilities)
        self._keypoints = np.concatenate([self._next_switch()[:, None], frames.targets], axis=1)

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, step: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        """This process's share of the batch of `size` samples at `step`."""
        draw = np.random.default_rng([self.seed, step])
        chosen = np.searchsorted(self._cumulative, draw.random(size), side="right").clip(max=len(self) - 1)
        seeds = draw.integers(2**62, size=size)
        mine = slice(rank * size // ranks, (rank + 1) * size // ranks)
        return self.collate(self.starts[chosen[mine]], seeds[mine].tolist())

    def collate(self, starts: np.ndarray, seeds: list[int]) -> Batch:
        """The chunks beginning at `starts`."""
        frames = self.frames
        chunk = np.minimum(starts[:, None] + np.arange(self.config.chunk), self._last[starts, None])
        prompts = tuple(self.prompts[i] for i in frames.instruction[starts])
        proprio = torch.from_numpy(self.proprio[starts]) if self.config.proprio_dim else None
        inputs = Inputs(self._pixels(torch.from_numpy(frames.images[starts]), seeds), prompts, proprio)
        return Batch(inputs, torch.from_numpy(self.actions[chunk]), torch.from_numpy(self._keypoints[starts]), tuple(seeds))

    def _pixels(self, images: Tensor, seeds: list[int]) -> Tensor:
        """(B, cameras, S, S, 3) uint8 -> (B, 6 * cameras, S, S), each camera augmented on its own."""
        batch, cameras, size = images.shape[:3]
        pixels = images.permute(0, 1, 4, 2, 3).reshape(-1, 3, size, size).float() / 255
        if self.augmentation is None:
            pixels = Augmentation.centre(pixels)
        else:
            draws = [self.augmentation.draw(generator) for s in seeds for generator in [generator_of(s)] for _ in range(cameras)]
            pixels = self.augmentation(pixels, torch.stack(draws))
        pixels = (pixels.unsqueeze(1) - self.mean) / self.std
        return pixels.reshape(batch, -1, size, size)

    def _changed(self) -> np.ndarray:
        """(N,) bool: whether the gripper command differs from that of the step before."""
        gripper, segment = self.frames.actions[:, GRIPPER], self.frames.segment
        changed = np.zeros(len(gripper), bool)
        # Only within a segment: the first step of a demonstration changes nothing.
        changed[1:] = (gripper[1:] != gripper[:-1]) & (segment[1:] == segment[:-1])
        return changed

    def _next_switch(self) -> np.ndarray:
        """(N, 3) float32 m, position of the gripper at its next opening or closing; NaN where there is none."""
        segment, at = self.frames.segment, np.flatnonzero(self._changed())
        positions = np.full((len(segment), 3), np.nan, np.float32)
        following = np.searchsorted(at, np.arange(len(segment)), side="right")
        rows = np.flatnonzero(following < len(at))
        rows = rows[segment[at[following[rows]]] == segment[rows]]
        positions[rows] = self.frames.proprio[at[following[rows]], :3]
        return positions

    def _switches(self) -> np.ndarray:
        """Whether the gripper command changes within a chunk or the next one.

        If only chunks with a change were drawn more often, a policy that is uncertain whether it is time would learn that it
        mostly is, and close the gripper above the object.
        """
        changes = np.cumsum(self._changed())
        ends = np.minimum(self.starts + 2 * self.config.chunk - 1, self._last[self.starts])
        return changes[ends] != changes[np.maximum(self.starts - 1, 0)]


def generator_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
