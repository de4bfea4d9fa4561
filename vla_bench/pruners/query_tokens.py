"""SparseVLM's query tokens: the text tokens that the image relates to most, and their attention to every image token."""

from __future__ import annotations

import torch
from torch import Tensor

from vla_bench.interface.view import AttentionRows

HEADS = 14  # heads that the second version averages, however many there are


def query_token_scores(patches: Tensor, text: Tensor, patches_valid: Tensor | None, text_valid: Tensor) -> Tensor:
    """How much the image tokens relate to each text token: softmax of their products over the text, mean over image tokens.

    patches (B, V, D), text (B, T, D), masks (B, V) and (B, T) bool -> (B, T).
    """
    similar = (patches.float() @ text.float().mT).masked_fill(~text_valid.unsqueeze(1), -torch.inf)
    shares = similar.softmax(dim=-1)
    if patches_valid is None:
        return shares.mean(dim=1)
    weight = patches_valid.unsqueeze(-1).float()
    return (shares * weight).sum(dim=1) / weight.sum(dim=1)


def query_tokens(scores: Tensor, valid: Tensor, inclusive: bool = False) -> Tensor:
    """The text tokens above the mean score, or at it too if `inclusive`; all where none is: (B, T) -> (B, T) bool."""
    mean = (scores * valid).sum(dim=1, keepdim=True) / valid.sum(dim=1, keepdim=True)
    above = (scores >= mean if inclusive else scores > mean) & valid
    return torch.where(above.any(dim=1, keepdim=True), above, valid)


def positional_term(rows: Tensor, columns: Tensor, width: int, theta: float) -> Tensor:
    """The scaled product of two vectors of ones after RoPE at these positions: (B, R), (B, N) -> (B, R, N).

    The second version divides attention by it; it has zeros between its positive and negative stretches.
    """
    frequency = theta ** (-torch.arange(0, width, 2, device=rows.device).float() / width)

    def turned(positions: Tensor) -> Tensor:
        angle = positions.unsqueeze(-1).float() * frequency
        return torch.cat([angle.cos() - angle.sin(), angle.cos() + angle.sin()], dim=-1)

    return turned(rows) @ turned(columns).mT / width**0.5


def head_mean(rows: AttentionRows, chosen: Tensor, term: Tensor | None = None, heads: int = HEADS) -> Tensor:
    """Attention, mean over the heads: (B, R, N).

    chosen: (B, R) bool, the query tokens among the rows.
    term: positional term (B, R, N) to divide by first; then only the `heads` count in which the query tokens pay most
        attention to the image tokens.
    """
    if term is None:
        return rows.weights.mean(dim=1)
    weights = rows.weights / term.unsqueeze(1)
    images = weights[..., rows.image_columns.start : rows.image_columns.stop]
    mass = (images.sum(dim=-1) * chosen.unsqueeze(1)).sum(dim=-1)  # (B, H)
    best = torch.sort(mass, dim=1, descending=True, stable=True).indices[:, :heads]
    return weights.gather(1, best[..., None, None].expand(-1, -1, *weights.shape[2:])).mean(dim=1)


def paid_to_images(mean: Tensor, chosen: Tensor, images: range) -> Tensor:
    """Attention that the query tokens, rows `chosen` (B, R) of `mean` (B, R, N), pay to each image token, their mean: (B, V)."""
    weight = chosen.unsqueeze(-1).float()
    return (mean[..., images.start : images.stop] * weight).sum(dim=1) / weight.sum(dim=1)


def rank(mean: Tensor, chosen: Tensor, images: range, valid: Tensor) -> list[int]:
    """Of each sample, the rank of its query tokens' attention (B, R, N) to its image tokens (`valid`, (B, V) bool)."""
    attention = mean[..., images.start : images.stop]
    # One by one: rows of zeros would not change a rank, but the tolerance below which a singular value is none.
    samples = zip(attention, chosen, valid, strict=True)
    return [int(torch.linalg.matrix_rank(sample[rows][:, columns])) for sample, rows, columns in samples]
