"""A whole query of one sample as one graph: pixels, prompt and robot state in, actions and the choice of image tokens out.

The number of kept image tokens, and with it the length of the decoder's sequence, is computed in the graph: `keep.nonzero()`.
"""

from __future__ import annotations

import torch
from torch import Tensor, nn

from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.layout import Layout
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import Patches, Query, View
from vla_bench.model.vla import VLA

LONGEST = 200  # tokens of a prompt; LIBERO's instructions have 5 to 60, by tokenizer


class QueryGraph(nn.Module):
    """`VLA.forward` for a batch of one, in operators that `torch.export` can follow.

    Raises UsageError for a pruner and ModelError for a model that cannot be exported.
    """

    def __init__(self, model: VLA):
        super().__init__()
        if model.action_head is None:
            raise ModelError(
                f"{model.config.name} has no L1 head: its actions are tokens, which are not exported", "--model nano"
            )
        check_pruner(model.pruner)
        self.model = model

    def forward(self, pixel_values: Tensor, prompt: Tensor, proprio: Tensor | None = None) -> tuple[Tensor, Tensor]:
        """pixel_values (1, 6 * cameras, S, S), prompt (1, L) token ids behind BOS, proprio (1, 8) as `Processor` makes them
        -> normalised actions (1, chunk, 7), and which image tokens were kept (1, V) bool."""
        model, config = self.model, self.model.config
        slots, special = config.slots, config.tokens
        layout = Layout(config.cameras, config.patches, 0 if proprio is None else 1, (1,), slots)  # whose prompt has any length
        ids, empty = self._text(prompt, slots, (special.bos, special.pad, special.stop))
        features, _ = model.encode_images(pixel_values, attention=False)
        patches = Patches(model.openvla.projector(features), torch.arange(layout.visual).unsqueeze(0))
        tokens = model.join(patches, ids, empty, proprio, layout)
        keep = torch.ones_like(patches.ids, dtype=torch.bool)
        if model.pruner is not None:
            view = View(LLM_INPUT, tokens.patches, layout, (Query(),), task=tokens.task, bos=tokens.bos)
            keep = model.pruner.choose(view)
            kept = keep[0].nonzero().squeeze(1)  # ascending
            torch._check(kept.shape[0] >= 1)
            torch._check(kept.shape[0] <= layout.visual)
            tokens = tokens.with_patches(Patches(patches.hidden[:, kept], kept.unsqueeze(0)))
            tokens = tokens.renumbered() if model.pruner.renumber else tokens
        last = model.openvla.language_model(tokens).hidden
        first = model.action_slice.first - slots - 1  # counted from the end, where the stop token stands
        return model.answer(last[:, first : first + slots or None]), keep

    def _text(self, prompt: Tensor, slots: int, special: tuple[int, int, int]) -> tuple[Tensor, Tensor]:
        """`VLA.text` of one prompt: ids of BOS, prompt, slots and stop, and which of them have zero vectors instead."""
        bos, pad, stop = (torch.tensor([[each]]) for each in special)
        ids = torch.cat([bos, prompt, pad.expand(1, slots), stop], dim=1)
        full = torch.zeros_like(prompt, dtype=torch.bool)
        no, yes = torch.zeros(1, 1, dtype=torch.bool), torch.ones(1, slots, dtype=torch.bool)
        return ids, torch.cat([no, full, yes, no], dim=1)


def check_pruner(pruner: Pruner | None) -> None:
    """Raises UsageError, with its name, for a pruner whose choice is not a fixed computation on the decoder's input."""
    if pruner is None or (pruner.static and tuple(pruner.sites) == (LLM_INPUT,)):
        return
    sites = ", ".join(map(str, pruner.sites))
    what = f"pruner {pruner.label} ({sites}) is no fixed graph on the decoder's input: lightvla and none can be exported"
    raise UsageError(what, instead={"--pruner": "lightvla"})
