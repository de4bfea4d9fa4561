"""The pruning of one forward pass: what the pruner receives, and how its choice is carried out on the tokens."""

from __future__ import annotations

from collections.abc import Callable

from torch import Tensor

from vla_bench.errors import ModelError
from vla_bench.interface.layout import Layout
from vla_bench.interface.needs import Need
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT, VISION, Place, Site, before_layer
from vla_bench.interface.trace import Kept, PassTrace
from vla_bench.interface.view import Patches, Query, View
from vla_bench.model.attention import Probe
from vla_bench.model.past import KVCache, recall
from vla_bench.model.sequence import Tokens, thin
from vla_bench.model.stages import Stages
from vla_bench.records import EpisodeKey


class PruningPass:
    """Made anew for every forward pass.

    first_layer: hidden states -> queries and keys of decoder layer 0.
    caches: keys and values of every episode's last query; filled for a pruner that needs them.
    stages: the stopwatch; what the pruner takes between decoder layers counts as "prune", its attention rows too.
    """

    def __init__(
        self,
        pruner: Pruner | None,
        layout: Layout,
        queries: tuple[Query, ...],
        first_layer: Callable[[Tensor], tuple[Tensor, Tensor]],
        caches: dict[EpisodeKey, KVCache],
        stages: Stages,
    ):
        self.layout = layout
        self._kept: list[Kept] = []
        self._pruner = pruner
        self._stages = stages
        self._queries = queries or tuple(Query() for _ in layout.prompts)
        self._first_layer = first_layer
        self._sites = set(pruner.sites) if pruner else set()
        self._needs = pruner.needs if pruner else frozenset()
        self._siglip_attention: Tensor | None = None
        self.probe = Probe(tuple(pruner.rows), layout, stages) if pruner and pruner.rows else None
        self.before = self._before if any(site.place is Place.LAYER for site in self._sites) else None
        self.past, self._has_cache = self._cache(caches) if Need.PAST in self._needs else (None, False)

    @property
    def wants_attention(self) -> bool:
        """Whether the vision backbone must return SigLIP's attention."""
        return Need.VISION_ATTENTION in self._needs

    def at_vision(self, patches: Patches, siglip_attention: Tensor | None) -> Patches:
        self._siglip_attention = siglip_attention
        if VISION not in self._sites:
            return patches
        return self._prune(View(VISION, patches, self.layout, self._queries, siglip_attention=siglip_attention))

    def at_input(self, tokens: Tokens) -> Tokens:
        if self._pruner and self._pruner.renumber:
            tokens = tokens.renumbered()
        return self._thin(LLM_INPUT, tokens)

    @property
    def trace(self) -> PassTrace:
        """The cuts so far."""
        return PassTrace(self.layout, tuple(self._kept))

    def finish(self) -> None:
        """The decoder has run."""
        if self._pruner:
            self._stages.mark("decoder")
            self._pruner.after_pass(self._queries, self.probe.rows if self.probe else {})
            self._stages.mark("prune")

    def _before(self, layer: int, tokens: Tokens) -> Tokens:
        site = before_layer(layer)
        if site not in self._sites:
            return tokens
        self._stages.mark("decoder")
        tokens = self._thin(site, tokens)
        self._stages.mark("prune")
        return tokens

    def _thin(self, site: Site, tokens: Tokens) -> Tokens:
        if site not in self._sites:
            return tokens
        view = View(
            site,
            tokens.patches,
            self.layout,
            self._queries,
            task=tokens.task,
            task_valid=tokens.task_valid,
            bos=tokens.bos,
            rows=self.probe.rows if self.probe else {},
            siglip_attention=None if self._siglip_attention is None else self._siglip_attention.gather(1, tokens.ids),
            first_layer=self._first_layer,
            has_cache=self._has_cache,
        )
        patches = self._prune(view)
        if patches is view.patches:
            return tokens
        tokens = tokens.with_patches(patches)
        return tokens.renumbered() if self._pruner.renumber else tokens

    def _prune(self, view: View) -> Patches:
        choice = self._pruner.select(view)
        if isinstance(choice, Selection) and choice.reuse and not self._has_cache:
            raise ModelError(f"{self._pruner.name} reuses keys and values, and none are stored")
        patches = thin(view.patches, choice)
        if isinstance(choice, Selection):
            made = 0 if choice.merged is None else choice.merged.ids.shape[1]
            self._kept.append(Kept(view.site, patches, made, choice.reuse, choice.measures))
        elif choice is not None:
            self._kept.append(Kept(view.site, patches))
        return patches

    def _cache(self, caches: dict[EpisodeKey, KVCache]) -> tuple[KVCache, bool]:
        """The cache of the one query's episode, and whether it holds anything."""
        if len(self._queries) > 1:
            raise ModelError(f"{self._pruner.name} reuses keys and values one sample at a time, not in a batch")
        past = recall(caches, self._queries[0].episode, self.layout.before + self.layout.visual + self.layout.tails[0])
        return past, bool(past.layers)
