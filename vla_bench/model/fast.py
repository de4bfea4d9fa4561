"""The model with speed switches on: same weights, same actions up to rounding, for inference only.

    fast = FastVLA(model, Speed.parse("cameras,rows,fused"))
    output = fast(inputs)

speed.py says what each switch does; shortcuts.py, buckets.py and graphs.py do it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import partial

import torch
from torch import Tensor

from vla_bench.errors import ModelError
from vla_bench.model.buckets import Bucketed
from vla_bench.model.graphs import GraphCache, at_once
from vla_bench.model.shortcuts import FastLayer, Shortcuts
from vla_bench.model.speed import Speed
from vla_bench.model.stages import Stages
from vla_bench.model.vla import VLA, Inputs, Output

SHAPES = 128  # variants of one function that may be compiled: buckets of the sequence, with and without padding


class FastVLA:
    """Called like the model, with whatever pruner is attached to it.

    cameras, rows and fused work with every pruner.  buckets (and compile and graphs, which need it) work with one query at a
    time, and with no pruner or one that chooses image tokens at the LLM's input and does nothing else; LightVLA chooses
    without waiting for the device, other pruners outside the static pass.

    Differences in the `Output`: with rows, `tokens.hidden` is `slots`; with buckets, actions lie in the host's memory, where
    they arrive with the counts, and tokens are padded, `valid` saying where.  Stages: with buckets there is no "head", which
    is within "decoder", and LightVLA's "prune" too.

    The weights must not change afterwards: with fused they have been copied.
    backend: torch.compile's.
    Raises ModelError where the model does not allow a switch.
    """

    def __init__(self, model: VLA, speed: Speed, backend: str | Callable = "inductor"):
        device = model.openvla.projector.fc1.weight.device
        if speed.graphs and device.type != "cuda":
            raise ModelError(
                f"speed graphs: CUDA graphs need a CUDA device, and the model is on {device.type}", "leave out graphs"
            )
        if not model.lean:
            raise ModelError(f"speed {speed}: this model also runs the parts that only the reference runs", "VLA(..., lean=True)")
        self.model, self.speed = model, speed
        # To compile, all layers must be ours: the model's own would be compiled with all of their options.
        ours, plain = speed.fused or speed.compile, model.openvla.language_model.model.layers
        layers: list[Callable[..., Tensor]] = [FastLayer(layer, speed.fused) for layer in plain] if ours else [*plain]
        if speed.rows and not ours:
            layers[-1] = FastLayer(layers[-1], fused=False)

        def encode_images(pixel_values: Tensor, attention: bool) -> tuple[Tensor, Tensor | None]:
            features, siglip_attention = model.encode_images(pixel_values, attention, speed.cameras)
            return model.openvla.projector(features), siglip_attention

        if speed.compile:
            # One layer and not the whole pass: all layers share the result, and prompts of other lengths do too.
            compiled = torch.compile(FastLayer.forward, dynamic=False, backend=backend)
            layers = [partial(compiled, layer) for layer in layers]
            encode_images = torch.compile(encode_images, dynamic=False, backend=backend)
        self._shortcuts = Shortcuts(speed.cameras, layers, speed.rows)
        call = GraphCache() if speed.graphs else at_once
        self._bucketed = Bucketed(model, self._shortcuts, encode_images, call) if speed.buckets else None

    @property
    def reruns(self) -> int:
        """Queries so far that kept more than their bucket held, and were run again."""
        return self._bucketed.reruns if self._bucketed else 0

    @torch.inference_mode()
    def __call__(self, inputs: Inputs, stages: Stages | None = None) -> Output:
        """Like `VLA.forward`."""
        if self.model.training:
            raise ModelError("speed switches are for inference, and the model is in training mode", "model.eval()")
        stages = stages or Stages(inputs.pixel_values.device)
        if self._bucketed is None:
            return self.model(inputs, stages, self._shortcuts)
        with _many_shapes() if self.speed.compile else nullcontext():
            return self._bucketed(inputs, stages)


@contextmanager
def _many_shapes() -> Iterator[None]:
    """torch.compile gives up on a function after eight shapes; there are few here, but more than eight."""
    import torch._dynamo.config as limits

    with limits.patch({"recompile_limit": SHAPES}):
        yield
