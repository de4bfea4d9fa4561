"""VLA-Cache: patches that stand still are not computed again; others see them through the last query's keys and values.

An approximation, most of all with full attention, where a token's keys and values depend on every other token.  The
vision backbone still sees the whole image.  What the release does otherwise is behind the profile "release":
* it sorts what may be reused by position, and in OpenVLA-OFT compares an image with itself (`against`);
* its text rows include the proprio token (`with_proprio`), in a window of fixed length, here always the prompt's own;
* an empty set ends its episode; here the query is dense.
The paper evicts patches above an attention of 0.5 where all code takes the first `task`; the profile "paper" does as well.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal

import numpy as np
import torch
from torch import Tensor

from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.layout import Span
from vla_bench.interface.needs import Need, Rows
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import before_layer
from vla_bench.interface.view import AttentionRows, Query, View
from vla_bench.pruners import vla_cache_rules as rules
from vla_bench.pruners.budget import check
from vla_bench.pruners.memory import PerEpisode
from vla_bench.records import EpisodeKey

LAYERS, LAYER = (2, 6, 9, 11), 15


def _nothing() -> np.ndarray:
    return np.zeros(0, dtype=np.int64)


@dataclass
class CacheState:
    """What is kept from one query of an episode for the next, and the progress of the present one.

    images: (cameras, S, S, 3) uint8.
    attention: (1, V) that each image token received from the prompt.
    entropies: (1, layers); None where no schedule needs them.  Both stay on their device until they are read.
    queue, shares, left: image tokens in the order in which they leave, share of them at every layer, how many have left.
    """

    queries: int = 0
    images: np.ndarray | None = None
    attention: Tensor | None = None
    entropies: Tensor | None = None
    queue: np.ndarray = field(default_factory=_nothing)
    shares: Sequence[float] = ()
    left: int = 0


class VLACache(Pruner):
    """Image tokens leave before each of `layers`, those of patches that stand still and that the prompt does not attend to.

    static, task: most patches of a camera that count as still, and how many with the most attention are computed anyway;
        of 256, and in proportion for another number.
    threshold: cosine between a patch's pixels and those of the last query above which it stands still.
    layer: whose attention counts.
    layers: before which tokens leave.  The defaults are scaled to decoders that are less deep.
    schedule: "entropy" lets fewer leave where attention is flat, from all attention of every layer, which takes
        layers * heads * N * N * 4 bytes for the time of a query (1.5 GB at 7B); "constant" takes `share` of them.
    order: "sim" lets the most similar leave first, the cameras in turn.
    refresh_every: every so many queries are dense, from the episode's first on; 0 for the first alone.
    with_proprio: the proprio token's attention counts with the prompt's.
    against: "itself" compares every image with itself, so that what stands still is chance.
    """

    name = "vla-cache"
    source = "NeurIPS 2025, arXiv 2502.02175; siyuhsu/vla-cache"
    adaptive = True
    needs = frozenset({Need.PAST, Need.IMAGES})
    profiles = {"release": {"order": "raster", "with_proprio": True, "against": "itself"}, "paper": {"static": 100}}

    def __init__(
        self,
        static: int = 150,
        task: int = 100,
        *,
        threshold: float = 0.996,
        layer: int = LAYER,
        layers: tuple[int, ...] = LAYERS,
        schedule: Literal["entropy", "constant"] = "entropy",
        share: float = 1.0,
        order: Literal["sim", "raster"] = "sim",
        refresh_every: int = 0,
        with_proprio: bool = False,
        against: Literal["previous", "itself"] = "previous",
    ):
        super().__init__()
        if min(static, task, refresh_every, layer) < 0 or max(static, task) > rules.GRID or not 0 < share <= 1:
            raise UsageError(
                f"vla-cache: static={static}, task={task}, layer={layer}, refresh_every={refresh_every} must not be negative, "
                f"static and task not above {rules.GRID}, and share={share:g} must lie above 0 and up to 1",
                "vla-bench pruners",
            )
        if not layers or min(layers) < 0 or list(layers) != sorted(set(layers)):
            raise UsageError(f"vla-cache: layers={'/'.join(map(str, layers))} must ascend", "vla-bench pruners")
        self.static, self.task, self.threshold = static, task, threshold
        self.layer, self.layers, self.schedule, self.share = layer, layers, schedule, share
        self.order, self.refresh_every, self.with_proprio, self.against = order, refresh_every, with_proprio, against
        self.sites = tuple(map(before_layer, layers))
        self.states = PerEpisode(CacheState)

    def attach(self, config: VLAConfig) -> None:
        depth = config.llm.layers
        layers = rules.scaled_layers(LAYERS, depth) if self.layers == LAYERS else self.layers
        (layer,) = rules.scaled_layers((LAYER,), depth) if self.layer == LAYER else (self.layer,)
        if max(*layers, layer) >= depth:
            raise UsageError(
                f"{self.label}: layers={'/'.join(map(str, layers))} and layer={layer} in a decoder of {depth} layers",
                'vla-bench eval --pruner "vla-cache(layers=1/2, layer=1)"',
            )
        self.sites = tuple(map(before_layer, layers))
        spans = [Span.PROPRIO] * bool(self.with_proprio and config.proprio_dim) + [Span.PROMPT]
        self._query_rows = [Rows(layer, span) for span in spans]
        self._all = [Rows(each, Span.ALL) for each in range(depth)] if self.schedule == "entropy" else []
        self.rows = (*self._query_rows, *self._all)

    def reset(self, episode: EpisodeKey) -> None:
        self.states.reset(episode)

    def select(self, view: View) -> Selection | None:
        state = self.states[view.queries[0].episode]
        if view.site == self.sites[0]:
            self._plan(view, state)
        leaving = rules.quota(state.shares[view.site.layer], len(state.queue)) if len(state.queue) else 0
        if leaving <= state.left:  # what has left does not come back
            return None
        state.left = leaving
        stays = torch.ones(view.layout.visual, dtype=torch.bool)
        stays[torch.from_numpy(state.queue[:leaving])] = False
        return Selection(stays.to(view.patches.ids.device)[view.patches.ids], reuse=True)

    def after_pass(self, queries: Sequence[Query], rows: Mapping[Rows, AttentionRows]) -> None:
        state = self.states[queries[0].episode]
        state.queries += 1
        state.images = queries[0].images
        query_tokens = [rows[request] for request in self._query_rows]
        weights = torch.cat([each.weights for each in query_tokens], dim=2)
        state.attention = AttentionRows(weights, None, query_tokens[0].image_columns).images()
        state.entropies = torch.stack([rules.entropy(rows[r].weights[0]) for r in self._all])[None] if self._all else None

    def reusable(self, view: View, state: CacheState) -> list[np.ndarray]:
        """Per camera, the patches that need not be computed, the most similar first."""
        images, patches = view.queries[0].images, view.layout.patches
        if images is None or state.images is None:
            raise ModelError(f"{self.label} compares camera images, and the query at step {view.queries[0].step} has none")
        before = images if self.against == "itself" else state.images
        scores = check(state.attention, self.label, view)[0].cpu().numpy().reshape(view.layout.cameras, patches)
        still = [
            rules.static(rules.similarity(*pair, patches), rules.scaled(self.static, patches), self.threshold)
            for pair in zip(images, before, strict=True)
        ]
        evicted = rules.scaled(self.task, patches)
        return [rules.without_task(each, score, evicted) for each, score in zip(still, scores, strict=True)]

    def _plan(self, view: View, state: CacheState) -> None:
        """Plan the present query: what leaves, in which order, and how much of it before each layer."""
        state.queue, state.left = _nothing(), 0
        if not view.has_cache or state.attention is None or (self.refresh_every and state.queries % self.refresh_every == 0):
            return
        state.queue = rules.queue(self.reusable(view, state), view.layout.patches, self.order)
        if state.entropies is None:
            state.shares = [self.share] * (1 + self.sites[-1].layer)
        else:
            state.shares = rules.shares(check(state.entropies, self.label, view)[0].tolist())
