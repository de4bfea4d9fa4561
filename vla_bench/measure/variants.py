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
from vla_bench.pruners.registry import NONE
from vla_bench.trace import Cut
from vla_bench.world.observation import Observation

DENSE = "dense"
FILLER = 5  # any word's token id: how long a prompt is matters to the time, what it says does not


@dataclass(frozen=True)
class Variant:
    """model: as for eval.  pruner: None is the checkpoint's own.  speed: of the model, as `Speed.parse` reads it."""

    model: str
    pruner: str | None
    speed: str


def parse_variant(text: str, model: str, speed: str) -> Variant:
    """`dense`, `fastv(layer=3)@none`, `nano-oft:dense`, `nano-oft`; what is left out is as in the first variant."""
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
    """What a pruner answered in the model's place."""

    actions: np.ndarray


class VariantRunner:
    """One variant, ready to be asked as eval would ask it: what `TimedVariant` times, and the same with stages.

    fast: the model at the variant's speed, which variants may share.
    passes: of every query since `start`, whether it took a pass through the model; some pruners answer by themselves.
    cuts, kept: where image tokens left in every query asked with stages that took one, and how many reached the end.
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
        """Multiply-adds of its pruner in a query with these cuts."""
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
        """A pass over the queries begins."""
        self.passes: list[bool] = []
        self.cuts: list[tuple[Cut, ...]] = []
        self.kept: list[int] = []

    def prepare(self, asked: TimedQuery) -> Inputs | CachedAction:
        """Pictures and words as the model reads them, on the host; or the pruner's own answer."""
        self._use()
        observation = asked.observation
        self._begin(observation)
        if isinstance(self._pruner, ForcedCount):
            self._pruner.tell(asked.kept)
        actions = None if self._pruner is None else self._pruner.cached_action(self.processor.query(observation))
        self.passes.append(actions is None)
        if actions is not None:
            return CachedAction(actions)
        inputs = self.processor([observation])
        if asked.prompt is not None:
            prompt = (FILLER,) * (asked.prompt - 1) + (self.model.config.tokens.space,)
            inputs = Inputs(inputs.pixel_values, (prompt,), inputs.proprio, inputs.queries)
        return inputs

    @torch.inference_mode()
    def run(self, prepared: Inputs | CachedAction) -> Tensor | CachedAction:
        """Inputs on the host -> normalised actions on the host: the copy is what is waited for."""
        if isinstance(prepared, CachedAction):
            return prepared
        return self._fast(self._placed(prepared)).actions.to("cpu", torch.float64)

    def finish(self, answer: Tensor | CachedAction, asked: TimedQuery) -> np.ndarray:
        """The robot's actions, which the pruner hears of."""
        observation = asked.observation
        actions = answer.actions if isinstance(answer, CachedAction) else self.processor.robot_actions(answer[0], observation)
        if self._pruner is not None:
            self._pruner.observe(self.processor.query(observation), actions)
        return actions

    @torch.inference_mode()
    def staged(self, asked: TimedQuery) -> dict[str, float] | None:
        """Milliseconds by stage of one query, and note how many image tokens it kept; None where it took no pass."""
        host = Stages("cpu")
        inputs = self.prepare(asked)
        if isinstance(inputs, CachedAction):
            self.finish(inputs, asked)
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
        self.finish(actions, asked)
        after.mark("denormalise")
        (trace,) = output.trace.read()
        self.cuts.append(trace.cuts)
        self.kept.append(trace.cuts[-1].after if trace.cuts else self.model.config.visual_tokens)
        return {**host.milliseconds(), **laps, **after.milliseconds()}

    def _begin(self, observation: Observation) -> None:
        """Forget what was before where the observation does not go on from the last one: another episode, or the same anew."""
        last, self._last = self._last, observation
        if last is None or last.episode != observation.episode or last.step >= observation.step:
            self.model.reset(observation.episode)

    def _use(self) -> None:
        """Variants of one model share its weights and put their pruner in when it is their turn."""
        if self.model.pruner is not self._pruner:
            self.model.pruner = self._pruner

    def _placed(self, inputs: Inputs) -> Inputs:
        proprio = None if inputs.proprio is None else inputs.proprio.to(self._place, self.dtype)
        pixels = inputs.pixel_values.to(self._place, self.dtype)
        return Inputs(pixels, inputs.prompts, proprio, inputs.queries)
