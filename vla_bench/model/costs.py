"""What a query costs, in closed form: multiply-adds of every matrix product and convolution, and nothing else.

Norms, activations, softmax, RoPE, residuals, look-ups and gathers are left out (together below 0.3 %).  Attention is full:
every query sees every key.  One multiply-add is two FLOPs.  Needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

from vla_bench.interface.config import PROJECTOR_GROWTH, RESIDUAL_BLOCKS, LLMConfig, ViTConfig, VLAConfig
from vla_bench.interface.lengths import Lengths
from vla_bench.model.speed import BUCKET, capacity
from vla_bench.values import Scope


def padded(config: VLAConfig, lengths: Lengths, multiple: int = BUCKET) -> Lengths:
    """With the padding of speed buckets, which is computed like any token: what the smallest bucket costs."""
    rest = others(config, lengths.prompt)
    return replace(lengths, visual=tuple(capacity(v, rest, config.visual_tokens, multiple) for v in lengths.visual))


def others(config: VLAConfig, prompt: int) -> int:
    """Tokens other than image tokens: BOS, proprio, prompt, action slots, stop."""
    return 1 + (1 if config.proprio_dim else 0) + prompt + config.slots + 1


def vit_macs(vit: ViTConfig, config: VLAConfig, blocks: int) -> int:
    """One image through the patch embedding and `blocks` blocks."""
    linear, attention = zip(*(block_macs(vit, config, block) for block in range(blocks)), strict=True)
    return sum(linear) + sum(attention) + config.patches * 3 * vit.patch**2 * vit.width


def block_macs(vit: ViTConfig, config: VLAConfig, block: int) -> tuple[int, int]:
    """One image through a block: its linear layers, and its two attention products.

    Attention to near patches is computed as attention to all, with a mask.  Where a patch sees itself alone there is no
    attention, and of its four linear layers those of queries and keys are left out.
    """
    tokens, alone = config.vit_tokens(vit), config.sees(block) == 0
    linear = tokens * ((2 if alone else 4) * vit.width**2 + 2 * vit.width * vit.mlp)
    return linear, 0 if alone else 2 * tokens**2 * vit.width


def layer_macs(llm: LLMConfig, queries: int, keys: int, read: int | None = None) -> tuple[int, int]:
    """One decoder layer: its seven linear layers, and its two attention products.

    read: of the `queries` rows only so many need an output; keys and values are made of all.
    """
    read = queries if read is None else read
    linear = 2 * queries * llm.width**2 + read * (2 * llm.width**2 + 3 * llm.width * llm.mlp)
    return linear, 2 * read * keys * llm.width


def projector_macs(config: VLAConfig, tokens: int) -> int:
    wide, width = PROJECTOR_GROWTH * config.vision_width, config.llm.width
    return tokens * (config.vision_width * wide + wide * width + width**2)


def proprio_macs(config: VLAConfig) -> int:
    return (config.proprio_dim * config.llm.width + config.llm.width**2) if config.proprio_dim else 0


def head_macs(config: VLAConfig) -> int:
    """The L1 head on every step of the chunk."""
    width = config.llm.width
    step = config.action_dim * width * width + RESIDUAL_BLOCKS * width**2 + width * config.action_dim
    return config.chunk * step if config.l1_head else 0


def macs(config: VLAConfig, lengths: Lengths, scope: Scope = Scope.MODEL, pruner: int = 0, rows: bool = False) -> dict[str, int]:
    """Multiply-adds of one query by module; the sum is the whole query's.

    pruner: multiply-adds of the pruner itself.
    rows: with speed rows, the last decoder layer computes only what the action head reads.  Like padded lengths it says what
        was executed, and is no part of the other scopes.
    """
    assert scope is Scope.EXECUTED or not rows, f"speed rows counted in scope {scope.value}"
    skipped = 1 if scope is Scope.EXECUTED else 0
    rest = others(config, lengths.prompt)
    linear = attention = 0
    for layer, visual in enumerate(lengths.visual):
        keys = visual if lengths.keys is None else lengths.keys[layer]
        read = config.slots if rows and layer + 1 == len(lengths.visual) else None
        one = layer_macs(config.llm, rest + visual, rest + keys, read)
        linear, attention = linear + one[0], attention + one[1]
    by_module = {
        "dino": config.cameras * vit_macs(config.dino, config, config.dino.depth - skipped),
        "siglip": config.cameras * vit_macs(config.siglip, config, config.siglip.depth - skipped),
        "projector": projector_macs(config, lengths.projected),
        "proprio": proprio_macs(config),
        "pruner": pruner,
        "llm_linear": linear,
        "llm_attention": attention,
        "head": head_macs(config),
    }
    if scope is Scope.REFERENCE or not config.l1_head:  # without a head the slots' logits are read
        rows = rest + lengths.visual[-1] if scope is Scope.REFERENCE else config.slots
        by_module["lm_head"] = rows * config.llm.width * config.llm.vocab
    return by_module


def mean_gflops(queries: Sequence[dict[str, int]]) -> dict[str, float]:
    """GFLOP by module, mean over queries: not the cost of the mean query, for attention grows with the square."""
    return {name: 2e-9 * sum(query[name] for query in queries) / len(queries) for name in queries[0]}
