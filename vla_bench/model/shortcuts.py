"""What a forward pass may do otherwise than the reference, with the same result up to rounding."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from transformers.models.llama.modeling_llama import LlamaDecoderLayer

from vla_bench.errors import ModelError
from vla_bench.model.attention import Probe, attend
from vla_bench.model.past import KVCache
from vla_bench.model.sequence import Tokens, narrow


@dataclass(frozen=True)
class Shortcuts:
    """together: all cameras in one call per ViT.
    layers: called in place of the decoder's own layers; None for these.
    rows: the last of `layers` computes only what the action head reads.
    """

    together: bool = True
    layers: Sequence[Callable[..., Tensor]] | None = None
    rows: bool = False


class FastLayer(nn.Module):
    """A decoder layer with the weights of `layer`, called like it.

    fused: one product for queries, keys and values, and one for gate and up, from copies of the weights made at once.
    Raises ModelError where there is more to a projection than a weight: an adapter that is not merged, quantisation.
    """

    def __init__(self, layer: LlamaDecoderLayer, fused: bool):
        super().__init__()
        self.layer = layer
        self.qkv = self.gate_up = None
        if fused:
            attention, mlp = layer.self_attn, layer.mlp
            self.qkv = stacked(attention.q_proj, attention.k_proj, attention.v_proj)
            self.gate_up = stacked(mlp.gate_proj, mlp.up_proj)

    def forward(
        self,
        hidden: Tensor,
        attention_mask: Tensor | None,
        position_embeddings: tuple[Tensor, Tensor],
        past_key_values: None = None,
        probe: Probe | None = None,
        past: KVCache | None = None,
        tokens: Tokens | None = None,
        rows: slice | Tensor | None = None,
    ) -> Tensor:
        """hidden (B, N, D) -> (B, N, D), or only the columns `rows` of it."""
        attention, (cos, sin) = self.layer.self_attn, position_embeddings
        # A probe reads query tokens among all rows; then nothing is saved, and the rows are taken at the end.
        needed = None if probe is not None else rows
        normed = self.layer.input_layernorm(hidden)
        query, key, value = self._project(normed, needed)
        query = _rotate(query, _columns(cos, needed), _columns(sin, needed))
        key = _rotate(key, cos, sin)
        mixed, _ = attend(attention, query, key, value, attention_mask, attention.scaling, probe, past, tokens)
        hidden = _columns(hidden, needed) + attention.o_proj(mixed.flatten(2))
        hidden = hidden + self._mlp(self.layer.post_attention_layernorm(hidden))
        return hidden if needed is rows else _columns(hidden, rows)

    def _project(self, normed: Tensor, needed: slice | Tensor | None) -> list[Tensor]:
        """Queries of the columns `needed`, keys and values of all: (B, heads, N, d) each."""
        attention = self.layer.self_attn
        if self.qkv is None:
            projected = [attention.q_proj(_columns(normed, needed)), attention.k_proj(normed), attention.v_proj(normed)]
        elif needed is None:
            projected = F.linear(normed, self.qkv).chunk(3, dim=-1)
        else:
            queries, others = self.qkv.split([len(self.qkv) // 3, len(self.qkv) // 3 * 2])
            projected = [F.linear(_columns(normed, needed), queries), *F.linear(normed, others).chunk(2, dim=-1)]
        return [x.unflatten(-1, (-1, attention.head_dim)).transpose(1, 2) for x in projected]

    def _mlp(self, x: Tensor) -> Tensor:
        mlp = self.layer.mlp
        if self.gate_up is None:
            return mlp(x)
        gate, up = F.linear(x, self.gate_up).chunk(2, dim=-1)
        return mlp.down_proj(mlp.act_fn(gate) * up)


def stacked(*projections: nn.Module) -> Tensor:
    """One weight for a product that stands for several, copied from theirs.  Raises ModelError where there is more to one."""
    for projection in projections:
        if type(projection) is not nn.Linear or projection.bias is not None:
            raise ModelError(
                f"speed fused: a projection is a {type(projection).__name__} and not a plain weight; merge the adapter first"
            )
    return torch.cat([projection.weight.detach() for projection in projections])


def _rotate(x: Tensor, cos: Tensor, sin: Tensor) -> Tensor:
    """RoPE: (B, heads, N, d) by the angles of (B, N, d), both halves of d turning together."""
    left, right = x.chunk(2, dim=-1)
    return x * cos.unsqueeze(1) + torch.cat([-right, left], dim=-1) * sin.unsqueeze(1)


def _columns(x: Tensor, columns: slice | Tensor | None) -> Tensor:
    return x if columns is None else narrow(x, columns)
