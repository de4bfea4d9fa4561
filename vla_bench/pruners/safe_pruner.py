"""SAFE-Pruner: what deep layers will attend to is forecast from an earlier query of the episode that was not pruned.

Written from the authors' code for OpenVLA-OFT.  Deviations:
* the code keeps a dense query's proprio token among its image tokens, and a patch that matched it would have no forecast;
  here image tokens are matched alone;
* its layer of last resort is 31, the decoder's last; here it is the last of any decoder.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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
from vla_bench.interface.sites import LLM_INPUT, Site, before_layer
from vla_bench.interface.view import AttentionRows, Query, View
from vla_bench.pruners.budget import best, check, expected_cuts, keeps_all
from vla_bench.pruners.divprune import pair_macs
from vla_bench.pruners.memory import PerEpisode
from vla_bench.records import EpisodeKey
from vla_bench.trace import Cut


@dataclass
class KeyQuery:
    """What is remembered of an episode's last dense query, the key query; None before the first.

    embeddings: (V, D) its image tokens before layer 0.
    attention: (2, V) that they received in the first layer, from the last token, and in the last, from the action slots.
    """

    embeddings: Tensor | None = None
    attention: Tensor | None = None


def forecast(now: Tensor, then: Tensor, attention: Tensor) -> Tensor:
    """Attention (layers, V) that the image tokens `now` (V, D) will receive: that of the most similar token `then` (V, D) by
    cosine, ties to the smaller index."""
    similar = F.normalize(now, dim=-1).float() @ F.normalize(then, dim=-1).float().T
    return attention[:, similar.argmax(dim=-1)]


class SAFEPruner(Pruner):
    """Before layer `layer`, keep the image tokens with the most attention from the action slots, there and forecast.

    The score is the attention in the layer above plus `weight` times the forecast: the mean of what the most similar image
    token of the key query received in the first and in the last layer.  A query is dense, and becomes the key query, where the
    episode has none yet, and where attention in layer 0 has changed: its cosine with the forecast is below `threshold`.

    keep: share or number of the image tokens.
    quota: "per_image" keeps as many of every camera; the release has one pool.
    forecast: False prunes every query by the attention in the layer above alone, and remembers nothing.

    The release keeps another share on each suite, its profiles; "release" is that of LIBERO-Object.
    """

    name = "safe-pruner"
    source = "ECCV 2026, arXiv 2605.29662; msssl/SAFE-Pruner"
    adaptive = True
    always = {"forecast": False}
    profiles = {
        "release": {"quota": "global"},
        "spatial": {"quota": "global", "keep": 0.2},
        "object": {"quota": "global"},
        "goal": {"quota": "global", "keep": 0.1},
        "long": {"quota": "global", "keep": 0.3},
    }

    def __init__(
        self,
        layer: int = 3,
        keep: float = 0.25,
        *,
        weight: float = 1.0,
        threshold: float = 0.92,
        forecast: bool = True,
        quota: Literal["per_image", "global"] = "per_image",
    ):
        super().__init__()
        if weight < 0 or not -1 <= threshold <= 1:
            raise UsageError(
                f"{self.name}: weight={weight:g} must not be negative, and threshold={threshold:g} is a cosine, -1 to 1",
                "vla-bench pruners",
            )
        self.keep, self.per_camera = keep, quota == "per_image"
        self.weight, self.threshold = weight, threshold
        self.adaptive = self.forecasts = forecast
        self.sites = (LLM_INPUT, before_layer(layer)) if forecast else (before_layer(layer),)
        self.acting = Rows(layer - 1, Span.SLOTS)
        self.rows = (self.acting,)
        self._keys = PerEpisode(KeyQuery)
        self._embeddings: Tensor | None = None  # of this forward pass's image tokens, before layer 0
        self._new_keys: list[bool] = []  # which of this pass's samples become key queries

    def attach(self, config: VLAConfig) -> None:
        if self.acting.layer < 1:
            # Their embeddings are zero, and so are their queries in layer 0.
            raise UsageError(
                f"{self.label}: the action slots attend to everything alike before layer 2", "vla-bench eval --pruner safe-pruner"
            )
        if keeps_all(self.keep, config):
            self.rows = ()
        elif self.forecasts:
            self._first, self._last = Rows(0, Span.LAST), Rows(config.llm.layers - 1, Span.SLOTS)
            self.rows = (self._first, self.acting, self._last)

    def reset(self, episode: EpisodeKey) -> None:
        self._keys.reset(episode)

    def select(self, view: View) -> Selection | None:
        if not self.rows:
            return None
        if view.site == LLM_INPUT:
            self._embeddings = view.patches.hidden.detach()
            return None
        scores = check(view.rows[self.acting].images(), self.label, view)
        if not self.forecasts:
            return Selection(best(scores, view, self.keep, self.per_camera))
        first = check(view.rows[self._first].images(), self.label, view)
        keys = [self._keys[query.episode] for query in view.queries]
        will = [
            None if key.embeddings is None else forecast(now, key.embeddings, key.attention)
            for key, now in zip(keys, self._embeddings, strict=True)
        ]
        self._new_keys = [each is None or self._changed(each[0], now) for each, now in zip(will, first, strict=True)]
        if all(each is None for each in will):
            return None
        added = torch.stack(
            [torch.zeros_like(now) if each is None else each.mean(dim=0) for each, now in zip(will, first, strict=True)]
        )
        keep = best(scores + self.weight * added, view, self.keep, self.per_camera)
        return Selection(keep | torch.tensor(self._new_keys, device=keep.device).unsqueeze(1))

    def _changed(self, expected: Tensor, now: Tensor) -> bool:
        return bool(F.cosine_similarity(expected, now, dim=0) < self.threshold)

    def after_pass(self, queries: Sequence[Query], rows: Mapping[Rows, AttentionRows]) -> None:
        if self._embeddings is None:
            return
        embeddings, self._embeddings = self._embeddings, None
        if any(self._new_keys):
            # Those samples kept all their image tokens, so that in both layers these stand in the order of their patches.
            attention = torch.stack([rows[self._first].images(), rows[self._last].images()], dim=1)
            for query, is_key, tokens, paid in zip(queries, self._new_keys, embeddings, attention, strict=True):
                if is_key:
                    key = self._keys[query.episode]
                    key.embeddings, key.attention = tokens.clone(), paid.clone()

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...]:
        """Of a query that is pruned."""
        return expected_cuts(self, config, self.keep, self.per_camera, kept)

    def macs(self, case: Case) -> int:
        """All pairs of image tokens of this query and the key query."""
        return pair_macs(case.config) if self.forecasts and case.cut(self.sites[-1]) is not None else 0

    @property
    def cutting_sites(self) -> Sequence[Site]:
        return self.sites[-1:]
