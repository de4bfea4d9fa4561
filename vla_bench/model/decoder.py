"""The Llama decoder of transformers, run layer by layer so that image tokens can leave between any two of them."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace

import torch
from torch import Tensor, nn
from transformers import DynamicCache, LlamaConfig, LlamaModel
from transformers.models.llama.modeling_llama import LlamaRotaryEmbedding

from vla_bench.errors import ModelError
from vla_bench.interface.config import VLAConfig
from vla_bench.model.attention import NAME, Probe
from vla_bench.model.past import KVCache
from vla_bench.model.sequence import Tokens

PruneAt = Callable[[int, Tokens], Tokens]


def llama_config(config: VLAConfig) -> LlamaConfig:
    llm = config.llm
    return LlamaConfig(
        vocab_size=llm.vocab,
        hidden_size=llm.width,
        intermediate_size=llm.mlp,
        num_hidden_layers=llm.layers,
        num_attention_heads=llm.heads,
        max_position_embeddings=llm.max_positions,
        rms_norm_eps=llm.rms_eps,
        rope_parameters={"rope_type": "default", "rope_theta": llm.rope_theta},
        pad_token_id=config.tokens.pad,
        bos_token_id=config.tokens.bos,
        eos_token_id=config.tokens.stop,
        tie_word_embeddings=False,
        attn_implementation=NAME,
    )


@dataclass
class DecodingCache:
    """Keys and values of every layer, for decoding token by token; layers behind a pruning site hold fewer.

    valid: per layer (B, N) bool, or None where nothing is padded.
    """

    cache: DynamicCache
    valid: list[Tensor | None]


class Decoder(nn.Module):
    """Llama with the public key names: `model.*` and `lm_head.weight`."""

    def __init__(self, config: VLAConfig):
        super().__init__()
        self.model = LlamaModel(llama_config(config))
        self.lm_head = nn.Linear(config.llm.width, config.llm.vocab, bias=False)

    def embed(self, ids: Tensor) -> Tensor:
        return self.model.embed_tokens(ids)

    def reset_rotary(self, device: torch.device | str) -> None:
        """Rotary frequencies are computed, not loaded: recompute them after a model was built on the meta device, or
        cast, which would round them."""
        self.model.rotary_emb = LlamaRotaryEmbedding(self.model.config).to(device)

    def forward(
        self,
        tokens: Tokens,
        prune: PruneAt | None = None,
        probe: Probe | None = None,
        memory: DecodingCache | None = None,
        past: KVCache | None = None,
        layers: Sequence[Callable[..., Tensor]] | None = None,
        read: Callable[[Tokens], slice | Tensor] | None = None,
    ) -> Tokens:
        """Run all layers and the final norm; every token sees every other, or only earlier ones where `memory` is filled.

        prune: called before each layer with its index and the tokens entering it; returns those that go on.
        past: cached keys and values of tokens that have left; overwritten with this pass's.
        layers: called in place of the model's own.
        read: the tokens entering the last of `layers` -> the columns of its output that are read; it computes no others.
        """
        layers = self.model.layers if layers is None else layers
        position_embeddings = mask = None
        probed = probe.layers() if probe else ()
        for index, layer in enumerate(layers):
            entering = tokens if prune is None else prune(index, tokens)
            if entering is not tokens or index == 0:
                tokens = entering
                position_embeddings = self.model.rotary_emb(tokens.hidden, tokens.positions)
                mask = attention_mask(tokens, causal=memory is not None, columns=past.length if past else None)
            extra = {}  # empty where not needed: a compiled layer would be compiled anew for every further argument
            if past is not None or index in probed:
                extra = {"probe": probe if index in probed else None, "past": past, "tokens": tokens}
            if read is not None and index + 1 == len(layers):
                extra["rows"] = read(tokens)
            hidden = layer(
                tokens.hidden,
                attention_mask=mask,
                position_embeddings=position_embeddings,
                # With reused keys and values, theirs is the whole sequence: it is what the tokens decoded next see.
                past_key_values=memory.cache if memory and past is None else None,
                **extra,
            )
            tokens = replace(tokens, hidden=hidden)
            if memory is not None:
                memory.valid.append(tokens.valid)
                if past is not None:
                    memory.cache.update(*past.layers[index], index)
        return replace(tokens, hidden=self.model.norm(tokens.hidden))

    def first_queries_and_keys(self, hidden: Tensor) -> tuple[Tensor, Tensor]:
        """Queries and keys of layer 0 for hidden states (B, N, D): (B, heads, N, d) each, not rotated."""
        layer = self.model.layers[0]
        normed, attention = layer.input_layernorm(hidden), layer.self_attn
        projected = attention.q_proj(normed), attention.k_proj(normed)
        query, key = (x.view(*hidden.shape[:2], -1, attention.head_dim).transpose(1, 2) for x in projected)
        return query, key

    def step(self, hidden: Tensor, position: Tensor, memory: DecodingCache) -> Tensor:
        """One more token (B, 1, D) at its original position (B, 1), seeing all that `memory` holds -> its last hidden state."""
        position_embeddings = self.model.rotary_emb(hidden, position)
        for index, layer in enumerate(self.model.layers):
            valid = memory.valid[index]
            if valid is not None:
                valid = memory.valid[index] = torch.cat([valid, torch.ones_like(valid[:, :1])], dim=1)
            hidden = layer(
                hidden,
                attention_mask=None if valid is None else valid[:, None, None],
                position_embeddings=position_embeddings,
                past_key_values=memory.cache,
            )
        return self.model.norm(hidden)

    def check_bidirectional(self) -> None:
        """Every token must see every other: changing the last one must change the first, also across a gap in positions.

        Raises ModelError with a transformers whose decoder layers do not use the attention they are given.
        """
        weight = self.model.norm.weight
        hidden = torch.linspace(-1, 1, 6 * len(weight), device=weight.device, dtype=weight.dtype).sin().view(1, 6, -1)
        positions = torch.tensor([[0, 1, 4, 90, 91, 92]], device=weight.device)
        changed = hidden.clone()
        changed[:, -1] += 1
        # The attention alone: in bfloat16 the residual of a whole layer may swallow what small weights add.
        attention, embeddings = self.model.layers[0].self_attn, self.model.rotary_emb(hidden, positions)
        with torch.no_grad():
            first, second = (attention(x, embeddings, attention_mask=None)[0][0, 0] for x in (hidden, changed))
        if torch.equal(first, second):
            import transformers

            raise ModelError(
                f"attention is not bidirectional: transformers {transformers.__version__} ignores the attention it is given",
                'pip install "transformers>=5.2"',
            )


def attention_mask(tokens: Tokens, causal: bool, columns: int | None = None) -> Tensor | None:
    """What each query may see, (B, 1, 1 or N, N) bool; None for everything, which allows the fastest kernel.

    columns: keys of the whole sequence, where those of tokens that are not computed are reused.
    """
    mask = None if tokens.valid is None else tokens.valid[:, None, None]
    if causal and columns is not None:
        at = torch.arange(columns, device=tokens.positions.device)
        return (at <= tokens.positions.unsqueeze(2)).unsqueeze(1)
    if causal:
        earlier = (tokens.positions.unsqueeze(1) <= tokens.positions.unsqueeze(2)).unsqueeze(1)
        # A padded query would see nothing, and its softmax would be NaN; its output is never read.
        diagonal = torch.eye(tokens.positions.shape[1], dtype=torch.bool, device=tokens.positions.device)
        mask = earlier if mask is None else (earlier & mask) | diagonal
    return mask
