"""GridS: a few image tokens sampled between the patches, where a small network expects what matters; trained with the model.

Deviations from paper and release:
* image tokens are sampled behind OpenVLA's projector, as in the release behind SigLIP's; K is a share, 16 of a camera's 256;
* a token takes the position of the nearest patch that no earlier one has taken.  The release numbers its tokens anew
  (`positions="renumber"`);
* a coordinate of exactly 1, which rounding makes of a large logit, is the last row or column.  In the released code all four
  weights are 0 there, and so is the token;
* interpolation is that of the release's openpi and core code, 0 and 1 being the middles of the outer patches.  Its LeRobot code
  takes their outer edges.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor, nn

from vla_bench.interface.config import VLAConfig
from vla_bench.interface.lengths import Case
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import Patches, View
from vla_bench.pruners.budget import check, count_per_camera, keeps_all
from vla_bench.trace import Cut

SCOUT, ENCODER = 512, 256  # hidden units of the two networks, as released


def bilinear(maps: Tensor, at: Tensor) -> Tensor:
    """Features between those of a grid: maps (n, S, S, D) and coordinates at (n, K, 2), x and y in [0, 1] -> (n, K, D).

    (0, 0) is the middle of the first patch, (1, 1) that of the last.  Differentiable in both.
    """
    side = maps.shape[1]
    place = at * (side - 1)
    low = place.detach().floor().clamp(max=max(side - 2, 0))
    part = place - low
    first = low.long()
    second = (first + 1).clamp(max=side - 1)
    sample = torch.arange(len(maps), device=maps.device).unsqueeze(1)
    (x0, y0), (x1, y1) = first.unbind(-1), second.unbind(-1)
    right, down = part[..., :1], part[..., 1:]
    above = (1 - right) * maps[sample, y0, x0] + right * maps[sample, y0, x1]
    below = (1 - right) * maps[sample, y1, x0] + right * maps[sample, y1, x1]
    return (1 - down) * above + down * below


def places(at: Tensor, side: int) -> Tensor:
    """The patch whose place each sampled token takes, (n, K, 2) -> (n, K): the nearest that no earlier token has, ties to the
    smaller index; K at most side x side."""
    patch = torch.arange(side * side, device=at.device)
    grid = torch.stack([patch % side, torch.div(patch, side, rounding_mode="floor")], dim=-1).float()
    free = (at.detach().float().mul(side - 1).unsqueeze(2) - grid).square().sum(dim=-1)  # (n, K, patches)
    taken = []
    for number in range(at.shape[1]):
        taken.append(free[:, number].argmin(dim=-1, keepdim=True))
        free = free.scatter(2, taken[-1].unsqueeze(1).expand(-1, free.shape[1], -1), torch.inf)
    return torch.cat(taken, dim=1)


class GridSampler(Pruner):
    """Before the LLM, image tokens give way to a few sampled between the patches, at points that a network finds.

    Of a camera's image tokens z is the mean; P = sigmoid(MLP(z)) are K points in the image; and a new token is the bilinear
    sample of the image tokens at its point plus an encoding of the point.

    keep: share or number of the image tokens that there are then; all of them is the dense model.
    geometry: False leaves out the encoding of the points, the paper's ablation.
    positions: see above.
    """

    name = "grid-sampler"
    source = "GridS, ICML 2026, arXiv 2605.11817; Fediory/Grid-Sampler"
    sites = (LLM_INPUT,)
    merges = True
    profiles = {name: {"positions": "renumber"} for name in ("release", "paper")}

    def __init__(self, keep: float = 0.0625, geometry: bool = True, positions: Literal["keep", "renumber"] = "keep"):
        super().__init__()
        self.keep, self.geometry = keep, geometry
        self.renumber = positions == "renumber"
        self.scout: nn.Sequential | None = None
        self.encoder: nn.Sequential | None = None

    def attach(self, config: VLAConfig) -> None:
        if self.scout is not None or keeps_all(self.keep, config):
            return
        generator, width = torch.Generator().manual_seed(0), config.llm.width
        most = max(count_per_camera(self.keep, config))
        self.scout = _network(width, SCOUT, 2 * most, generator)
        if self.geometry:
            self.encoder = _network(2, ENCODER, width, generator)

    def coordinates(self, images: Tensor) -> Tensor:
        """Where each image's tokens are sampled: (n, patches, D) -> x and y (n, K, 2) in [0, 1]."""
        mean = images.float().mean(dim=1).to(self.scout[0].weight.dtype)
        return self.scout(mean).float().sigmoid().reshape(len(images), -1, 2)

    def tokens(self, images: Tensor, at: Tensor) -> Tensor:
        """The new image tokens: (n, patches, D) and (n, K, 2) -> (n, K, D)."""
        side = math.isqrt(images.shape[1])
        found = bilinear(images.float().unflatten(1, (side, side)), at)
        if self.encoder is not None:
            found = found + self.encoder(at.to(self.encoder[0].weight.dtype)).float()
        return found.to(images.dtype)

    def select(self, view: View) -> Selection | None:
        layout, patches = view.layout, view.patches
        counts = count_per_camera(self.keep, layout)
        if sum(counts) >= layout.visual:
            return None
        images = patches.hidden.reshape(-1, layout.patches, patches.hidden.shape[-1])
        at = self.coordinates(images)
        check(at.sum(dim=(1, 2)).reshape(-1, layout.cameras).repeat_interleave(layout.patches, dim=1), self.label, view)
        hidden = self.tokens(images, at).unflatten(0, (-1, layout.cameras))
        place = places(at, math.isqrt(layout.patches)).unflatten(0, (-1, layout.cameras))
        merged = Patches(
            torch.cat([hidden[:, camera, :number] for camera, number in enumerate(counts)], dim=1),
            torch.cat([place[:, camera, :number] + camera * layout.patches for camera, number in enumerate(counts)], dim=1),
        )
        return Selection(torch.zeros_like(patches.ids, dtype=torch.bool), merged)

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...]:
        """As many as the network has points; `kept` is ignored."""
        if keeps_all(self.keep, config):
            return ()
        return (Cut(str(LLM_INPUT), config.visual_tokens, 0, sum(count_per_camera(self.keep, config))),)

    def macs(self, case: Case) -> int:
        """The network that finds the points, once a camera, and the encoding of every point."""
        cut, config = case.cut(LLM_INPUT), case.config
        if cut is None:
            return 0
        most, width = max(count_per_camera(self.keep, config)), config.llm.width
        found = config.cameras * SCOUT * (width + 2 * most)
        return found + (config.cameras * most * ENCODER * (2 + width) if self.geometry else 0)


def _network(inputs: int, hidden: int, outputs: int, generator: torch.Generator) -> nn.Sequential:
    """Two layers with a ReLU between, with torch's usual weights, drawn from `generator`."""
    return nn.Sequential(_linear(inputs, hidden, generator), nn.ReLU(), _linear(hidden, outputs, generator))


def _linear(inputs: int, outputs: int, generator: torch.Generator) -> nn.Linear:
    layer, bound = nn.Linear(inputs, outputs, device="meta"), inputs**-0.5
    layer.weight = nn.Parameter(bound * (2 * torch.rand(outputs, inputs, generator=generator) - 1))
    layer.bias = nn.Parameter(bound * (2 * torch.rand(outputs, generator=generator) - 1))
    return layer
