"""FastV: image tokens that receive little attention leave after the first layers."""

from __future__ import annotations

from typing import Literal

from torch import Tensor

from vla_bench.errors import UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.layout import Span
from vla_bench.interface.needs import Rows
from vla_bench.interface.sites import before_layer
from vla_bench.interface.view import View
from vla_bench.pruners.budget import keeps_all
from vla_bench.pruners.scored import Order, Quota, Scored

QUERY_TOKENS = {"text": Span.PROMPT, "prefill": Span.PREFILL, "action": Span.SLOTS, "last": Span.LAST}


class FastV(Scored):
    """Before layer `layer`, keep the image tokens with the most attention in the layer above, mean over heads and query tokens.

    layer: the release's K, which may be written so: fastv(k=3).
    keep, quota, order: see `Scored`.
    rater: the query tokens, whose attention counts.  The release takes the last token; in OpenVLA-OFT that is the stop token
        behind 56 empty slots, so the instruction is taken here.
    """

    name = "fastv"
    source = "ECCV 2024, arXiv 2403.06764; pkunlp-icler/FastV"
    profiles = {name: {"rater": "last", "quota": "global", "keep": 0.5} for name in ("release", "paper")}

    def __init__(
        self,
        layer: int = 2,
        keep: float = 0.25,
        rater: Literal["text", "prefill", "action", "last"] = "text",
        quota: Quota = "per_image",
        order: Order = "desc",
    ):
        super().__init__(keep, quota, order)
        self.sites = (before_layer(layer),)
        self.rows = (Rows(layer - 1, QUERY_TOKENS[rater]),)

    def attach(self, config: VLAConfig) -> None:
        if self.rows[0].layer < 0:
            raise UsageError(f"{self.label}: there is no attention before layer 0", "vla-bench eval --pruner 'fastv(layer=2)'")
        if self.rows[0] == Rows(0, Span.SLOTS):
            # Their embeddings are zero, and so are their queries in layer 0: all image tokens would tie.
            fix = "vla-bench eval --pruner 'fastv(layer=2,rater=action)'"
            raise UsageError(f"{self.label}: the action slots attend to everything alike before layer 2", fix)
        if keeps_all(self.keep, config):
            self.rows = ()

    def score(self, view: View) -> Tensor:
        return view.rows[self.rows[0]].images()
