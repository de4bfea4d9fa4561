"""Random weights: the start of a training from scratch, and a stand-in where there are no trained ones."""

from __future__ import annotations

import torch
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaRMSNorm

from vla_bench.interface.config import VLAConfig
from vla_bench.interface.pruner import Pruner
from vla_bench.model.vision import AttentionPool, LayerScale, ViT
from vla_bench.model.vla import VLA

# Learned vectors that are added to, or stand beside, projected patches: about as large as those are.  The usual 0.02 would
# make them negligible: position and word embeddings would have to grow before the model can learn from them.
VECTOR_STD = 0.5

RANDOM_STATISTICS = {
    "random": {
        "action": {"q01": [-1.0] * 7, "q99": [1.0] * 7, "mask": [True] * 6 + [False]},
        # Wide enough for LIBERO's workspaces: m, rad, m.
        "proprio": {"q01": [-1, -1, 0, -4, -4, -4, 0, -0.04], "q99": [1, 1, 2, 4, 4, 4, 0.04, 0]},
    }
}


def random_vla(
    config: VLAConfig,
    seed: int,
    pruner: Pruner | None = None,
    device: torch.device | str = "cpu",
    dtype: torch.dtype = torch.float32,
) -> VLA:
    """A model in training mode with random weights, the same for the same seed and device; no other randomness is used.

    Matrices are drawn so that signals neither grow nor fade in a narrow network, whose width the usual 0.02 does not suit.
    `pruner` stays as it is, and moves with the model.
    """
    with torch.device("meta"):
        model = VLA(config)
    model.to(dtype).to_empty(device=device)
    generator = torch.Generator(device).manual_seed(seed)
    for name, module in model.named_modules():
        if any(True for _ in module.parameters(recurse=False)):
            _fill(name, module, generator)
    model.openvla.language_model.reset_rotary(device)
    model.attach(pruner)
    if pruner is not None:
        pruner.to(device=device, dtype=dtype)
    return model


def random_heads(model: VLA, seed: int) -> None:
    """New random weights for the action head and the proprio projector, in place."""
    for part in ("action_head", "proprio_projector"):
        head = getattr(model, part)
        if head is not None:
            generator = torch.Generator(next(head.parameters()).device).manual_seed(seed)
            for name, module in head.named_modules():
                if any(True for _ in module.parameters(recurse=False)):
                    _fill(f"{part}.{name}", module, generator)


@torch.no_grad()
def _fill(name: str, module: nn.Module, generator: torch.Generator) -> None:
    """Fill the parameters that belong to `module` itself."""
    own = dict(module.named_parameters(recurse=False))
    if isinstance(module, (nn.Linear, nn.Conv2d)):
        fan_in = own["weight"][0].numel()
        _draw(own.pop("weight"), fan_in**-0.5, generator)
        _set(own, bias=0.0)
    elif isinstance(module, (nn.LayerNorm, LlamaRMSNorm)):
        _set(own, weight=1.0, bias=0.0)
    elif isinstance(module, LayerScale):
        _set(own, scale_factor=1.0)
    elif isinstance(module, nn.Embedding):
        _draw(own["weight"], VECTOR_STD, generator)
        own.pop("weight")[module.padding_idx] = 0.0
    elif isinstance(module, (ViT, AttentionPool)):
        for key in list(own):
            _draw(own.pop(key), VECTOR_STD, generator)
    if own:
        raise TypeError(f"no rule to initialise {', '.join(own)} of {name}, a {type(module).__name__}")


def _draw(weight: Tensor, std: float, generator: torch.Generator) -> None:
    nn.init.trunc_normal_(weight, std=std, a=-2 * std, b=2 * std, generator=generator)


def _set(own: dict[str, Tensor], **values: float) -> None:
    for key, value in values.items():
        if key in own:
            own.pop(key).fill_(value)
