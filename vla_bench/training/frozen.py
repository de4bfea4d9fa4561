"""Weights that a training leaves as they are."""

from __future__ import annotations

from torch import nn

from vla_bench.errors import UsageError
from vla_bench.model.vla import VLA


def freeze(model: VLA, parts: tuple[str, ...]) -> None:
    """Freeze `parts`, of those that `recipe.PARTS` names, and what the actions do not depend on.

    An adapter in a frozen part is frozen, too.  Raises UsageError where no weight is left to train.
    """
    base = model.openvla
    by_name = {"vision": [base.vision_backbone], "projector": [base.projector], "llm": [base.language_model]}
    by_name["heads"] = [model.action_head, model.proprio_projector]
    for part in [*_unused(model), *(part for name in parts for part in by_name[name])]:
        if part is not None:
            part.requires_grad_(False)
    if not any(p.requires_grad for p in model.parameters()):
        raise UsageError("everything is frozen, and nothing is left to train", "vla-bench train --freeze vision ...")


def _unused(model: VLA) -> list[nn.Module | nn.Parameter | None]:
    """The last ViT blocks, their final norms, the pooling head, lm_head, and CLS and registers where no patch sees them."""
    base = model.openvla
    parts: list[nn.Module | nn.Parameter | None] = [base.language_model.lm_head]
    for vit in (base.vision_backbone.featurizer, base.vision_backbone.fused_featurizer):
        parts += [vit.blocks[-1], vit.norm, getattr(vit, "attn_pool", None)]
        if not vit.prefix:
            parts += [getattr(vit, "cls_token", None), getattr(vit, "reg_token", None)]
    return parts
