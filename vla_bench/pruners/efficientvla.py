"""EfficientVLA's choice of image tokens: those the text relates to, and some that are unlike them.

Only this part of the paper is here.  Its removal of decoder layers and neurons is no pruning of tokens, and its cache of a
diffusion head has no counterpart in a model with one forward pass a query.  No code was published.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Literal

import torch
import torch.nn.functional as F
from torch import Tensor

from vla_bench.errors import UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.layout import Span
from vla_bench.interface.lengths import Case
from vla_bench.interface.needs import Rows
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import before_layer
from vla_bench.interface.view import View
from vla_bench.pruners.budget import check, count_per_camera, expected_cuts, keeps_all, top_k
from vla_bench.pruners.shares import count, split
from vla_bench.trace import Cut


def choose(relevance: Tensor, hidden: Tensor, k: int, key: int, alpha: float) -> Tensor:
    """k tokens of each set as a mask (B, V): the `key` > 0 most relevant; a share `alpha` of the others again by relevance; and
    where that leaves room, those least like any of the key tokens.  Ties go to the smaller index.

    relevance: (B, V), of which only the order matters: the paper's scaling to [0, 1] changes nothing and is left out.
    hidden: (B, V, D).  One shot: the last part compares with the key tokens alone, not with those added since.
    """
    k = min(k, hidden.shape[1])
    key = min(key, k)
    task = math.floor(alpha * (k - key))
    order = torch.sort(relevance.float(), dim=-1, descending=True, stable=True).indices
    related = torch.zeros_like(relevance, dtype=torch.bool).scatter_(1, order[:, : key + task], True)
    if key + task == k:
        return related
    unit = F.normalize(hidden.float(), dim=-1)
    keys = unit.gather(1, order[:, :key, None].expand(-1, -1, unit.shape[-1]))
    unlike = 1 - (unit @ keys.mT).amax(dim=-1)
    return related | top_k(unlike.masked_fill(related, -torch.inf), k - key - task)


class EfficientVLATokens(Pruner):
    """Before layer `layer`, keep key tokens, task tokens and diverse tokens (`choose`), by the attention in the layer above.

    keep: share or number of the image tokens; the paper has 112 or 56 of 256.
    key: how many key tokens; the paper suggests 4 to 8.
    alpha: the task tokens' share of what the key tokens leave.
    direction: "t2v" sums the attention that the instruction pays to an image token.  "v2t", as the paper's formula is printed,
        sums what the image token pays to the instruction, which stands behind it: a causal model has none.
    quota: "per_image" does all this for every camera by itself.
    """

    name = "efficientvla-tokens"
    source = "NeurIPS 2025, arXiv 2506.10100; no code"
    profiles = {
        "paper": {"quota": "global", "direction": "v2t"},
    }

    def __init__(
        self,
        layer: int = 2,
        keep: float = 0.4375,
        *,
        key: int = 4,
        alpha: float = 0.5,
        direction: Literal["t2v", "v2t"] = "t2v",
        quota: Literal["per_image", "global"] = "per_image",
    ):
        super().__init__()
        if key < 1 or not 0 <= alpha <= 1:
            raise UsageError(f"efficientvla-tokens: key={key} must be at least 1, alpha={alpha:g} in 0 to 1", "vla-bench pruners")
        self.keep, self.key, self.alpha = keep, key, alpha
        self.direction, self.quota = direction, quota
        self.sites = (before_layer(layer),)
        self.rows = (Rows(layer - 1, Span.PROMPT if direction == "t2v" else Span.IMAGES),)

    def attach(self, config: VLAConfig) -> None:
        if self.rows[0].layer < 0:
            raise UsageError(f"{self.label}: there is no attention before layer 0", "vla-bench pruners")
        if self.key > config.visual_tokens:
            raise UsageError(f"{self.label}: the model has {config.visual_tokens} image tokens", "vla-bench pruners")
        if keeps_all(self.keep, config):
            self.rows = ()

    def select(self, view: View) -> Selection | None:
        layout, patches = view.layout, view.patches
        if count(self.keep, layout.visual) >= layout.visual:
            return None
        check(patches.hidden.float().norm(dim=-1), self.label, view)
        relevance = check(self.relevance(view), self.label, view)
        if self.quota == "global":
            return Selection(choose(relevance, patches.hidden, count(self.keep, layout.visual), self.key, self.alpha))
        # Nothing has left before: the tokens of a camera stand together, all of them.
        cameras = zip(
            relevance.split(layout.patches, dim=1),
            patches.hidden.split(layout.patches, dim=1),
            count_per_camera(self.keep, layout),
            strict=True,
        )
        return Selection(torch.cat([choose(*camera, self.key, self.alpha) for camera in cameras], dim=1))

    def relevance(self, view: View) -> Tensor:
        """Attention between each image token and the instruction, (B, V)."""
        rows = view.rows[self.rows[0]]
        if self.direction == "t2v":
            return rows.images()
        text = torch.zeros(rows.weights.shape[0], rows.weights.shape[-1], device=rows.weights.device)
        for sample, span in enumerate(view.layout.columns(Span.PROMPT, view.patches.ids.shape[1])):
            text[sample, span.start : span.stop] = 1
        return (rows.weights.mean(dim=1) @ text.unsqueeze(-1)).squeeze(-1)

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...]:
        return expected_cuts(self, config, self.keep, self.quota == "per_image", kept)

    def macs(self, case: Case) -> int:
        """Where diverse tokens are wanted, every image token against the key tokens of its set; "v2t" sums by a product, too."""
        config = case.config
        if case.cut(self.sites[0]) is None:
            return 0
        total = 0 if self.direction == "t2v" else config.visual_tokens * case.seen(self.rows[0].layer)
        pools = 1 if self.quota == "global" else config.cameras
        for share in split(count(self.keep, config.visual_tokens), pools):
            key = min(self.key, share)
            diverse = share - key - math.floor(self.alpha * (share - key))
            total += config.visual_tokens // pools * key * config.llm.width if diverse else 0
        return total
