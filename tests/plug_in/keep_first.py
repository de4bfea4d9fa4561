"""A pruner from outside: the first image tokens of all."""

import torch

from vla_bench import LLM_INPUT, Pruner, Selection, View
from vla_bench.pruners.shares import count


class KeepFirst(Pruner):
    """The first image tokens, whatever they show.

    keep: share, or number above 1, of all image tokens.
    """

    name = "keep-first"
    sites = (LLM_INPUT,)
    source = "an example"

    def __init__(self, keep: float = 0.5):
        super().__init__()
        self.keep = keep

    def select(self, view: View) -> Selection | None:
        first = torch.arange(view.layout.visual, device=view.patches.ids.device) < count(self.keep, view.layout.visual)
        return Selection(first.expand_as(view.patches.ids))
