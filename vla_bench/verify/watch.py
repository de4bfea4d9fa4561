"""Recording of a forward pass: the tensors between the parts of the model, and the view and choice of its pruner."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

from torch import Tensor

from vla_bench.interface.selection import Resampling, Selection
from vla_bench.interface.view import View
from vla_bench.model.vla import VLA
from vla_bench.pruners.lightvla import LightVLA


@dataclass
class Activations:
    """Tensors of a forward pass, recorded while it runs.

    features: (B, P, vision width) both ViTs.  patches: (B, P, D) projected.  proprio: (B, 1, D).
    entering, layer0: (B, N, D) before and after the first decoder layer.
    """

    features: Tensor | None = None
    patches: Tensor | None = None
    proprio: Tensor | None = None
    entering: Tensor | None = None
    layer0: Tensor | None = None


@contextmanager
def watch(model: VLA) -> Iterator[Activations]:
    """Record the activations of forward passes inside the `with` block; the last one counts."""
    seen = Activations()

    def output_to(name: str):
        def hook(module, args, output):
            setattr(seen, name, output)

        return hook

    def entering(module, args):
        seen.entering = args[0]

    layer = model.openvla.language_model.model.layers[0]
    hooks = [
        model.openvla.vision_backbone.register_forward_hook(output_to("features")),
        model.openvla.projector.register_forward_hook(output_to("patches")),
        layer.register_forward_pre_hook(entering),
        layer.register_forward_hook(output_to("layer0")),
    ]
    if model.proprio_projector is not None:
        hooks.append(model.proprio_projector.register_forward_hook(output_to("proprio")))
    try:
        yield seen
    finally:
        for hook in hooks:
            hook.remove()


class RecordingLightVLA(LightVLA):
    """LightVLA that records its last view and choice."""

    view: View
    choice: Selection | Resampling

    def select(self, view: View) -> Selection | Resampling:
        self.view, self.choice = view, super().select(view)
        return self.choice
