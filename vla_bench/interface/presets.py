"""Models by name: the paper's 7B, and two of the same classes made small enough to train and test on two CPU cores."""

from __future__ import annotations

from dataclasses import replace

from vla_bench.errors import UsageError, nearest
from vla_bench.interface.config import DINOV2, SIGLIP, LLMConfig, TokenIds, VLAConfig

SEVEN_B = VLAConfig()

# 8 x 8 patches a camera, 128 image tokens; 0.78 GFLOP for a dense query.  Deep and narrow with few heads: what a batch saves
# on a CPU is the fixed cost of every layer, and softmax, whose cost grows with the heads, is expensive there.
# The vocabulary is laid out like Llama-2's in OpenVLA: words, 256 action bins, pad, and padding to a multiple of 64.
NANO = VLAConfig(
    name="nano",
    image_size=112,
    camera_size=128,  # to 112 pixels as the paper's 256 are to 224; LIBERO's own demonstrations have 128
    dino=replace(DINOV2, width=64, depth=8, heads=2),
    siglip=replace(SIGLIP, width=64, depth=8, heads=2, mlp_ratio=4.0),
    llm=LLMConfig(width=128, layers=6, heads=2, mlp=256, vocab=448, max_positions=512),
    tokens=TokenIds(bos=1, stop=2, space=3, actions_end=384, pad=384, template="{instruction}"),
)

# Its patches see themselves alone: which image tokens are kept decides what the model knows.  In `nano`, attention in the vision
# transformers writes where the objects are into every patch, and any few image tokens tell it.
NANO_LOCAL = replace(NANO, name="nano-local", reach=0)

# Plain OpenVLA, whose actions are tokens decoded one after another: sizes of the public checkpoints, and no preset.
OPENVLA = replace(SEVEN_B, name="openvla", cameras=1, proprio_dim=0, l1_head=False)

PRESETS = {config.name: config for config in (SEVEN_B, NANO, NANO_LOCAL)}


def preset(name: str) -> VLAConfig:
    """The sizes called `name`, one of PRESETS.  Raises UsageError."""
    if name not in PRESETS:
        known = list(PRESETS)
        raise UsageError(f'unknown preset "{name}".{nearest(name, known)} Presets: {", ".join(known)}', "vla-bench models")
    return PRESETS[name]
