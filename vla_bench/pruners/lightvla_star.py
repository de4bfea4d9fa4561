"""LightVLA*: learnable queries select the image tokens, at the vision encoder or inside the LLM.

No code was published; where the paper leaves a choice, it is made so here:
* LN is an RMSNorm with a weight, one for the queries and one for the image tokens;
* the attention of Eq. 10 is what the instruction pays to each image token in the layer before, after the softmax, mean over
  heads and rows (`attention="pre"` takes logits, `rescale` multiplies with the number of image tokens);
* "after layer l" counts decoder layers from 1, so image tokens leave before layer l counted from 0;
* both cameras form one pool, and in training a token may be selected more than once.
"""

from __future__ import annotations

import math
from typing import Literal

import torch
from torch import Tensor, nn

from vla_bench.errors import UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.layout import Span
from vla_bench.interface.lengths import Case
from vla_bench.interface.needs import Rows
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Resampling, Selection
from vla_bench.interface.sites import VISION, before_layer
from vla_bench.interface.view import View
from vla_bench.pruners.budget import check
from vla_bench.pruners.gumbel import add_noise, straight_through
from vla_bench.pruners.lightvla import EPS

QUERY_STD = 0.02
QUERY_SHARE = 4  # one query for so many image tokens: 128 for the paper's 512


class LightVLAStar(Pruner):
    """What the variants share: learnable queries (N_q, D), two norms, and selection as LightVLA's.

    queries: how many; 0 is a quarter of the image tokens.  At most so many are kept.
    noise_scale: see `Pruner`.
    """

    adaptive = True
    resamples = True
    source = "LightVLA, Eq. 9 and 10, arXiv 2509.12594"

    def __init__(self, queries: int = 0, noise_scale: float | None = None):
        super().__init__()
        if queries < 0:
            raise UsageError(f"{self.name}: queries={queries} must not be negative", "vla-bench pruners")
        self.count = queries
        self.noise_scale = noise_scale
        self.queries: nn.Parameter | None = None

    def width(self, config: VLAConfig) -> int:
        """D of the image tokens where it acts."""
        raise NotImplementedError

    def bonus(self, view: View) -> Tensor | None:
        """What is added to every query's scores of the image tokens, (B, V) before the division by sqrt(D)."""
        return None

    def attach(self, config: VLAConfig) -> None:
        if self.queries is not None:
            return
        width, count = self.width(config), self.count or config.visual_tokens // QUERY_SHARE
        generator = torch.Generator().manual_seed(0)
        self.queries = nn.Parameter(QUERY_STD * torch.randn(count, width, generator=generator))
        self.query_norm, self.token_norm = nn.RMSNorm(width, eps=EPS), nn.RMSNorm(width, eps=EPS)

    def scores(self, view: View) -> Tensor:
        """S (B, N_q, V)."""
        tokens = self.token_norm(view.patches.hidden)
        scores = self.query_norm(self.queries) @ tokens.mT
        bonus = self.bonus(view)
        if bonus is not None:
            scores = scores + bonus.unsqueeze(1).to(scores.dtype)
        scores = scores / math.sqrt(tokens.shape[-1])
        return scores if view.patches.valid is None else scores.masked_fill(~view.patches.valid.unsqueeze(1), -math.inf)

    def select(self, view: View) -> Selection | Resampling:
        scores = self.scores(view)
        if self.training and not self.once:
            if self.noise_scale is not None:
                scores = add_noise(scores, self.draw(scores), self.noise_scale)
            indicator, selected = straight_through(scores)
            return Resampling(indicator.to(view.patches.hidden.dtype) @ view.patches.hidden, selected)
        check(scores.amax(dim=1), self.label, view)
        keep = torch.zeros_like(view.patches.ids, dtype=torch.bool)
        return Selection(keep.scatter_(1, scores.argmax(dim=-1), True))

    def macs(self, case: Case) -> int:
        """Learnable queries against the image tokens."""
        return len(self.queries) * case.config.visual_tokens * self.width(case.config)


class LightVLAStarVision(LightVLAStar):
    """Eq. 9: on the features of both ViTs, before the projector, which then runs on the kept tokens alone."""

    name = "lightvla-star-vision"
    sites = (VISION,)

    def width(self, config: VLAConfig) -> int:
        return config.vision_width


class LightVLAStarLLM(LightVLAStar):
    """Eq. 10: on the hidden states behind decoder layer `layer`, with that layer's attention times a learned zeta added.

    attention: "post" the softmax, "pre" takes its logarithm, which differs from the logits by what is the same for all tokens.
    rescale: multiply the attention with the number of image tokens, without which it has little weight.
    """

    layer: int

    def __init__(
        self,
        queries: int = 0,
        attention: Literal["post", "pre"] = "post",
        rescale: bool = False,
        noise_scale: float | None = None,
    ):
        super().__init__(queries, noise_scale)
        self.attention, self.rescale = attention, rescale
        self.sites = (before_layer(self.layer),)
        self.rows = (Rows(self.layer - 1, Span.PROMPT),)
        self.zeta = nn.Parameter(torch.ones(()))

    def width(self, config: VLAConfig) -> int:
        return config.llm.width

    def bonus(self, view: View) -> Tensor:
        rows = view.rows[self.rows[0]]
        weights = rows.weights if self.attention == "post" else rows.weights.clamp(min=1e-30).log()
        images = rows.average(weights.mean(dim=1))[:, rows.image_columns.start : rows.image_columns.stop]
        return self.zeta * images * (images.shape[1] if self.rescale else 1)


class LightVLAStarLLM1(LightVLAStarLLM):
    name = "lightvla-star-llm1"
    layer = 1


class LightVLAStarLLM2(LightVLAStarLLM):
    name = "lightvla-star-llm2"
    layer = 2


class LightVLAStarLLM3(LightVLAStarLLM):
    name = "lightvla-star-llm3"
    layer = 3
