"""Baselines that ignore what the images show: an even grid of patches, the means of its cells, and one patch a camera."""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
from torch import Tensor

from vla_bench.interface.config import VLAConfig
from vla_bench.interface.lengths import Case
from vla_bench.interface.pruner import Pruner, cuts_at
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import Patches, View
from vla_bench.pruners.budget import count_per_camera, expected_cuts
from vla_bench.trace import Cut


class Grid(Pruner):
    """The same even lattice of patches of every camera, whatever the images show.

    keep: share, or number above 1, of all image tokens.
    """

    name = "grid"
    sites = (LLM_INPUT,)
    source = "baseline of this toolkit"

    def __init__(self, keep: float = 0.25):
        super().__init__()
        self.keep = keep

    def select(self, view: View) -> Selection | None:
        layout = view.layout
        counts = count_per_camera(self.keep, layout)
        if min(counts) >= layout.patches:
            return None
        side = math.isqrt(layout.patches)
        ids = [camera * layout.patches + index for camera, k in enumerate(counts) for index in grid_indices(side, k)]
        return Selection(torch.isin(view.patches.ids, torch.tensor(ids, device=view.patches.ids.device)))

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...]:
        return expected_cuts(self, config, self.keep, True, kept)


class Pool(Pruner):
    """The mean of every cell of an even lattice, a token of its own at the cell's middle: the only baseline that merges.

    keep: share, or number above 1, of all image tokens; every camera has the same lattice, which has at most as many cells.
    """

    name = "pool"
    sites = (LLM_INPUT,)
    merges = True
    source = "baseline of this toolkit"

    def __init__(self, keep: float = 0.25):
        super().__init__()
        self.keep = keep

    def select(self, view: View) -> Selection | None:
        layout, hidden = view.layout, view.patches.hidden
        k = min(count_per_camera(self.keep, layout))
        if k >= layout.patches:
            return None
        cells = cell_of_patch(math.isqrt(layout.patches), k).to(hidden.device)
        kinds = torch.arange(int(cells.max()) + 1 if k else 0, device=hidden.device)
        members = (cells == kinds.unsqueeze(1)).float()  # (cells, patches)
        images = hidden.float().reshape(-1, layout.patches, hidden.shape[-1])
        means = members / members.sum(dim=1, keepdim=True) @ images
        cameras = torch.arange(layout.cameras, device=hidden.device).unsqueeze(1) * layout.patches
        ids = (cameras + _middles(members)).flatten().expand(len(hidden), -1)
        merged = Patches(means.reshape(len(hidden), -1, hidden.shape[-1]).to(hidden.dtype), ids)
        return Selection(torch.zeros_like(view.patches.ids, dtype=torch.bool), merged)

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...]:
        """As many cells as an even lattice has; `kept` is ignored."""
        cells = min(count_per_camera(self.keep, config))
        if cells >= config.patches:
            return ()
        rows, columns = lattice(math.isqrt(config.patches), cells)
        return (Cut(str(LLM_INPUT), config.visual_tokens, 0, config.cameras * rows * columns),)

    def macs(self, case: Case) -> int:
        """A mean is the product with a matrix of shares."""
        cut = case.cut(LLM_INPUT)
        return 0 if cut is None else cut.merged * case.config.patches * case.config.llm.width


class Blind(Pruner):
    """One image token of every camera, the one in the middle: the least that a model can see."""

    name = "blind"
    sites = (LLM_INPUT,)
    source = "baseline of this toolkit"

    def select(self, view: View) -> Selection:
        side = math.isqrt(view.layout.patches)
        return Selection(view.patches.ids % view.layout.patches == side // 2 * side + side // 2)

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...]:
        return cuts_at(self, config, [config.cameras])


def lattice(side: int, k: int) -> tuple[int, int]:
    """Rows and columns of the evenest grid with at most k cells in a square of side x side; (0, 0) for none."""
    rows = min(side, math.isqrt(k))
    return rows, min(side, k // rows) if rows else 0


def grid_indices(side: int, k: int) -> list[int]:
    """k of side x side cells: the middles of an even lattice, the rest evenly along the raster."""
    rows, columns = lattice(side, k)
    middles = (
        [math.floor((i + 0.5) * side / rows) for i in range(rows)],
        [math.floor((j + 0.5) * side / columns) for j in range(columns)],
    )
    chosen = dict.fromkeys(row * side + column for row in middles[0] for column in middles[1])
    evenly = (math.floor((j + 0.5) * side * side / k) for j in range(k))
    for cell in (*evenly, *range(side * side)):
        if len(chosen) < k:
            chosen[cell] = None
    return sorted(chosen)


def cell_of_patch(side: int, k: int) -> Tensor:
    """Which cell of the lattice each patch of a square image is in, (side x side,); cells do not overlap."""
    rows, columns = lattice(side, k)
    if not rows:
        return torch.zeros(side * side, dtype=torch.long)
    at = torch.arange(side)
    row, column = (((at + 1) * cells - 1) // side for cells in (rows, columns))
    return (row.unsqueeze(1) * columns + column).flatten()


def _middles(members: Tensor) -> Tensor:
    """For every cell (cells, patches) its middle patch, or the one before: cells are rectangles, and patches in raster order."""
    side = math.isqrt(members.shape[1])
    squares = members.reshape(len(members), side, side)
    row, column = (squares.amax(dim=axis) for axis in (2, 1))
    first, size = (torch.stack([f(line, dim=1) for line in (row, column)]) for f in (torch.argmax, torch.sum))
    middle = first + torch.div(size.long() - 1, 2, rounding_mode="floor")
    return middle[0] * side + middle[1]
