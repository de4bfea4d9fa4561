"""How many image tokens a query has in every layer, from which its cost is computed.  Needs no torch."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from functools import cached_property

from vla_bench.interface.config import VLAConfig
from vla_bench.interface.layout import Layout, Span
from vla_bench.interface.sites import Place, Site
from vla_bench.trace import Cut


@dataclass(frozen=True)
class Lengths:
    """How many tokens a query has in each part of the model.

    prompt: tokens of the instruction, without BOS, with the space piece that ends it.
    visual: image tokens that enter each decoder layer.
    projected: image tokens that go through the projector.
    keys: image tokens that each layer's queries see, where that is more than are computed; None: those computed.
    """

    prompt: int
    visual: tuple[int, ...]
    projected: int
    keys: tuple[int, ...] | None = None

    @classmethod
    def even(cls, config: VLAConfig, prompt: int, visual: int) -> Lengths:
        """The same image tokens in every layer, all of them projected first: pruning at the LLM's input, or none."""
        return cls(prompt, (visual,) * config.llm.layers, config.visual_tokens)

    @classmethod
    def after(cls, config: VLAConfig, prompt: int, cuts: Iterable[Cut]) -> Lengths:
        """The lengths of a query with these cuts."""
        projected, visual = config.visual_tokens, [config.visual_tokens] * config.llm.layers
        reused = False
        for cut in cuts:
            site = Site.parse(cut.site)
            if site.place is Place.VISION:
                projected = cut.after
            visual[site.layer :] = [cut.after] * (len(visual) - site.layer)
            reused = reused or cut.reused
        keys = (config.visual_tokens,) * len(visual) if reused else None  # those not computed come from the KV cache
        return cls(prompt, tuple(visual), projected, keys)

    @property
    def layer_mean(self) -> float:
        """Image tokens computed, mean over the decoder's layers."""
        return sum(self.visual) / len(self.visual)


@dataclass(frozen=True)
class Case:
    """One query whose cost is counted.

    prompt: tokens of the instruction.  cuts: where image tokens left, as its trace says.
    decoded: token by token, without action slots and stop token.
    """

    config: VLAConfig
    prompt: int
    cuts: tuple[Cut, ...] = ()
    decoded: bool = False

    @cached_property
    def lengths(self) -> Lengths:
        return Lengths.after(self.config, self.prompt, self.cuts)

    @cached_property
    def layout(self) -> Layout:
        slots = 0 if self.decoded else self.config.slots
        return Layout(self.config.cameras, self.config.patches, 1 if self.config.proprio_dim else 0, (self.prompt,), slots)

    @property
    def others(self) -> int:
        """Tokens other than image tokens."""
        return self.layout.before + self.layout.tails[0]

    def cut(self, site: Site) -> Cut | None:
        """The cut at a site; None where the pruner chose nothing there."""
        return next((cut for cut in self.cuts if cut.site == str(site)), None)

    def seen(self, layer: int) -> int:
        """Keys that a query of decoder layer `layer` sees."""
        lengths = self.lengths
        return self.others + (lengths.visual if lengths.keys is None else lengths.keys)[layer]

    def rows(self, span: Span, layer: int) -> int:
        """Tokens of a span that are computed in decoder layer `layer`."""
        return len(self.layout.columns(span, self.lengths.visual[layer])[0])
