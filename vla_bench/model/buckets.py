"""Queries of fixed shapes: the number of image tokens is predicted from earlier queries, the sequence padded to a bucket that
holds them, and the true count read from the device together with the actions.

A query that does not fit is run again in a larger bucket.  One that fits gives the plain model's actions: padding is masked.
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

# A bucket holds the largest count of so many earlier queries.  With the paper's counts, drawn at random or alike from query to
# query, 0.4 to 4 % of queries are then run twice, against 3 to 24 % with the last one alone, for the same rows computed.
RECENT = 8
PROMPTS = 64  # instructions whose token ids are kept on the device


class SelectedBy(Enum):
    """What selects the image tokens that stay."""

    NOTHING = "nothing"  # all stay
    INSIDE = "inside"  # a rule that is part of the static pass
    OUTSIDE = "outside"  # the pruner's own `select`, which may wait for the device or keep state


class StaticPass(NamedTuple):
    """The results of the static pass.  answer: actions, then tokens kept of each camera, as one vector for one transfer."""

    answer: Tensor
    slots: Tensor
    hidden: Tensor
    kept: Tensor
    ids: Tensor
    positions: Tensor
    valid: Tensor | None


class Bucketed:
    """Runs one query at a time.

    encode_images: pixels -> projected image tokens, and SigLIP's attention for a pruner that needs it (second argument).
    call: how a static function is called: `graphs.at_once` or a `graphs.GraphCache`.
    """

    def __init__(self, model: VLA, shortcuts: Shortcuts, encode_images: Callable, call: Callable):
        self.model = model
        self.reruns = 0  # queries that did not fit at first
        self._shortcuts, self._encode_images, self._call = shortcuts, encode_images, call
        self._recent: dict[str, deque[int]] = {}  # counts by pruner
        self._texts: dict[tuple[int, ...], tuple[Tensor, Tensor]] = {}

    def __call__(self, inputs: Inputs, stages: Stages) -> Output:
        pruner, layout = self.model.pruner, self.model.layout(inputs, self.model.config.slots)
        selected_by = self._select_by(pruner, layout)
        # Copied before the device has work: a copy waits for all that was launched before it.
        ids, empty = self._text(inputs, layout)
        attention = pruner is not None and Need.VISION_ATTENTION in pruner.needs
        encode_images = partial(self._encode_images, attention=attention)
        patches, siglip_attention = self._call(("encode_images", attention), encode_images, inputs.pixel_values)
        stages.mark("vision")
        keep = None
        if selected_by is SelectedBy.OUTSIDE:
            queries = inputs.queries or (Query(),)
            tokens = self._tokens(layout, patches, ids, empty, inputs.proprio)
            keep = self._choice(pruner, tokens, queries, siglip_attention)
            selected_by = SelectedBy.NOTHING if keep is None else selected_by
            pruner.after_pass(queries, {})
            stages.mark("prune")
        result = self._run(layout, selected_by, (patches, ids, empty, inputs.proprio, keep))
        stages.mark("decoder")
        return self._output(result, layout, selected_by is not SelectedBy.NOTHING)

    def _run(self, layout: Layout, selected_by: SelectedBy, given: tuple[Tensor | None, ...]) -> StaticPass:
        """Run the static pass until the bucket is large enough."""
        pruner = self.model.pruner
        recent = self._recent.setdefault(pruner.label if pruner else "none", deque(maxlen=RECENT))
        renumber = pruner is not None and pruner.renumber
        rest, limit = layout.before + layout.tails[0], layout.visual
        selector = pruner if selected_by is SelectedBy.INSIDE else selected_by  # a captured pass holds one pruner's choice
        columns = limit if selected_by is SelectedBy.NOTHING or not recent else capacity(max(recent), rest, limit)
        while True:
            static_pass = partial(self._static_pass, layout, selected_by, columns, renumber)
            key = (selector, renumber, self.model.action_slice, layout, columns)
            result = StaticPass(*self._call(key, static_pass, *given))
            answer = result.answer.cpu()  # the only time that the host waits for the device
            counts = [int(number) for number in answer[-layout.cameras :].tolist()]
            if sum(counts) <= columns:
                recent.append(sum(counts))
                return result._replace(answer=answer[: -layout.cameras])
            self.reruns += 1
            columns = capacity(sum(counts), rest, limit)

    def _static_pass(
        self,
        layout: Layout,
        selected_by: SelectedBy,
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
        if selected_by is SelectedBy.NOTHING:
            counts = patches.new_full((layout.cameras,), layout.patches, dtype=torch.long)
        else:
            if selected_by is SelectedBy.INSIDE:
                keep = model.pruner.choose(View(LLM_INPUT, tokens.patches, layout, (Query(),), tokens.task, bos=tokens.bos))
            counts = keep.view(layout.cameras, layout.patches).sum(dim=1)
            tokens = tokens.with_patches(pack(tokens.patches, keep, columns))
        if renumber:
            tokens = tokens.renumbered()
        kept, read = tokens.patches.hidden, model.read if self._shortcuts.rows else None
        last = decoder(tokens, layers=self._shortcuts.layers, read=read)
        slots = last.hidden if self._shortcuts.rows else narrow(last.hidden, model.read(last))
        wide = torch.promote_types(slots.dtype, torch.float32)  # a count is exact in it, and so is an action
        answer = torch.cat([model.answer(slots).flatten().to(wide), counts.to(wide)])
        return StaticPass(
            answer=answer,
            slots=slots,
            hidden=last.hidden,
            kept=kept,
            ids=last.ids,
            positions=last.positions,
            valid=last.valid,
        )

    def _tokens(self, layout: Layout, patches: Tensor, ids: Tensor, empty: Tensor, proprio: Tensor | None) -> Tokens:
        every = torch.arange(layout.visual, device=patches.device).unsqueeze(0)
        return self.model.join(Patches(patches, every), ids, empty, proprio, layout)

    def _choice(
        self, pruner: Pruner, tokens: Tokens, queries: tuple[Query, ...], siglip_attention: Tensor | None
    ) -> Tensor | None:
        """The pruner's own choice as a mask (1, P), None for all."""
        view = View(
            LLM_INPUT,
            tokens.patches,
            tokens.layout,
            queries,
            tokens.task,
            bos=tokens.bos,
            siglip_attention=siglip_attention,
            first_layer=self.model.openvla.language_model.first_queries_and_keys,
        )
        choice = pruner.select(view)
        if choice is None:
            return None
        if not isinstance(choice, Selection) or choice.merged is not None or choice.reuse:
            raise ModelError(f"speed buckets: {pruner.label} does more than choose image tokens", "leave out buckets")
        return choice.keep

    def _select_by(self, pruner: Pruner | None, layout: Layout) -> SelectedBy:
        if len(layout.prompts) != 1:
            raise ModelError(f"speed buckets runs one query at a time, not {len(layout.prompts)}", "leave out buckets")
        if pruner is None:
            return SelectedBy.NOTHING
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

    def _output(self, result: StaticPass, layout: Layout, pruned: bool) -> Output:
        if not torch.isfinite(result.answer).all():
            raise ModelError("the model returned numbers that are not finite", "vla-bench verify")
        config = self.model.config
        actions = result.answer.view(1, config.chunk, config.action_dim)
        actions = actions if self.model.action_head is None else actions.to(result.slots.dtype)
        tokens = Tokens(result.hidden, result.positions, result.valid, result.ids, layout)
        kept = Kept(LLM_INPUT, replace(tokens.patches, hidden=result.kept))
        return Output(actions, result.slots, tokens, PassTrace(layout, (kept,) if pruned else ()))
