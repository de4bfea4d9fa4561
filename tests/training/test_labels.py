"""Rows of training text, and how the actions are found in them again: values worked out by hand."""

import torch

from vla_bench.interface.config import TokenIds
from vla_bench.training.labels import IGNORE, action_masks, label_text, prompts_of, readout_mask

TOKENS = TokenIds(pad=100, space=9, actions_end=100, action_bins=5)  # edges -1, -0.5, 0, 0.5, 1: ids 99 to 95
PROMPTS = ((7, 8, 9), (9,))
ACTIONS = torch.tensor([[[-1.0, 1.0], [0.1, -0.6]], [[0.0, 2.0], [-3.0, 0.4]]])  # (2, chunk 2, 2)


def test_rows_are_prompt_action_ids_and_stop():
    text = label_text(PROMPTS, ACTIONS, TOKENS)
    assert text.input_ids.tolist() == [[1, 7, 8, 9, 99, 95, 97, 99, 2], [1, 9, 97, 95, 99, 97, 2, 100, 100]]
    x = IGNORE
    assert text.labels.tolist() == [[x, x, x, x, 99, 95, 97, 99, 2], [x, x, 97, 95, 99, 97, 2, x, x]]
    assert text.attention_mask.sum(dim=1).tolist() == [9, 7] and text.attention_mask[1, :7].all()
    assert prompts_of(text.input_ids, text.labels) == PROMPTS


def test_masks_find_the_actions_and_not_the_stop():
    labels = label_text(PROMPTS, ACTIONS, TOKENS).labels
    current, following = action_masks(labels, 2, TOKENS)
    assert [row.nonzero().flatten().tolist() for row in current] == [[4, 5], [2, 3]]
    assert [row.nonzero().flatten().tolist() for row in following] == [[6, 7], [4, 5]]
    shifted = readout_mask(labels, 2, TOKENS)
    assert shifted.shape == (2, 8)
    assert [row.nonzero().flatten().tolist() for row in shifted] == [[3, 4, 5, 6], [1, 2, 3, 4]]
