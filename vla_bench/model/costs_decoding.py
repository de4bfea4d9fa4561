"""What a query costs that is decoded token by token, as plain OpenVLA does it: one pass over the whole sequence, then one row at
a time against the keys and values cached in every layer.

Beside `costs.py`, under the same conventions.  Needs no torch.
"""

from __future__ import annotations

from collections.abc import Sequence

from vla_bench.interface.config import LLMConfig, VLAConfig
from vla_bench.interface.lengths import Lengths
from vla_bench.model.costs import layer_macs, macs
from vla_bench.values import Scope


def steps_macs(llm: LLMConfig, cached: Sequence[int], steps: int) -> tuple[int, int]:
    """`steps` tokens one after another: their linear layers, and their two attention products.

    cached: tokens that each layer holds after the first pass.  A token sees these, those decoded before it, and itself.
    """
    one = [layer_macs(llm, 1, tokens + step) for tokens in cached for step in range(1, steps + 1)]
    return sum(linear for linear, _ in one), sum(attention for _, attention in one)


def others_decoding(config: VLAConfig, prompt: int) -> int:
    """Tokens other than image tokens: BOS, proprio, prompt.  There are no action slots and no stop token."""
    return 1 + (1 if config.proprio_dim else 0) + prompt


def decoding_macs(config: VLAConfig, lengths: Lengths, scope: Scope = Scope.MODEL, pruner: int = 0) -> dict[str, int]:
    """Multiply-adds of one query by module; the first pass gives the first of the `action_dim` tokens.

    "decode_linear" and "decode_attention" are the passes of one row; the rest is as in `costs.macs`, but without the head, and
    with lm_head, whose logits are read here: once a token, in REFERENCE for every row of the first pass.
    """
    rest = others_decoding(config, lengths.prompt)
    by_module = macs(config, lengths, scope, pruner)
    keys = lengths.visual if lengths.keys is None else lengths.keys
    layers = [layer_macs(config.llm, rest + visual, rest + key) for visual, key in zip(lengths.visual, keys, strict=True)]
    by_module["llm_linear"], by_module["llm_attention"] = (sum(costs) for costs in zip(*layers, strict=True))
    steps = config.action_dim - 1
    by_module["decode_linear"], by_module["decode_attention"] = steps_macs(config.llm, [rest + key for key in keys], steps)
    first = rest + lengths.visual[-1] if scope is Scope.REFERENCE else 1
    by_module["lm_head"] = (first + steps) * config.llm.width * config.llm.vocab
    del by_module["head"]
    return by_module
