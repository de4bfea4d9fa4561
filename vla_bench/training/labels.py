"""What supervised training reads: prompt, action tokens and stop in one row, and the masks that find the actions again.

The ids of the actions only mark where the action slots are: their embeddings are replaced by zeros, and the L1 head
never reads them.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import torch
from torch import Tensor

from vla_bench.interface.config import TokenIds
from vla_bench.model.action_tokens import encode

IGNORE = -100  # the label of a token that no loss is computed on


@dataclass(frozen=True)
class LabelledText:
    """A batch of rows: BOS, prompt, action ids, stop, then padding up to the longest.

    input_ids, labels: (B, L) int64; labels are IGNORE on BOS, prompt and padding.  attention_mask: (B, L) bool.
    """

    input_ids: Tensor
    labels: Tensor
    attention_mask: Tensor


def label_text(prompts: Sequence[Sequence[int]], actions: Tensor, tokens: TokenIds) -> LabelledText:
    """prompts: ids behind BOS, the lone space last; actions (B, chunk, 7), normalised."""
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
    """The prompts (without BOS) back from rows of `label_text`."""
    first = (labels != IGNORE).int().argmax(dim=1).tolist()
    return tuple(tuple(row[1:end].tolist()) for row, end in zip(input_ids, first, strict=True))


def action_masks(labels: Tensor, action_dim: int, tokens: TokenIds) -> tuple[Tensor, Tensor]:
    """Where the ids of the current action and of the rest of the chunk are, each (B, L) bool; the stop id is in neither."""
    number = (labels != IGNORE).cumsum(dim=1)
    action = labels >= tokens.actions_end - tokens.action_bins
    return action & (number >= 1) & (number <= action_dim), action & (number > action_dim)


def readout_mask(labels: Tensor, action_dim: int, tokens: TokenIds) -> Tensor:
    """Which hidden states answer, (B, L - 1) bool: of the states behind the image tokens, without the last, those that
    stand one place before an action id, as in next-token prediction."""
    current, following = action_masks(labels[:, 1:], action_dim, tokens)
    return current | following
