"""SparseVLM: image tokens leave in a few cuts, by the attention of the text tokens that the image relates to most.

Deviations from the releases, which the profiles "release" (v1.5) and "release-v2" undo: tokens keep their positions, as in v2
alone, and a cut that lets everything stay does nothing.  A merged token's position is ours to choose: that of its
highest-scoring member.
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from typing import Literal

import torch
from torch import Tensor

from vla_bench.errors import UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.layout import Span
from vla_bench.interface.lengths import Case
from vla_bench.interface.needs import Rows
from vla_bench.interface.pruner import Pruner, cuts_at
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT, Site, before_layer
from vla_bench.interface.view import AttentionRows, View
from vla_bench.pruners.budget import check, pools
from vla_bench.pruners.query_tokens import head_mean, paid_to_images, positional_term, query_token_scores, query_tokens, rank
from vla_bench.pruners.recycling import MergedTokens, recycle
from vla_bench.pruners.shares import count, split
from vla_bench.pruners.sparsevlm_releases import RELEASES, fitted, scaled, sizes
from vla_bench.trace import Cut

FIX = "vla-bench pruners"


class SparseVLM(Pruner):
    """After each cut's layer, keep the image tokens with the most attention in it, mean over heads and query tokens.

    variant: which release; see `RELEASES`.
    budget: v1.5 and v2: nominal number of tokens of 576, 192, 128, 96 or 64, scaled to the model's.
    counts: v1.5 and v2: how many stay after each cut, not scaled, in place of a budget.
    layers: the cuts, in place of the release's, which are scaled where the decoder is not deep enough.
    keep: 1stage: share or number of the image tokens.
    rank_scale, rank_bias: rank: how many stay, from the rank of the query tokens' attention.
    quota: "per_image" keeps as many of every camera; merged tokens count with the camera that they stand in.
    always_drop: at least one token leaves at every cut, as in the releases.
    noise, seed: decide between equally dense tokens when those that leave are merged.
    """

    name = "sparsevlm"
    source = "ICML 2025, arXiv 2410.04417; Gumpest/SparseVLMs"
    profiles = {
        "release": {"positions": "renumber", "always_drop": True},
        "release-v2": {"variant": "v2", "always_drop": True},
        "paper": {"variant": "rank", "positions": "renumber", "always_drop": True},
    }

    def __init__(
        self,
        variant: Literal["v1.5", "v2", "rank", "1stage"] = "v1.5",
        budget: int = 192,
        *,
        counts: tuple[int, ...] = (),
        layers: tuple[int, ...] = (),
        keep: float = 0.25,
        rank_scale: float = 13.5,
        rank_bias: float = 0.0,
        positions: Literal["keep", "renumber"] = "keep",
        quota: Literal["global", "per_image"] = "global",
        always_drop: bool = False,
        noise: float = 1e-6,
        seed: int = 0,
    ):
        super().__init__()
        release = RELEASES[variant]
        if release.budgets and budget not in release.budgets:
            raise UsageError(f"sparsevlm: budget={budget} is none of {', '.join(map(str, release.budgets))}", FIX)
        given = {
            "counts": counts and not release.budgets,
            "budget": budget != 192 and (counts or not release.budgets),
            "keep": keep != 0.25 and variant != "1stage",
            "rank_scale": rank_scale != 13.5 and variant != "rank",
            "rank_bias": rank_bias != 0.0 and variant != "rank",
            "noise": noise != 1e-6 and not release.recycles,
            "seed": seed != 0 and not release.recycles,
        }
        for name in (name for name, wrong in given.items() if wrong):
            raise UsageError(f"sparsevlm: variant={variant}{', counts' * bool(counts)} has no use for {name}", FIX)
        cuts = layers or release.cuts
        table = counts or release.budgets.get(budget, ())
        if table and len(table) != len(cuts) or 0 in table or min((*table, *cuts)) < 0 or list(cuts) != sorted(set(cuts)):
            what = f"counts {table} after layers {cuts}: one count, at least 1, for each of ascending layers"
            raise UsageError(f"sparsevlm: {what}", FIX)
        self.variant, self.release, self.table = variant, release, table
        self.scaled = not counts
        self.own_layers = bool(layers)
        self.keep, self.rank_scale, self.rank_bias = keep, rank_scale, rank_bias
        self.quota, self.always_drop = quota, always_drop
        self.noise, self.seed = noise, seed
        self.renumber = positions == "renumber"
        self.adaptive, self.merges = variant == "rank", release.recycles
        self.rotary = (128, 10000.0)  # width of a head, theta
        self.query_tokens: Tensor | None = None  # (B, T) bool: this pass's query tokens
        self._warned = False
        self._cut_after(cuts)

    def attach(self, config: VLAConfig) -> None:
        if max(self.table, default=0) > config.visual_tokens and not self.scaled:
            given = "/".join(map(str, self.table))
            raise UsageError(f"sparsevlm: counts={given}, and the model has {config.visual_tokens} image tokens", FIX)
        self.rotary = (config.llm.width // config.llm.heads, config.llm.rope_theta)
        if not self.own_layers:
            self._cut_after(fitted(self.release.cuts, config.llm.layers))

    def select(self, view: View) -> Selection | None:
        if view.site == LLM_INPUT:
            self.query_tokens = self.choose_query_tokens(view)
            return None
        cut = self.sites.index(view.site) - 1
        rows, patches = view.rows[self.rows[cut]], view.patches
        mean = self.head_mean(rows, self.query_tokens)
        scores = check(paid_to_images(mean, self.query_tokens, rows.image_columns), self.label, view)
        valid = torch.ones_like(patches.ids, dtype=torch.bool) if patches.valid is None else patches.valid
        present = [valid.shape[1]] * len(valid) if patches.valid is None else valid.sum(dim=1).tolist()
        wanted = self._wanted(cut, view, mean, rows, valid, present)
        if wanted == present:
            return None
        all_stay = torch.tensor([w == n for w, n in zip(wanted, present, strict=True)], device=valid.device).unsqueeze(1)
        keep = best_each(scores, wanted, self._pools(view, valid)) | (all_stay & valid)  # cameras may hold unequal numbers
        if not self.release.recycles:
            return Selection(keep)
        dropped = (valid & ~keep).sum(dim=1).tolist()
        recycled = recycle(patches, scores, keep, dropped, self.noise, self.seed)
        self._warn_degenerate(recycled)
        return Selection(keep, recycled.patches if recycled else None)

    def choose_query_tokens(self, view: View) -> Tensor:
        """The text tokens of each instruction whose attention counts: (B, T) bool."""
        text, real = view.prompt()
        scores = query_token_scores(view.patches.hidden, text, view.patches.valid, real)
        return query_tokens(scores, real, inclusive=self.variant == "1stage")

    def head_mean(self, rows: AttentionRows, chosen: Tensor) -> Tensor:
        """Attention (B, R, N), mean over the heads that count; `chosen` (B, R) bool are the query tokens among the rows."""
        return head_mean(rows, chosen, positional_term(*rows.at, *self.rotary) if self.release.unrotates else None)

    def _wanted(self, cut: int, view: View, mean: Tensor, rows: AttentionRows, valid: Tensor, present: list[int]) -> list[int]:
        """How many of its `present` image tokens each sample keeps."""
        if self.variant == "rank":
            ranks = rank(mean, self.query_tokens, rows.image_columns, valid)
            allowed = [int(r * self.rank_scale + self.rank_bias) for r in ranks]
            # At full rank no token is redundant, and all stay.
            return [n if r == n else self._capped(k, n) for k, r, n in zip(allowed, ranks, present, strict=True)]
        number = self._numbers(view.layout.visual)[cut]
        if self.variant == "1stage":
            return [min(number, n) for n in present]
        return [self._capped(number, n) for n in present]

    def _capped(self, number: int, present: int) -> int:
        return max(0, min(number, present - 1 if self.always_drop else present))

    def _pools(self, view: View, valid: Tensor) -> Tensor:
        """The image tokens that compete with one another: (B, 1 or cameras, V) bool."""
        number = view.layout.cameras if self.quota == "per_image" else 1
        return pools(view.patches.ids, view.layout, number) & valid.unsqueeze(1)

    def _warn_degenerate(self, recycled: MergedTokens | None) -> None:
        """Warn once where the clusters mean nothing.  The check waits for the device, so that only the first cut is checked."""
        if recycled is None or self._warned:
            return
        self._warned = True
        if any((density == 0).any() for density in recycled.density):
            logging.getLogger(__name__).warning(
                "%s: hidden states lie so far apart that densities are 0: noise decides the centres of merged tokens", self.label
            )

    def _cut_after(self, layers: Sequence[int]) -> None:
        self.sites = (LLM_INPUT, *(before_layer(layer + 1) for layer in layers))
        self.rows = tuple(Rows(layer, Span.PROMPT) for layer in layers)

    @property
    def cutting_sites(self) -> Sequence[Site]:
        return self.sites[1:]

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...] | None:
        """Several cuts, behind each of which some of those that leave come back merged; `kept` must agree with that."""
        if self.variant == "rank":
            return super().expected(config, kept)
        if self.variant == "1stage" and kept:
            return cuts_at(self, config, kept)
        left, cuts = config.visual_tokens, []
        for site, number in zip(self.cutting_sites, self._numbers(config.visual_tokens), strict=True):
            stay = min(number, left) if self.variant == "1stage" else self._capped(number, left)
            merged = sizes(left - stay)[1] if self.release.recycles else 0
            if stay < left:
                cuts.append(Cut(str(site), left, stay, merged))
            left = stay + merged
        if kept and kept[-1] != left:
            raise UsageError(
                f"under {self.label} {left} image tokens are left, not {kept[-1]}", "vla-bench flops --pruner sparsevlm"
            )
        return tuple(cuts)

    def macs(self, case: Case) -> int:
        """Image tokens against text tokens; for v2 the positional term of the query tokens; the means of merged tokens."""
        width, head = case.config.llm.width, self.rotary[0]
        total = case.config.visual_tokens * case.prompt * width
        for site, rows in zip(self.cutting_sites, self.rows, strict=True):
            total += case.prompt * case.seen(rows.layer) * head if self.release.unrotates else 0
            if self.release.recycles and (cut := case.cut(site)) is not None:
                recycled, groups = sizes(cut.before - cut.kept)
                total += groups * recycled * width
        return total

    def _numbers(self, visual: int) -> list[int]:
        """How many are to stay behind each cut."""
        if self.variant == "1stage":
            return [count(self.keep, visual)] * len(self.cutting_sites)
        return [scaled(number, visual) if self.scaled else number for number in self.table]


def best_each(scores: Tensor, counts: Sequence[int], pools: Tensor) -> Tensor:
    """Mask (B, V) of the highest scores (B, V), `counts` of each sample, shared evenly by its pools (B, P, V) bool."""
    number = pools.shape[1]
    shares = torch.tensor([split(kept, number) for kept in counts], device=scores.device).unsqueeze(-1)  # (B, P, 1)
    inside = scores.unsqueeze(1).masked_fill(~pools, -torch.inf)
    order = torch.sort(inside, dim=-1, descending=True, stable=True).indices
    first = torch.arange(scores.shape[1], device=scores.device) < shares
    return (torch.zeros_like(pools).scatter_(2, order, first) & pools).any(dim=1)
