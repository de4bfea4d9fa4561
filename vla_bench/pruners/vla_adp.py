"""VLA-ADP: image tokens are pruned while the arm moves fast, and all stay while it moves slowly.

Deviations of the published code, reproduced by the profile "release": the share of a camera above its patches is lost, the
distance of a window is that between its ends, and positions are counted anew.  Its order of the tokens of a single image,
by score, scrambles the sequence and is not reproduced.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.lengths import Case
from vla_bench.interface.needs import Need
from vla_bench.interface.pruner import cuts_at
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import Query, View
from vla_bench.pruners.budget import check, top_k
from vla_bench.pruners.memory import PerEpisode
from vla_bench.pruners.scored import Ranked
from vla_bench.pruners.shares import count
from vla_bench.pruners.vla_adp_gate import MotionGate
from vla_bench.records import EpisodeKey
from vla_bench.trace import Cut


def importance(query: Tensor, key: Tensor, real: Tensor) -> Tensor:
    """Mean over heads and text of q . k / sqrt(d), without softmax, in float32.

    query (B, heads, T, d) of the text, key (B, heads, V, d) of the image tokens, real (B, T) False on padding -> (B, V).
    """
    weight = real.float() / real.sum(dim=1, keepdim=True)
    mean = (query.float() * weight[:, None, :, None]).sum(dim=2, keepdim=True)  # the mean of products is the product of the mean
    return (mean @ key.float().mT).squeeze(2).mean(dim=1) / math.sqrt(key.shape[-1])


def shares(k: int, split: tuple[float, ...]) -> list[int]:
    """k tokens shared in the proportion of `split`, at least one each; rounding is made good from the heaviest on."""
    counts = [max(1, round(k * weight / sum(split))) for weight in split]
    heaviest = sorted(range(len(split)), key=lambda i: -split[i])
    missing = max(k, len(split)) - sum(counts)
    while missing:
        for i in heaviest:
            if missing and (missing > 0 or counts[i] > 1):
                step = 1 if missing > 0 else -1
                counts[i], missing = counts[i] + step, missing - step
    return counts


def clip(counts: list[int], patches: int, overflow: str) -> list[int]:
    """No camera keeps more than its `patches`; what is above that is lost, or goes to the others in order."""
    clipped = [min(share, patches) for share in counts]
    excess = sum(counts) - sum(clipped) if overflow == "move" else 0
    for i, share in enumerate(clipped):
        more = min(excess, patches - share)
        clipped[i], excess = share + more, excess - more
    return clipped


def keep_best(scores: Tensor, camera: Tensor, kept: list[int]) -> Tensor:
    """Mask (B, V) of the `kept[c]` best of camera c; `camera` (B, V): each token's camera, -1 for padding."""
    chosen = torch.zeros_like(camera, dtype=torch.bool)
    for number, share in enumerate(kept):
        here = camera == number
        chosen |= top_k(scores.masked_fill(~here, -torch.inf), share) & here
    return chosen


class VLAADP(Ranked):
    """Before the LLM, keep the tokens that match the text best by queries and keys of layer 0, unless the arm moves slowly.

    keep: share or number of the image tokens, at least one.
    split: the cameras' parts of them, such as 0.4/0.6; empty for equal ones.
    overflow: what happens to a part that is larger than the camera's image: moved to the others, or lost.
    gate: how slow is separated from fast; "off" prunes every query.
    between, fuse, distance: see `MotionGate`.
    positions: "renumber" counts them over what is left, as the release does.
    """

    name = "vla-adp"
    source = "ICLR 2026, arXiv 2509.22093; chen7086/VLA-ADP"
    sites = (LLM_INPUT,)
    needs = frozenset({Need.PATH})
    adaptive = True
    always = {"gate": "off"}
    profiles = {
        "release": {"keep": 0.75, "split": (0.4, 0.6), "overflow": "lose", "distance": "net", "positions": "renumber"},
        "paper": {"keep": 0.5, "distance": "sum"},
    }

    def __init__(
        self,
        keep: float = 0.5,
        *,
        split: tuple[float, ...] = (),
        overflow: Literal["move", "lose"] = "move",
        gate: Literal["adjacent", "avg", "off"] = "adjacent",
        between: Literal["prune", "last"] = "prune",
        fuse: int = 3,
        distance: Literal["sum", "net"] = "sum",
        positions: Literal["keep", "renumber"] = "keep",
    ):
        super().__init__()
        if any(not weight > 0 for weight in split) or fuse < 0:
            raise UsageError(
                f"{self.name}: split={split} and fuse={fuse} must not be negative, nor a part zero", "vla-bench pruners"
            )
        self.keep, self.split, self.overflow = keep, split, overflow
        self.renumber = positions == "renumber"
        self.gated = gate != "off"
        if not self.gated:
            self.needs, self.adaptive = frozenset(), False
        self._gates = PerEpisode(lambda: MotionGate(gate, between, fuse, distance))

    def attach(self, config: VLAConfig) -> None:
        if self.split and len(self.split) != config.cameras:
            given = "/".join(map(str, self.split))
            raise UsageError(
                f"{self.label}: split={given} has {len(self.split)} parts, and the model {config.cameras} cameras",
                "vla-bench eval --pruner vla-adp",
            )

    def reset(self, episode: EpisodeKey) -> None:
        self._gates.reset(episode)

    def select(self, view: View) -> Selection | None:
        pruned = [self._moves_fast(query) for query in view.queries]
        layout, patches = view.layout, view.patches
        k = max(1, count(self.keep, layout.visual))
        if k >= layout.visual or not any(pruned):
            return None
        camera = torch.div(patches.ids, layout.patches, rounding_mode="floor")
        if patches.valid is not None:
            camera = camera.masked_fill(~patches.valid, -1)
        kept = clip(shares(k, self.split or (1.0,) * layout.cameras), layout.patches, self.overflow)
        keep = keep_best(self.ranked(check(self._scores(view), self.label, view)), camera, kept)
        return Selection(keep if all(pruned) else keep | ~torch.tensor(pruned, device=keep.device).unsqueeze(1))

    def _scores(self, view: View) -> Tensor:
        prompt, real = view.prompt()
        text = torch.cat([view.bos, prompt], dim=1)
        real = torch.cat([torch.ones_like(real[:, : view.bos.shape[1]]), real], dim=1)
        query, key = view.first_layer(torch.cat([text, view.patches.hidden], dim=1))
        return importance(query[:, :, : text.shape[1]], key[:, :, text.shape[1] :], real)

    def _moves_fast(self, query: Query) -> bool:
        """Whether this query is pruned; remembers the window that it ends."""
        if not self.gated:
            return True
        if query.path is None and query.episode is not None:
            raise ModelError(f"{self.label}: the query has no path of the gripper", "--pruner 'vla-adp(gate=off)'")
        return self._gates[query.episode].follow(query.path)

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...]:
        """Of a query that is pruned."""
        if kept:
            return cuts_at(self, config, kept)
        k = max(1, count(self.keep, config.visual_tokens))
        if k >= config.visual_tokens:
            return ()
        return cuts_at(self, config, [sum(clip(shares(k, self.split or (1.0,) * config.cameras), config.patches, self.overflow))])

    def macs(self, case: Case) -> int:
        """Queries and keys of layer 0 for text and image tokens; the mean query against all keys is the mean of the scores."""
        if case.cut(LLM_INPUT) is None:
            return 0
        text, visual, width = 1 + case.prompt, case.config.visual_tokens, case.config.llm.width
        return (text + visual) * 2 * width**2 + visual * width
