"""What a pruner is shown."""

import pytest
import torch

from vla_bench.errors import ModelError
from vla_bench.interface.layout import Layout
from vla_bench.interface.sites import LLM_INPUT, VISION
from vla_bench.interface.view import Patches, Query, View

PATCHES = Patches(torch.zeros(2, 4, 3), torch.arange(4).expand(2, -1))
LAYOUT = Layout(cameras=1, patches=4, proprio=1, prompts=(2, 3), slots=1)


def test_the_prompt_is_cut_out_of_the_task_tokens():
    task = torch.arange(2 * 6 * 3.0).reshape(2, 6, 3)
    prompt, real = View(LLM_INPUT, PATCHES, LAYOUT, (Query(), Query()), task).prompt()
    assert torch.equal(prompt, task[:, 1:4]) and real.tolist() == [[True, True, False], [True, True, True]]


def test_there_is_no_prompt_before_the_language_model():
    with pytest.raises(ModelError, match="reads the instruction at the vision output"):
        View(VISION, PATCHES, LAYOUT, (Query(), Query())).prompt()
