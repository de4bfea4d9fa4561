"""Batches of training samples.  Which ones, how they are augmented and what noise they meet depends on (seed, step) alone.

So a run that was killed goes on as if it had not been, and several processes that share a batch see what one would.
"""

from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import torch
from torch import Tensor

from vla_bench.demonstrations.hdf5 import chunk_starts
from vla_bench.interface.config import VLAConfig
from vla_bench.model.images import Normalisation
from vla_bench.model.normalisation import Statistics, normalise_actions, normalise_proprio
from vla_bench.model.tokenizer import Tokenizer
from vla_bench.model.vla import Inputs
from vla_bench.training.augment import Augmentation
from vla_bench.training.frames import TARGETS, Frames
from vla_bench.training.shares import balanced

GRIPPER = 6
PLACES = 1 + TARGETS  # that the auxiliary loss asks for


@dataclass(frozen=True)
class Batch:
    """Inputs, the chunks to answer (B, 8, 7), and places (B, PLACES, 3) in m, NaN where not known: where the gripper will
    open or close next, and where the objects are.

    seeds: one per sample, for whatever else is random in the step.
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

    switch_weight: how much likelier a chunk is in which, or soon after which, the gripper opens or closes; those moments are
        few and decide.
    shares: of the suites, whose tasks are drawn evenly; None draws every step as often as any other.
    fill_ends: also draw a demonstration's last steps; what their chunks lack repeats its last action.
    augmentation: None shows every picture with its centre crop.
    """

    def __init__(
        self,
        frames: Frames,
        config: VLAConfig,
        tokenizer: Tokenizer,
        statistics: Statistics,
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
        self._last = np.searchsorted(frames.segment, frames.segment, side="right") - 1  # step of the same segment
        self.starts = chunk_starts(frames.segment, config.chunk)
        if fill_ends:
            filled = frames.ends[self._last] & (self._last - np.arange(len(self._last)) < config.chunk - 1)
            self.starts = np.union1d(self.starts, np.flatnonzero(filled))
        self.actions = normalise_actions(frames.actions, statistics).astype(np.float32)
        self.proprio = normalise_proprio(frames.proprio, statistics).astype(np.float32)
        self.prompts = [tokenizer.prompt(instruction) for instruction in frames.instructions]
        # (1, 2 branches, 3, 1, 1) each
        self.mean = torch.tensor(normalisation.means).view(1, 2, 3, 1, 1)
        self.std = torch.tensor(normalisation.stds).view(1, 2, 3, 1, 1)
        weights = np.where(self._switches(), switch_weight, 1.0)
        if shares is not None:
            weights = balanced(weights, frames.instruction[self.starts], frames.suites, shares)
        self.chances = weights / weights.sum()  # of every start
        self._cumulative = np.cumsum(self.chances)
        self._places = np.concatenate([self._next_switch()[:, None], frames.targets], axis=1)

    def __len__(self) -> int:
        return len(self.starts)

    def batch(self, step: int, size: int, rank: int = 0, ranks: int = 1) -> Batch:
        """This process's share of the batch of `size` samples at `step`."""
        draw = np.random.default_rng([self.seed, step])
        picked = np.searchsorted(self._cumulative, draw.random(size), side="right").clip(max=len(self) - 1)
        seeds = draw.integers(2**62, size=size)
        mine = slice(rank * size // ranks, (rank + 1) * size // ranks)
        return self.collate(self.starts[picked[mine]], seeds[mine].tolist())

    def collate(self, starts: np.ndarray, seeds: list[int]) -> Batch:
        """The chunks beginning at `starts`."""
        frames = self.frames
        chunk = np.minimum(starts[:, None] + np.arange(self.config.chunk), self._last[starts, None])
        prompts = tuple(self.prompts[i] for i in frames.instruction[starts])
        proprio = torch.from_numpy(self.proprio[starts]) if self.config.proprio_dim else None
        inputs = Inputs(self._pixels(torch.from_numpy(frames.images[starts]), seeds), prompts, proprio)
        return Batch(inputs, torch.from_numpy(self.actions[chunk]), torch.from_numpy(self._places[starts]), tuple(seeds))

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
        """(N,) bool: whether the gripper's command is another than in the step before."""
        gripper, segment = self.frames.actions[:, GRIPPER], self.frames.segment
        changed = np.zeros(len(gripper), bool)
        # Not from one demonstration to the next: the gripper that ends the one says nothing about the other.
        changed[1:] = (gripper[1:] != gripper[:-1]) & (segment[1:] == segment[:-1])
        return changed

    def _next_switch(self) -> np.ndarray:
        """(N, 3) float32 where the gripper will be when it opens or closes next; NaN where it does not."""
        segment, at = self.frames.segment, np.flatnonzero(self._changed())
        places = np.full((len(segment), 3), np.nan, np.float32)
        following = np.searchsorted(at, np.arange(len(segment)), side="right")
        rows = np.flatnonzero(following < len(at))
        rows = rows[segment[at[following[rows]]] == segment[rows]]
        places[rows] = self.frames.proprio[at[following[rows]], :3]
        return places

    def _switches(self) -> np.ndarray:
        """Whether the gripper's command changes within a chunk or the next.

        The next one's, too: were only chunks with a change drawn more often, a policy that is not sure whether the time has
        come would learn that it mostly has, and close its hand above the object.
        """
        changes = np.cumsum(self._changed())
        ends = np.minimum(self.starts + 2 * self.config.chunk - 1, self._last[self.starts])
        return changes[ends] != changes[np.maximum(self.starts - 1, 0)]


def generator_of(seed: int) -> torch.Generator:
    return torch.Generator().manual_seed(seed)
