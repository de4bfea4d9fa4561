"""LoRA as the paper fine-tunes: low-rank updates on every linear layer, and on the two patch embeddings, of `model.openvla`."""

from __future__ import annotations

from torch import nn

from vla_bench.model.vla import OpenVLA

# The result of peft's "all-linear" on OpenVLA; given as names, since peft resolves it only for transformers' own models.
TARGETS = "q_proj k_proj v_proj o_proj gate_proj up_proj down_proj lm_head qkv proj fc1 fc2 fc3 q kv".split()


def add_lora(openvla: OpenVLA, rank: int) -> nn.Module:
    """A PeftModel around `openvla` whose only trainable weights are the adapters' (paper: rank 32, alpha 16, no dropout)."""
    from peft import LoraConfig, get_peft_model

    config = LoraConfig(
        r=rank, lora_alpha=min(rank, 16), lora_dropout=0.0, target_modules=list(TARGETS), init_lora_weights="gaussian"
    )
    return get_peft_model(openvla, config, autocast_adapter_dtype=False)
