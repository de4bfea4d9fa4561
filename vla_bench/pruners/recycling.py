"""SparseVLM's recycling: of the image tokens that leave, the best are merged into a few that stay.

Density-peak clustering: a centre is a token in a dense place and far from any denser one; every other token joins the
nearest centre, and each cluster becomes its mean.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from vla_bench.interface.view import Patches
from vla_bench.pruners.sparsevlm_releases import sizes


@dataclass(frozen=True)
class MergedTokens:
    """patches: the merged tokens.  density: of the tokens they were made from, one (samples, tokens) per number of them."""

    patches: Patches
    density: tuple[Tensor, ...]


def best_dropped(scores: Tensor, keep: Tensor, valid: Tensor | None, number: int) -> Tensor:
    """The `number` highest-scoring tokens that leave, best first: (B, V) each -> (B, number) columns."""
    gone = ~keep if valid is None else ~keep & valid
    return torch.sort(scores.masked_fill(~gone, -torch.inf), dim=1, descending=True, stable=True).indices[:, :number]


def local_density(distances: Tensor, groups: int) -> Tensor:
    """exp(-mean square of the `groups` smallest distances), the token's own 0 among them: (B, n, n) -> (B, n)."""
    return (-distances.topk(groups, dim=-1, largest=False).values.square().mean(dim=-1)).exp()


def cluster(tokens: Tensor, groups: int, noise: Tensor | None = None) -> tuple[Tensor, Tensor]:
    """Which group each token of (B, n, D) joins, (B, n), the group with the clearest centre being 0; and the densities (B, n).

    noise: (n,) is added to the density, so that equal ones have an order.
    """
    wide = tokens.float()
    # The exact kernel: differences of squared norms, which is faster, lose what distinguishes two long vectors.
    distances = torch.cdist(wide, wide, compute_mode="donot_use_mm_for_euclid_dist") / wide.shape[-1] ** 0.5
    density = local_density(distances, groups)
    ranked = density if noise is None else density + noise
    denser = ranked.unsqueeze(1) > ranked.unsqueeze(2)  # (B, i, j): j is denser than i
    largest = distances.amax(dim=(1, 2), keepdim=True)
    apart = torch.where(denser, distances, largest).amin(dim=-1)
    centres = torch.sort(apart * ranked, dim=1, descending=True, stable=True).indices[:, :groups]
    to_centres = distances.gather(1, centres.unsqueeze(-1).expand(-1, -1, distances.shape[-1]))
    own = torch.arange(groups, device=tokens.device).expand(len(tokens), -1)
    return to_centres.argmin(dim=1).scatter(1, centres, own), density


def merge(tokens: Tensor, labels: Tensor, groups: int) -> Tensor:
    """The mean of each group, over its size + 1e-6 as in the release: (B, n, D) -> (B, groups, D)."""
    member = F.one_hot(labels, groups).float().mT  # (B, groups, n)
    return (member / (member.sum(dim=-1, keepdim=True) + 1e-6) @ tokens.float()).to(tokens.dtype)


def recycle(
    patches: Patches, scores: Tensor, keep: Tensor, dropped: Sequence[int], noise: float, seed: int
) -> MergedTokens | None:
    """Merge the best of what `keep` (B, V) drops, `dropped` tokens of each sample; None where nothing leaves.

    A merged token takes the id, and with it the position, of its highest-scoring member.
    noise: upper bound of the uniform noise on the density, the same for every sample.
    """
    if not any(dropped):
        return None
    batch, most = len(dropped), max(sizes(number)[1] for number in dropped)
    hidden = patches.hidden.new_zeros(batch, most, patches.hidden.shape[-1])
    ids, valid = patches.ids.new_zeros(batch, most), keep.new_zeros(batch, most)
    densities = []
    for number in sorted({number for number in dropped if number}):  # samples that lose as many go together
        samples = torch.tensor([i for i in range(batch) if dropped[i] == number], device=keep.device)
        taken, groups = sizes(number)
        some = None if patches.valid is None else patches.valid[samples]
        columns = best_dropped(scores[samples], keep[samples], some, taken)
        tokens = patches.hidden[samples].gather(1, columns.unsqueeze(-1).expand(-1, -1, hidden.shape[-1]))
        labels, density = cluster(tokens, groups, _noise(taken, noise, seed, tokens))
        best = F.one_hot(labels, groups).argmax(dim=1)  # the first member is the highest-scoring one
        hidden[samples, :groups] = merge(tokens, labels, groups)
        ids[samples, :groups] = patches.ids[samples].gather(1, columns.gather(1, best))
        valid[samples, :groups] = True
        densities.append(density)
    return MergedTokens(Patches(hidden, ids, None if len(set(dropped)) == 1 else valid), tuple(densities))


def _noise(number: int, size: float, seed: int, like: Tensor) -> Tensor | None:
    """Drawn on the CPU from a generator of its own, so that it is the same on every device and in every query."""
    if not size:
        return None
    return (size * torch.rand(number, generator=torch.Generator().manual_seed(seed))).to(like.device)
