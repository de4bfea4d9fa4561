"""A query whose shapes are known before the device has counted anything: the number of image tokens is guessed from those
before, the sequence padded to a bucket that holds them, and the count read together with the answer.

What does not fit is answered again in a larger bucket; what fits is the plain answer, for padding is seen by nobody.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from dataclasses import replace
from enum import Enum
from functools import partial
from typing import NamedTuple

import torch
from torch import Tensor

from vla_bench.errors import ModelError
from vla_bench.interface.layout import Layout
from vla_bench.interface.needs import Need
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.trace import Kept, PassTrace
from vla_bench.interface.view import Patches, Query, View
from vla_bench.model.sequence import Tokens, narrow, pack
from vla_bench.model.shortcuts import Shortcuts
from vla_bench.model.speed import capacity
from vla_bench.model.stages import Stages
from vla_bench.model.vla import VLA, Inputs, Output

# Queries whose largest count is provided for.  With the paper's counts, drawn at random or alike from query to query, 0.4 to
# 4 % of queries are then answered twice, against 3 to 24 % where only the last one is looked at, for the same rows computed.
RECENT = 8
PROMPTS = 64  # instructions whose token ids are kept on the device


class SelectedBy(Enum):
    """Who says which image tokens stay."""

    NOBODY = "nobody"  # all do
    INSIDE = "inside"  # a rule that is part of the static pass
    OUTSIDE = "outside"  # the pruner's own `select`, which may ask the device or remember


class StaticPass(NamedTuple):
    """What the static pass gives.  answer: actions, then tokens kept of each camera, as one vector for one transfer."""

    answer: Tensor
    slots: Tensor
    hidden: Tensor
    kept: Tensor
    ids: Tensor
    positions: Tensor
    valid: Tensor | None


class Bucketed:
    """Answers one query at a time.

    look: pixels -> projected image tokens, and what each receives in SigLIP for a pruner that needs it (second argument).
    call: how a static function is called: `graphs.at_once` or `graphs.Replays`.
    """

    def __init__(self, model: VLA, shortcuts: Shortcuts, encode_images: Callable, call: Callable):
        self.model = model
        self.reruns = 0  # queries that did not fit at first
        self._shortcuts, self._look, self._call = shortcuts, encode_images, call
        self._recent: dict[str, deque[int]] = {}  # counts by pruner
        self._texts: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}

    def __call__(self, inputs: Inputs, stages: Stages) -> Output:
        pruner, layout = self.model.pruner, self.model.layout(inputs, self.model.config.slots)
        chooser = self._chooser(pruner, layout)
        # To the device before it has anything to do: such a copy waits for all that was asked of it.
        ids, empty = self._text(inputs, layout)
        attention = pruner is not None and Need.VISION_ATTENTION in pruner.needs
        patches, attended = self._call(("look", attention), partial(self._look, attention=attention), inputs.pixel_values)
        stages.mark("vision")
        keep = None
        if chooser is SelectedBy.OUTSIDE:
            queries = inputs.queries or (Query(),)
            tokens = self._tokens(layout, patches, ids, empty, inputs.proprio)
            keep = self._choice(pruner, tokens, queries, attended)
            chooser = SelectedBy.NOBODY if keep is None else chooser
            pruner.after(queries, {})
            stages.mark("prune")
        thought = self._fit(layout, chooser, (patches, ids, empty, inputs.proprio, keep))
        stages.mark("decoder")
        return self._output(thought, layout, chooser is not SelectedBy.NOBODY)

    def _fit(self, layout: Layout, chooser: SelectedBy, given: tuple[Tensor | None, ...]) -> StaticPass:
        """Run the static pass until the bucket is large enough."""
        pruner = self.model.pruner
        recent = self._recent.setdefault(pruner.label if pruner else "none", deque(maxlen=RECENT))
        renumber = pruner is not None and pruner.renumber
        rest, limit = layout.before + layout.tails[0], layout.visual
        decides = pruner if chooser is SelectedBy.INSIDE else chooser  # what is captured holds the choice of this very pruner
        columns = limit if chooser is SelectedBy.NOBODY or not recent else capacity(max(recent), rest, limit)
        while True:
            think = partial(self._think, layout, chooser, columns, renumber)
            key = (decides, renumber, self.model.action_slice, layout, columns)
            thought = StaticPass(*self._call(key, think, *given))
            answer = thought.answer.cpu()  # the only time that the host waits for the device
            counts = [int(number) for number in answer[-layout.cameras :].tolist()]
            if sum(counts) <= columns:
                recent.append(sum(counts))
                return thought._replace(answer=answer[: -layout.cameras])
            self.reruns += 1
            columns = capacity(sum(counts), rest, limit)

    def _think(
        self,
        layout: Layout,
        chooser: SelectedBy,
        columns: int,
        renumber: bool,
        patches: Tensor,
        ids: Tensor,
        empty: Tensor,
        proprio: Tensor | None,
        keep: Tensor | None,
    ) -> StaticPass:
        """Everything behind the projector, `columns` image tokens wide; on a device, nothing here waits for it."""
        model, decoder = self.model, self.model.openvla.language_model
        tokens = self._tokens(layout, patches, ids, empty, proprio)
        if chooser is SelectedBy.NOBODY:
            counts = patches.new_full((layout.cameras,), layout.patches, dtype=torch.long)
        else:
            if chooser is SelectedBy.INSIDE:
                keep = model.pruner.choose(View(LLM_INPUT, tokens.patches, layout, (Query(),), tokens.task, bos=tokens.bos))
            counts = keep.view(layout.cameras, layout.patches).sum(dim=1)
            tokens = tokens.with_patches(pack(tokens.patches, keep, columns))
        if renumber:
            tokens = tokens.renumbered()
        kept, read = tokens.patches.hidden, model.read if self._shortcuts.rows else None
        last = decoder(tokens, layers=self._shortcuts.layers, read=read)
        slots = last.hidden if self._shortcuts.rows else narrow(last.hidden, model.read(last))
        wide = torch.promote_types(slots.dtype, torch.float32)  # a count is exact in it, and so is an action
        answer = torch.cat([model.action_head(slots).flatten().to(wide), counts.to(wide)])
        return StaticPass(answer, slots, last.hidden, kept, last.ids, last.positions, last.valid)

    def _tokens(self, layout: Layout, patches: Tensor, ids: Tensor, empty: Tensor, proprio: Tensor | None) -> Tokens:
        every = torch.arange(layout.visual, device=patches.device).unsqueeze(0)
        return self.model.join(Patches(patches, every), ids, empty, proprio, layout)

    def _choice(self, pruner: Pruner, tokens: Tokens, queries: tuple[Query, ...], attended: Tensor | None) -> Tensor | None:
        """The pruner's own choice as a mask (1, P), None for all."""
        view = View(
            LLM_INPUT,
            tokens.patches,
            tokens.layout,
            queries,
            tokens.task,
            bos=tokens.bos,
            attended=attended,
            first_layer=self.model.openvla.language_model.first_queries_and_keys,
        )
        choice = pruner.select(view)
        if choice is None:
            return None
        if not isinstance(choice, Selection) or choice.merged is not None or choice.reuse:
            raise ModelError(f"speed buckets: {pruner.label} does more than choose image tokens", "leave out buckets")
        return choice.keep

    def _chooser(self, pruner: Pruner | None, layout: Layout) -> SelectedBy:
        if len(layout.prompts) != 1:
            raise ModelError(f"speed buckets answers one query at a time, not {len(layout.prompts)}", "leave out buckets")
        if pruner is None:
            return SelectedBy.NOBODY
        if tuple(pruner.sites) != (LLM_INPUT,) or pruner.rows or Need.PAST in pruner.needs:
            raise ModelError(f"speed buckets: {pruner.label} does not act at the LLM's input alone", "leave out buckets")
        if pruner.training:
            raise ModelError(f"speed buckets is for inference, and {pruner.label} is in training mode", "pruner.eval()")
        return SelectedBy.INSIDE if pruner.static else SelectedBy.OUTSIDE

    def _text(self, inputs: Inputs, layout: Layout) -> tuple[Tensor, Tensor]:
        (prompt,) = inputs.prompts
        if prompt not in self._texts:
            if len(self._texts) == PROMPTS:
                self._texts.clear()
            self._texts[prompt] = self.model.text(inputs.prompts, layout.slots, inputs.pixel_values.device)
        return self._texts[prompt]

    def _output(self, thought: StaticPass, layout: Layout, pruned: bool) -> Output:
        if not torch.isfinite(thought.answer).all():
            raise ModelError("the model answered with numbers that are not finite", "vla-bench verify")
        config = self.model.config
        actions = thought.answer.view(1, config.chunk, config.action_dim).to(thought.slots.dtype)
        tokens = Tokens(thought.hidden, thought.positions, thought.valid, thought.ids, layout)
        kept = Kept(LLM_INPUT, replace(tokens.patches, hidden=thought.kept))
        return Output(actions, thought.slots, tokens, PassTrace(layout, (kept,) if pruned else ()))
