"""Differentiable selection: noise for exploration, and a straight-through one-hot.

The paper calls the noise Gumbel.  Its code, which this follows, adds uniform noise U(0, noise_scale) to the scores.
"""

from __future__ import annotations

import torch.nn.functional as F
from torch import Tensor


def add_noise(scores: Tensor, uniform: Tensor, noise_scale: float) -> Tensor:
    """S' = S + U(0, alpha), from a draw `uniform` of U(0, 1) (paper Eq. 4)."""
    return scores + uniform * noise_scale


def straight_through(scores: Tensor) -> tuple[Tensor, Tensor]:
    """The indicator I = onehot(argmax S') + softmax(S') - stopgrad(softmax(S')), and its argmax (paper Eq. 5 to 7).

    Forward it is the one-hot, backward it has the softmax's gradient (the paper's text says S'; its code, the softmax).
    scores (B, Q, V) -> indicator (B, Q, V), selected (B, Q).  Ties go to the smaller index.
    """
    selected = scores.argmax(dim=-1)
    soft = scores.softmax(dim=-1)
    hard = F.one_hot(selected, scores.shape[-1]).to(soft.dtype)
    return hard + soft - soft.detach(), selected
