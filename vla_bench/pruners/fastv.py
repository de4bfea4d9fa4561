"""FastV: image tokens to which few others pay attention leave after the first layers."""

from __future__ import annotations

from typing import Literal

from vla_bench.errors import ModelError
from vla_bench.model.config import VLAConfig
from vla_bench.model.layout import Span
from vla_bench.pruners.base import Pruner, Rows, Selection, View, before_layer
from vla_bench.pruners.budget import best, check, count

RATERS = {"text": Span.PROMPT, "prefill": Span.PREFILL, "action": Span.SLOTS, "last": Span.LAST}


class FastV(Pruner):
    """Before layer `layer`, keep the image tokens with the most attention in the layer above, mean over heads and raters.

    keep: share or number of the image tokens.
    rater: whose attention counts.  The release takes the last token; in OpenVLA-OFT that is the stop token behind 56 empty
        slots, so the instruction is taken here.
    quota: "per_image" keeps as many of every camera.
    """

    name = "fastv"
    source = "ECCV 2024, arXiv 2403.06764; pkunlp-icler/FastV"
    profiles = {
        "release": {"rater": "last", "quota": "global", "keep": 0.5},
        "paper": {"rater": "last", "quota": "global", "keep": 0.5},
    }

    def __init__(
        self,
        layer: int = 2,
        keep: float = 0.25,
        rater: Literal["text", "prefill", "action", "last"] = "text",
        quota: Literal["per_image", "global"] = "per_image",
    ):
        super().__init__()
        self.keep, self.quota = keep, quota
        self.sites = (before_layer(layer),)
        self.rows = (Rows(layer - 1, RATERS[rater]),)

    def fit(self, config: VLAConfig) -> None:
        if self.rows[0].layer < 0:
            raise ModelError(f"{self.label}: there is no attention before layer 0", "vla-bench eval --pruner 'fastv(layer=2)'")

    def select(self, view: View) -> Selection | None:
        if count(self.keep, view.layout.visual) >= view.layout.visual:
            return None
        scores = check(view.rows[self.rows[0]].images(), self.label, view)
        return Selection(best(scores, view, self.keep, self.quota == "per_image"))
