"""`baselines_oft_spans.npz`: FastV and VLA-Pruner in OpenVLA-OFT's sequence, from given attention.

Its expected values come from a transcription of the release, not from running it.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass

import torch
from torch import Tensor

from vla_bench.interface.layout import Layout, Span
from vla_bench.interface.needs import Rows
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import AttentionRows, Patches, Query, View
from vla_bench.pruners.fastv import FastV
from vla_bench.pruners.vla_pruner import VLAPruner
from vla_bench.records import EpisodeKey
from vla_bench.verify.compare import EXACT, Computed
from vla_bench.verify.fixture import Fixture, FixtureError

EPISODE = EpisodeKey("fixture", 0, 0)


def computed(given: Fixture) -> Iterator[Computed]:
    """Inputs: case*/{attn_headmean, embeds, layout, ratio, mode} and, for some, history."""
    for case in (name.removesuffix("mode") for name in given.names() if name.endswith("/mode")):
        mode, _ = given[case + "mode"].tolist()
        yield Computed(case + "keep_indices", _kept(given, case), EXACT, family=f"case*/keep_indices, {mode}, transcription")


@dataclass(frozen=True)
class SpanCase:
    """The inputs of one case."""

    attention: Tensor  # (N, N) mean over heads
    embeds: Tensor  # (N, C)
    layout: Layout

    def kept(self, pruner: Pruner, history: Tensor | None = None) -> Tensor:
        """Mask (V,) of tokens that `pruner` keeps.  history (V,): replaces the attention of the action slots to image tokens."""
        visual, first = self.layout.visual, self.layout.before
        attention = self.attention
        if history is not None:
            slots = self.layout.columns(Span.SLOTS, visual)[0]
            attention = attention.clone()
            attention[slots.start : slots.stop, first : first + visual] = history
        rows = {request: self._rows(attention, request) for request in pruner.rows}
        patches = Patches(self.embeds[None, first : first + visual], torch.arange(visual)[None])
        for site in (site for site in pruner.sites if site == LLM_INPUT):
            pruner.select(View(site, patches, self.layout, (Query(EPISODE),)))
        choice = pruner.select(View(pruner.sites[-1], patches, self.layout, (Query(EPISODE),), rows=rows))
        return torch.ones(visual, dtype=torch.bool) if choice is None else choice.keep[0]

    def _rows(self, attention: Tensor, request: Rows) -> AttentionRows:
        visual, first = self.layout.visual, self.layout.before
        span = self.layout.columns(request.span, visual)[0]
        return AttentionRows(attention[None, None, span.start : span.stop], None, range(first, first + visual))


def _kept(given: Fixture, case: str) -> Tensor:
    """Positions of all tokens that stay in the sequence."""
    start, visual, patches, proprio, text, slots = given[case + "layout"].tolist()
    layout = Layout(visual // patches, patches, proprio, (text,), slots, before=start)
    one = SpanCase(torch.as_tensor(given[case + "attn_headmean"]), torch.as_tensor(given[case + "embeds"]), layout)
    mode, rater = given[case + "mode"].tolist()
    keep = 1 - float(given[case + "ratio"])
    if mode == "fastv":
        stays = one.kept(FastV(keep=keep, rater=rater))
    elif mode == "vla_pruner":
        has_history = case + "history" in given
        pruner = VLAPruner(keep=keep, rater=rater, use_temporal=has_history, window=1)
        if has_history:
            one.kept(pruner, torch.as_tensor(given[case + "history"]))  # an earlier query with this attention
        stays = one.kept(pruner)
    else:
        raise FixtureError(f"{case}mode is {mode}, not fastv or vla_pruner", case + "mode")
    rest = len(one.attention) - start - visual
    return torch.cat([torch.ones(start), stays, torch.ones(rest)]).nonzero().flatten()
