"""Token rows of supervised training: prompt, action tokens and stop token, and masks of the action tokens.

The action ids only mark the action slots: their embeddings are replaced by zeros, and the L1 head never reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vla_bench.interface.config import TokenIds
from vla_bench.model.action_tokens import encode

IGNORE = -100  # label of a token without a loss


@dataclass(frozen=True)
class LabelledText:
    """A batch of rows: BOS, prompt, action ids, stop, then padding up to the longest.

    input_ids, labels: (B, L) int64; labels are IGNORE on BOS, prompt and padding.  attention_mask: (B, L) bool.
    """

    input_ids: Tensor
    labels: Tensor
    attention_mask: Tensor


def label_text(prompts: Sequence[Sequence[int]], actions: Tensor, tokens: TokenIds) -> LabelledText:
    """Rows of `prompts`, ids after BOS with the single space last, and `actions` (B, chunk, 7), normalised."""
    ids = torch.as_tensor(encode(actions.double().numpy(), tokens.actions_end, tokens.action_bins)).flatten(1).tolist()
    rows = [[tokens.bos, *prompt, *row, tokens.stop] for prompt, row in zip(prompts, ids, strict=True)]
    longest = max(map(len, rows))
    inputs, labels = [], []
    for row, prompt in zip(rows, prompts, strict=True):
        padding = longest - len(row)
        inputs.append(row + [tokens.pad] * padding)
        labels.append([IGNORE] * (1 + len(prompt)) + row[1 + len(prompt) :] + [IGNORE] * padding)
    input_ids = torch.tensor(inputs)
    lengths = torch.tensor([len(row) for row in rows])
    return LabelledText(input_ids, torch.tensor(labels), torch.arange(longest) < lengths.unsqueeze(1))


def prompts_of(input_ids: Tensor, labels: Tensor) -> tuple[tuple[int, ...], ...]:
    """The prompts (without BOS) of rows of `label_text`."""
    first = (labels != IGNORE).int().argmax(dim=1).tolist()
    return tuple(tuple(row[1:end].tolist()) for row, end in zip(input_ids, first, strict=True))


def action_masks(labels: Tensor, action_dim: int, tokens: TokenIds) -> tuple[Tensor, Tensor]:
    """Masks of the current action's ids and of those of the rest of the chunk, each (B, L) bool; without the stop id."""
    number = (labels != IGNORE).cumsum(dim=1)
    action = labels >= tokens.actions_end - tokens.action_bins
    return action & (number >= 1) & (number <= action_dim), action & (number > action_dim)


def readout_mask(labels: Tensor, action_dim: int, tokens: TokenIds) -> Tensor:
    """Mask (B, L - 1) bool of the hidden states that the action head reads: of those after the image tokens, without the
    last, the ones directly before an action id, as in next-token prediction."""
    current, following = action_masks(labels[:, 1:], action_dim, tokens)
    return current | following
