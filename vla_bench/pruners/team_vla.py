"""TEAM-VLA: patches around what the instruction is most like, and in the middle of the LLM the rest merged into a few of them.

The announced code was never published; rebuilt from descriptions of the paper.  What they leave open is decided here:
* image tokens are compared with the instruction's tokens where both enter the LLM, each camera for itself;
* around a thin place a neighbour is activated with probability `chance`, and the context is drawn evenly; both are drawn
  from episode, step and patch, so that a query can be repeated;
* "middle layer" is before layer 16 of 32, and in proportion for another decoder;
* the tokens that guide the merging are the instruction's and the action slots', as they are before that layer;
* the paper merges into 80 tokens of 512; here `keep` is that share.  Tokens keep their positions.
"""

from __future__ import annotations

import math
from collections.abc import Sequence

import torch
import torch.nn.functional as F
from torch import Tensor

from vla_bench.errors import UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.lengths import Case
from vla_bench.interface.pruner import Pruner, cuts_at
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT, before_layer
from vla_bench.interface.view import Patches, View
from vla_bench.pruners.budget import check, first
from vla_bench.pruners.scored import draws
from vla_bench.pruners.shares import count
from vla_bench.pruners.vla_cache_rules import scaled_layers
from vla_bench.trace import Cut

LAYER = 16
EPS = 1e-6


def most_alike(images: Tensor, text: Tensor, real: Tensor) -> Tensor:
    """Similarity sampling: mask (n, patches) of the image token that each real text token is most like by cosine.

    images (n, patches, D), text (n, T, D), real (n, T) bool; ties go to the smaller index.
    """
    similar = F.normalize(text.float(), dim=-1) @ F.normalize(images.float(), dim=-1).mT  # (n, T, patches)
    hit = F.one_hot(similar.argmax(dim=-1), images.shape[1]).bool() & real.unsqueeze(-1)
    return hit.any(dim=1)


def expand(seeds: Tensor, kernel: int, tau: float, lucky: Tensor) -> Tensor:
    """Token expanding on masks of square images (n, patches): F counts the seeds in every patch's k x k neighbourhood; around
    a patch with F > tau all neighbours are activated, around one with 0 < F <= tau those of `lucky` (n, patches)."""
    side = math.isqrt(seeds.shape[1])
    grid = seeds.float().unflatten(1, (1, side, side))
    density = F.avg_pool2d(grid, kernel, 1, kernel // 2, divisor_override=1)
    dense, thin = _dilated(density > tau, kernel), _dilated((density > 0) & (density <= tau), kernel)
    return seeds | dense.flatten(1) | (thin.flatten(1) & lucky)


def soft_merge(sources: Tensor, targets: Tensor) -> Tensor:
    """Soft bipartite merging: (M, D) and (n, D) -> (M, D).  W is the softmax over the sources of the scaled products of both,
    RMS-normalised; a source S becomes (S + sum of W T) / (1 + sum of W)."""
    kept, gone = sources.float(), targets.float()
    weights = (_rms(gone) @ _rms(kept).T / math.sqrt(kept.shape[-1])).softmax(dim=-1)  # (n, M)
    return ((kept + weights.T @ gone) / (1 + weights.sum(dim=0).unsqueeze(-1))).to(sources.dtype)


class TEAMVLA(Pruner):
    """At the LLM's input keep the foreground and some of the rest; in the middle of the LLM merge all into the best of them.

    The foreground is `most_alike`, then `expand`; of the other image tokens a share `context` stays.  Before layer `layer`, the
    `keep` tokens most like any guide (see above) take in all others (`soft_merge`).

    keep: share or number of all image tokens that are left then; fewer are left as they are.
    kernel, tau: see `expand`.
    context: share of the background that stays; 1 keeps everything.
    chance, seed: of the draws.
    """

    name = "team-vla"
    source = "arXiv 2512.09927, from descriptions of the paper; no code"
    adaptive = True
    merges = True

    def __init__(
        self,
        keep: float = 0.15625,
        *,
        kernel: int = 3,
        tau: float = 1.0,
        context: float = 0.1,
        layer: int = LAYER,
        chance: float = 0.5,
        seed: int = 0,
    ):
        super().__init__()
        if kernel < 1 or kernel % 2 == 0 or tau < 0 or not 0 <= context <= 1 or not 0 <= chance <= 1 or layer < 1:
            raise UsageError(
                f"{self.name}: kernel={kernel} must be odd, tau={tau:g} not negative, context={context:g} and chance={chance:g} "
                f"in 0 to 1, layer={layer} at least 1",
                "vla-bench pruners",
            )
        self.keep, self.kernel, self.tau, self.context = keep, kernel, tau, context
        self.layer, self.chance, self.seed = layer, chance, seed
        self.sites = (LLM_INPUT, before_layer(layer))

    def attach(self, config: VLAConfig) -> None:
        if count(self.keep, config.visual_tokens) < 1:
            raise UsageError(f"{self.label} leaves none of the model's {config.visual_tokens} image tokens", "vla-bench pruners")
        (layer,) = scaled_layers((LAYER,), config.llm.layers) if self.layer == LAYER else (self.layer,)
        self.sites = (LLM_INPUT, before_layer(layer))

    def select(self, view: View) -> Selection | None:
        return self._pruned(view) if view.site == LLM_INPUT else self._merged(view)

    def _pruned(self, view: View) -> Selection | None:
        layout, hidden = view.layout, view.patches.hidden
        if self.context == 1:
            return None
        check(hidden.float().norm(dim=-1), self.label, view)
        images = hidden.reshape(-1, layout.patches, hidden.shape[-1])
        text, real = (each.repeat_interleave(layout.cameras, dim=0) for each in view.prompt())
        lucky = draws(view, self.seed, per_step=True) < self.chance
        foreground = expand(most_alike(images, text, real), self.kernel, self.tau, lucky.reshape(-1, layout.patches))
        foreground = foreground.reshape(view.patches.ids.shape)
        background = (~foreground).sum(dim=1)
        number = (self.context * background.double()).round().long()  # halves go to the even number
        # Draws of their own: those for neighbours have been looked at.
        return Selection(foreground | first(draws(view, self.seed + 1, per_step=True), ~foreground, number))

    def _merged(self, view: View) -> Selection | None:
        patches, most = view.patches, count(self.keep, view.layout.visual)
        valid = torch.ones_like(patches.ids, dtype=torch.bool) if patches.valid is None else patches.valid
        present = valid.sum(dim=1)
        if int(present.max()) <= most:
            return None
        guides, real = self._guides(view)
        similar = F.normalize(patches.hidden.float(), dim=-1) @ F.normalize(guides.float(), dim=-1).mT
        liked = check(similar.masked_fill(~real.unsqueeze(1), -torch.inf).amax(dim=-1), self.label, view)
        source = first(liked, valid, present.clamp(max=most))
        made = present > most
        new = torch.zeros_like(patches.hidden[:, :most])
        ids = torch.zeros_like(patches.ids[:, :most])
        for sample in made.nonzero().flatten().tolist():
            tokens, chosen = patches.hidden[sample], source[sample]
            new[sample] = soft_merge(tokens[chosen], tokens[valid[sample] & ~chosen])
            ids[sample] = patches.ids[sample][chosen]
        whole = made.unsqueeze(1)
        return Selection(valid & ~whole, Patches(new, ids, None if bool(made.all()) else whole.expand_as(ids)))

    def _guides(self, view: View) -> tuple[Tensor, Tensor]:
        """The tokens that guide the merging, (B, G, D), padded, and which of them are real: the instruction and action slots."""
        layout, device = view.layout, view.task.device
        tail = torch.arange(view.task.shape[1], device=device)
        ends = torch.tensor([layout.proprio + number + layout.slots for number in layout.prompts], device=device)
        return view.task, (tail >= layout.proprio) & (tail < ends.unsqueeze(1))

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...] | None:
        """None without `kept`: how much is foreground is the image's and the instruction's; those left in the end are merged."""
        if not kept:
            return None
        *pruned, last = cuts_at(self, config, kept)
        return (*pruned, Cut(last.site, last.before, 0, last.kept) if last.kept < last.before else last)

    def macs(self, case: Case) -> int:
        """Image tokens against the instruction's; those left against the tokens behind them; sources against targets, twice."""
        pruned, merged = (case.cut(site) for site in self.sites)
        config, pairs = case.config, 0
        if pruned is not None:
            pairs += config.visual_tokens * case.prompt
        if merged is not None:
            pairs += merged.before * case.layout.tails[0] + 2 * merged.after * (merged.before - merged.after)
        return pairs * config.llm.width


def _rms(tokens: Tensor) -> Tensor:
    return tokens / (tokens.square().mean(dim=-1, keepdim=True).sqrt() + EPS)


def _dilated(mask: Tensor, kernel: int) -> Tensor:
    """Every patch with one of `mask` (n, 1, S, S) bool in its k x k neighbourhood."""
    return F.max_pool2d(mask.float(), kernel, 1, kernel // 2).bool()
