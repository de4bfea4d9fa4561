"""What `latency` compares: a model with a pruner, run at some speed, spelled `[MODEL:]PRUNER[@SPEED]`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vla_bench.checkpoints.known import bundled
from vla_bench.errors import UsageError
from vla_bench.interface.lengths import Case
from vla_bench.interface.presets import PRESETS
from vla_bench.interface.pruner import Pruner
from vla_bench.measure.forced import ForcedCount
from vla_bench.measure.replay import TimedQuery
from vla_bench.measure.timing import TimedVariant
from vla_bench.model.fast import FastVLA
from vla_bench.model.processor import Processor
from vla_bench.model.query_costs import pruner_macs
from vla_bench.model.speed import Speed
from vla_bench.model.stages import Stages
from vla_bench.model.vla import Inputs, Output
from vla_bench.pruners.names import NONE
from vla_bench.trace import Cut
from vla_bench.world.observation import Observation

DENSE = "dense"
FILLER = 5  # any word's token id: only the length of a prompt matters to the time


@dataclass(frozen=True)
class Variant:
    """model: as for eval.  pruner: None for the checkpoint's own.  speed: speed switches, as `Speed.parse` reads them."""

    model: str
    pruner: str | None
    speed: str


def parse_variant(text: str, model: str, speed: str) -> Variant:
    """`dense`, `fastv(layer=3)@none`, `nano-oft:dense`, `nano-oft`; missing parts as in the first.  Raises UsageError."""
    text, _, at = text.partition("@")
    before, colon, after = text.partition(":")
    if colon:
        model, text = before, after
    elif text in PRESETS or bundled(text) or Path(text).is_dir():
        model, text = text, ""
    if colon and not text:
        raise UsageError(f'"{before}:" names no pruner', f"vla-bench latency --vs {before}:{DENSE}")
    pruner = {"": None, DENSE: NONE}.get(text, text)
    return Variant(model, pruner, str(Speed.parse(at)) if at else speed)


@dataclass(frozen=True)
class CachedAction:
    """Actions (T, 7) that a pruner returned; the forward pass is skipped."""

    actions: np.ndarray


class VariantRunner:
    """One loaded variant, queried as in eval: the parts that `TimedVariant` times, and a query with times by stage.

    fast: the model with the variant's speed switches; variants may share it.
    passes: for every query since `start`, whether it had a forward pass or a cached action.
    cuts, kept: of every `staged` query with a forward pass, its cuts and the image tokens at the end.
    """

    def __init__(self, variant: Variant, fast: FastVLA, processor: Processor, pruner: Pruner | None):
        self.variant = variant
        self.model = fast.model
        self.processor = processor
        weight = self.model.openvla.projector.fc1.weight
        self._place, self.dtype = weight.device, weight.dtype
        self._pruner = pruner
        self._last: Observation | None = None
        self._fast = fast
        self.start()

    def pruner_macs(self, case: Case) -> int:
        """Multiply-adds of the pruner in a query with these cuts."""
        return pruner_macs(self._pruner, case)

    @property
    def pruner(self) -> str:
        return NONE if self._pruner is None else self._pruner.label

    @property
    def name(self) -> str:
        return f"{self.variant.model}:{DENSE if self.pruner == NONE else self.pruner}@{self.variant.speed}"

    def timed(self) -> TimedVariant[TimedQuery]:
        return TimedVariant(self.name, self.prepare, self.run, self.finish)

    def start(self) -> None:
        """Clear the records before a series of queries."""
        self.passes: list[bool] = []
        self.cuts: list[tuple[Cut, ...]] = []
        self.kept: list[int] = []

    def prepare(self, query: TimedQuery) -> Inputs | CachedAction:
        """The model's inputs on the host, or the pruner's cached action."""
        self._use()
        observation = query.observation
        self._reset_if_new(observation)
        if isinstance(self._pruner, ForcedCount):
            self._pruner.set_count(query.kept)
        actions = None if self._pruner is None else self._pruner.cached_action(self.processor.query(observation))
        self.passes.append(actions is None)
        if actions is not None:
            return CachedAction(actions)
        inputs = self.processor([observation])
        if query.prompt is not None:
            prompt = (FILLER,) * (query.prompt - 1) + (self.model.config.tokens.space,)
            inputs = Inputs(inputs.pixel_values, (prompt,), inputs.proprio, inputs.queries)
        return inputs

    @torch.inference_mode()
    def run(self, prepared: Inputs | CachedAction) -> Tensor | CachedAction:
        """Inputs on the host -> normalised actions (1, T, 7) on the host; the copy waits for the device."""
        if isinstance(prepared, CachedAction):
            return prepared
        return self._fast(self._placed(prepared)).actions.to("cpu", torch.float64)

    def finish(self, result: Tensor | CachedAction, query: TimedQuery) -> np.ndarray:
        """The robot's actions (T, 7), which are also passed to the pruner's `observe`."""
        observation = query.observation
        actions = result.actions if isinstance(result, CachedAction) else self.processor.robot_actions(result[0], observation)
        if self._pruner is not None:
            self._pruner.observe(self.processor.query(observation), actions)
        return actions

    @torch.inference_mode()
    def staged(self, query: TimedQuery) -> dict[str, float] | None:
        """Milliseconds by stage of one query, whose cuts are recorded; None for a cached action."""
        host = Stages("cpu")
        inputs = self.prepare(query)
        if isinstance(inputs, CachedAction):
            self.finish(inputs, query)
            return None
        host.mark("preprocess")
        stages = Stages(self._place)
        inputs = self._placed(inputs)
        stages.mark("h2d")
        output: Output = self._fast(inputs, stages)
        actions = output.actions.to("cpu", torch.float64)
        stages.mark("d2h")
        laps = stages.milliseconds()
        after = Stages("cpu")
        self.finish(actions, query)
        after.mark("denormalise")
        (trace,) = output.trace.read()
        self.cuts.append(trace.cuts)
        self.kept.append(trace.cuts[-1].after if trace.cuts else self.model.config.visual_tokens)
        return {**host.milliseconds(), **laps, **after.milliseconds()}

    def _reset_if_new(self, observation: Observation) -> None:
        """Reset the model where the observation does not continue the last one's episode."""
        last, self._last = self._last, observation
        if last is None or last.episode != observation.episode or last.step >= observation.step:
            self.model.reset(observation.episode)

    def _use(self) -> None:
        """Put this variant's pruner into the model, which several variants share."""
        if self.model.pruner is not self._pruner:
            self.model.pruner = self._pruner

    def _placed(self, inputs: Inputs) -> Inputs:
        proprio = None if inputs.proprio is None else inputs.proprio.to(self._place, self.dtype)
        pixels = inputs.pixel_values.to(self._place, self.dtype)
        return Inputs(pixels, inputs.prompts, proprio, inputs.queries)
