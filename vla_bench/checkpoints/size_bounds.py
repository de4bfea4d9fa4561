"""Bounds of a model's sizes, far beyond any model of this family: a damaged `config.json` is refused before anything is built."""

from __future__ import annotations

import math
from collections.abc import Mapping

from vla_bench.checkpoints.public_format import FormatMismatch
from vla_bench.interface.config import VLAConfig

Bounds = Mapping[str, tuple[float, float]]

MODEL: Bounds = {
    "image_size": (1, 4096),
    "camera_size": (1, 4096),
    "cameras": (1, 16),
    "chunk": (1, 1000),
    "action_dim": (1, 100),
    "proprio_dim": (0, 1000),
    "reach": (0, 256),
}
DECODER: Bounds = {
    "layers": (1, 256),
    "width": (1, 65_536),
    "heads": (1, 1024),
    "mlp": (1, 1_000_000),
    "vocab": (1, 2_000_000),
    "max_positions": (1, 10_000_000),
    "rope_theta": (1, 1e12),
    "rms_eps": (1e-12, 0.1),
}
VIT: Bounds = {
    "width": (1, 65_536),
    "depth": (2, 256),
    "heads": (1, 1024),
    "mlp_ratio": (1e-3, 100),
    "patch": (1, 512),
    "registers": (0, 1024),
}
TOKENS: Bounds = {key: (0, 2_000_000) for key in ("bos", "stop", "pad", "space", "actions_end", "action_bins")}
INSTRUCTION = "{instruction}"
LONGEST = 10_000  # characters of a prompt's template


def check_bounds(config: VLAConfig) -> None:
    """Raises FormatMismatch for a size that no model has, and for a template without a place for the instruction."""
    parts = ((config, MODEL), (config.llm, DECODER), (config.dino, VIT), (config.siglip, VIT), (config.tokens, TOKENS))
    for part, bounds in parts:
        for name, (least, most) in bounds.items():
            value = getattr(part, name)
            if value is not None and not (math.isfinite(value) and least <= value <= most):
                raise FormatMismatch(f"{type(part).__name__}.{name} is {value!r:.60}, not a size from {least:g} to {most:g}")
    template = config.tokens.template
    if INSTRUCTION not in template or len(template) > LONGEST:
        raise FormatMismatch(f"the template {template!r:.60} has no {INSTRUCTION}, or more than {LONGEST:,} characters")
