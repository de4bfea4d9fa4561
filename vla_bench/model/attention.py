"""Attention of the decoder: PyTorch's fused kernel, full or causal, with single rows of weights on request.

transformers lets a model name its attention function; ours is registered here.  With it a decoder never depends on the
mask builder of the installed transformers, which reads the gaps in a pruned sequence's positions as borders between
packed sequences, nor on whether that version honours `is_causal = False`.
"""

from __future__ import annotations

from dataclasses import dataclass, field

import torch
import torch.nn.functional as F
from torch import Tensor
from transformers import AttentionInterface

from vla_bench.errors import ModelError
from vla_bench.interface.layout import Layout
from vla_bench.interface.needs import Rows
from vla_bench.interface.view import AttentionRows
from vla_bench.model.past import KVCache
from vla_bench.model.sequence import Tokens
from vla_bench.model.stages import Stages

NAME = "vla_bench"


@dataclass
class Probe:
    """Records the attention rows that a pruner requests, in the layers that it is passed to; its time counts as the pruner's."""

    requests: tuple[Rows, ...]
    layout: Layout
    stages: Stages
    rows: dict[Rows, AttentionRows] = field(default_factory=dict)

    def layers(self) -> set[int]:
        return {request.layer for request in self.requests}

    def record(self, layer: int, query: Tensor, key: Tensor, mask: Tensor | None, scaling: float, tokens: Tokens) -> None:
        """query, key: (B, heads, N, d), rotated; tokens: those entering the layer; keys from the KV cache may be among them."""
        self.stages.mark("decoder")
        for request in self.requests:
            if request.layer != layer:
                continue
            spans = self.layout.columns(request.span, tokens.visual)
            longest = max(map(len, spans))
            if longest == 0:
                raise ModelError(f"there is no {request.span.value} whose attention could be read: decoding has no such tokens")
            indices = torch.tensor([[*span, *[0] * (longest - len(span))] for span in spans], device=query.device)
            query_tokens = query.gather(2, indices[:, None, :, None].expand(-1, query.shape[1], -1, query.shape[3]))
            logits = (query_tokens @ key.mT).float() * scaling
            if mask is not None:
                causal = mask.shape[2] > 1  # then every query token has a mask row of its own
                seen = mask.gather(2, indices[:, None, :, None].expand(-1, -1, -1, mask.shape[3])) if causal else mask
                logits = logits.masked_fill(~seen, -torch.inf)
            valid = None
            if tokens.valid is not None:
                lengths = torch.tensor([len(span) for span in spans], device=query.device)
                valid = (torch.arange(longest, device=query.device) < lengths.unsqueeze(1)) & tokens.valid.gather(1, indices)
            columns, visual = tokens.positions, tokens.visual
            if key.shape[2] > columns.shape[1]:  # completed from the KV cache: every token of the unpruned sequence has a column
                columns, visual = torch.arange(key.shape[2], device=key.device)[None], self.layout.visual
            at = tokens.positions.gather(1, indices), columns
            images = range(self.layout.before, self.layout.before + visual)
            self.rows[request] = AttentionRows(logits.softmax(dim=-1), valid, images, at)
        self.stages.mark("prune")


def attend(
    module,
    query: Tensor,
    key: Tensor,
    value: Tensor,
    attention_mask: Tensor | None,
    scaling: float,
    probe: Probe | None = None,
    past: KVCache | None = None,
    tokens: Tokens | None = None,
    **_,
):
    """(B, heads, N, d) each -> (B, N, heads, d).  `attention_mask` (B, 1, 1 or N, N) bool is all that hides a key.

    past: completes the keys and values with those of tokens that are not computed this time.
    """
    if past is not None:
        key, value = past.complete(module.layer_idx, key, value, tokens.positions)
    if probe is not None:
        probe.record(module.layer_idx, query, key, attention_mask, scaling, tokens)
    mixed = F.scaled_dot_product_attention(query, key, value, attn_mask=attention_mask, scale=scaling)
    return mixed.transpose(1, 2).contiguous(), None


AttentionInterface.register(NAME, attend)
