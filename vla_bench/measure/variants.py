"""What `latency` compares: a model with a pruner, run at some speed, spelled `[MODEL:]PRUNER[@SPEED]`."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

import numpy as np
import torch
from torch import Tensor

from vla_bench.errors import UsageError
from vla_bench.measure.forced import Forced
from vla_bench.measure.replay import Asked
from vla_bench.measure.timing import Timed
from vla_bench.model.fast import FastVLA
from vla_bench.model.known import bundled
from vla_bench.model.presets import PRESETS
from vla_bench.model.processor import Processor
from vla_bench.model.speed import Speed
from vla_bench.model.stages import Stages
from vla_bench.model.vla import VLA, Inputs, Output
from vla_bench.pruners.base import Pruner
from vla_bench.pruners.registry import NONE, make_pruner
from vla_bench.records import EpisodeKey

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


class Asker:
    """One variant, ready to be asked: what `Timed` times, and the same with stages.

    kept: image tokens at the end of every query asked with stages.
    """

    def __init__(self, variant: Variant, model: VLA, processor: Processor, pruner: Pruner | None):
        self.variant = variant
        self.model = model
        self.processor = processor
        weight = model.openvla.projector.fc1.weight
        self._place, self.dtype = weight.device, weight.dtype
        self._pruner = None if pruner is None else pruner.to(self._place, self.dtype).eval()
        self._episode: EpisodeKey | None = None
        self._use()
        self._run = FastVLA(model, Speed.parse(variant.speed))
        self.kept: list[int] = []

    @property
    def pruner(self) -> str:
        return NONE if self._pruner is None else self._pruner.label

    @property
    def name(self) -> str:
        return f"{self.variant.model}:{DENSE if self.pruner == NONE else self.pruner}@{self.variant.speed}"

    def timed(self) -> Timed[Asked]:
        return Timed(self.name, self.prepare, self.run, self.finish)

    def prepare(self, asked: Asked) -> Inputs:
        """Pictures and words as the model reads them, on the host."""
        self._use()
        if asked.observation.episode != self._episode:
            self._episode = asked.observation.episode
            self.model.reset(self._episode)
        if isinstance(self._pruner, Forced):
            self._pruner.tell(asked.kept)
        inputs = self.processor([asked.observation])
        if asked.prompt is not None:
            prompt = (FILLER,) * (asked.prompt - 1) + (self.model.config.tokens.space,)
            inputs = Inputs(inputs.pixel_values, (prompt,), inputs.proprio, inputs.queries)
        return inputs

    @torch.inference_mode()
    def run(self, inputs: Inputs) -> Tensor:
        """Inputs on the host -> normalised actions on the host: the copy is what is waited for."""
        return self._run(self._placed(inputs)).actions.to("cpu", torch.float64)

    def finish(self, actions: Tensor, asked: Asked) -> np.ndarray:
        return self.processor.robot_actions(actions[0], asked.observation)

    @torch.inference_mode()
    def staged(self, asked: Asked) -> dict[str, float]:
        """Milliseconds by stage of one query, and note how many image tokens it kept."""
        host = Stages("cpu")
        inputs = self.prepare(asked)
        host.mark("preprocess")
        stages = Stages(self._place)
        inputs = self._placed(inputs)
        stages.mark("h2d")
        output: Output = self._run(inputs, stages)
        actions = output.actions.to("cpu", torch.float64)
        stages.mark("d2h")
        laps = stages.milliseconds()
        after = Stages("cpu")
        self.finish(actions, asked)
        after.mark("denormalise")
        self.kept.append(sum(output.kept_per_camera()[0]))
        return {**host.milliseconds(), **laps, **after.milliseconds()}

    def _use(self) -> None:
        """Variants of one model share its weights and put their pruner in when it is their turn."""
        if self.model.pruner is not self._pruner:
            self.model.pruner = self._pruner

    def _placed(self, inputs: Inputs) -> Inputs:
        proprio = None if inputs.proprio is None else inputs.proprio.to(self._place, self.dtype)
        pixels = inputs.pixel_values.to(self._place, self.dtype)
        return Inputs(pixels, inputs.prompts, proprio, inputs.queries)


def attached(model: VLA, asked: str | Pruner, forced: bool) -> Pruner | None:
    """The pruner, or the one called so, fitted to the model.  `forced`: it will be told what to keep."""
    pruner = make_pruner(asked) if isinstance(asked, str) else asked
    if pruner is not None and forced:
        pruner = Forced(pruner)
    model.attach(pruner)
    return pruner
