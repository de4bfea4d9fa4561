"""The small Llama of a `baselines_*` file as this package's own decoder, with a pruner.

    llama = load(given)
    run = llama.run(given["inputs_embeds"], FastV(layer=2, keep=0.5))
    run.tokens.hidden, run.tokens.positions, run.tokens_per_layer

It checks the code that prunes the real model: gathering, positions, masks, attention rows.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import torch
from transformers import DynamicCache

from vla_bench.interface.config import LLMConfig, TokenIds, VLAConfig
from vla_bench.interface.layout import Layout
from vla_bench.interface.needs import Rows
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.trace import PassTrace
from vla_bench.interface.view import AttentionRows, Query
from vla_bench.model.decoder import Decoder, DecodingCache
from vla_bench.model.past import KVCache
from vla_bench.model.pruning import PruningPass
from vla_bench.model.sequence import Tokens
from vla_bench.model.stages import Stages
from vla_bench.records import EpisodeKey
from vla_bench.verify.fixture import Array, Fixture


@dataclass(frozen=True)
class LlamaPass:
    """The results of one pass.

    tokens: after the final norm.
    entering: the tokens that entered each layer.
    trace: which image tokens its pruner kept.
    rows: the attention rows that the pruner requested.
    """

    tokens: Tokens
    entering: tuple[Tokens, ...]
    trace: PassTrace
    rows: Mapping[Rows, AttentionRows]

    @property
    def tokens_per_layer(self) -> list[int]:
        return [tokens.hidden.shape[1] for tokens in self.entering]


@dataclass(frozen=True)
class Llama:
    """A decoder on the CPU in float32, and the layout of its sequence: tokens before, image tokens, text."""

    config: VLAConfig
    decoder: Decoder
    layout: Layout

    @torch.no_grad()
    def run(
        self,
        embeds: Array,
        pruner: Pruner | None = None,
        causal: bool = True,
        queries: Sequence[Query] = (),
        pasts: dict[EpisodeKey, KVCache] | None = None,
    ) -> LlamaPass:
        """One pass over (1, N, D), the pruner's `attach` having been called or not as the caller likes.

        causal: every token sees earlier ones only; otherwise all see all, as in OpenVLA-OFT.
        pasts: keys and values by episode, for a pruner that reuses them; filled here.
        """
        hidden = torch.as_tensor(embeds)
        positions = torch.arange(hidden.shape[1]).expand(len(hidden), -1)
        ids = torch.arange(self.layout.visual).expand(len(hidden), -1)
        tokens = Tokens(hidden, positions, None, ids, self.layout)
        first_layer = self.decoder.first_queries_and_keys
        caches = {} if pasts is None else pasts
        pruning = PruningPass(pruner, self.layout, tuple(queries), first_layer=first_layer, caches=caches, stages=Stages())
        entering: list[Tokens] = []

        def before(layer: int, tokens: Tokens) -> Tokens:
            entering.append(tokens if pruning.before is None else pruning.before(layer, tokens))
            return entering[-1]

        memory = DecodingCache(DynamicCache(), []) if causal else None
        tokens = self.decoder(pruning.at_input(tokens), before, pruning.probe, memory, pruning.past)
        rows = pruning.probe.rows if pruning.probe else {}
        return LlamaPass(tokens, tuple(entering), pruning.trace, rows)


def load(given: Fixture, prefix: str = "w/") -> Llama:
    """The model whose weights are `prefix` + their public names; sizes and constants have the same prefix without the "w/".

    Raises FixtureError where a tensor is missing, RuntimeError where a weight has the wrong shape.
    """
    root = prefix.removesuffix("w/")
    layers, before, visual, text, width, heads, mlp = (int(n) for n in given[root + "meta"][:7])
    llm = LLMConfig(
        width=width,
        layers=layers,
        heads=heads,
        mlp=mlp,
        vocab=1,
        rope_theta=float(given[root + "rope_theta"]),
        rms_eps=float(given[root + "rms_eps"]),
    )
    config = VLAConfig(name="llama", cameras=1, llm=llm, tokens=TokenIds(bos=0, stop=0, pad=0), proprio_dim=0, l1_head=False)
    with torch.device("meta"):  # the weights are replaced at once: no time or random numbers for initial ones
        decoder = Decoder(config)
    names = [name for name in decoder.model.state_dict() if not name.startswith("embed_tokens.")]
    weights = {name: torch.as_tensor(given[prefix + name]) for name in names}
    decoder.model.load_state_dict(weights, strict=False, assign=True)
    decoder.reset_rotary("cpu")
    layout = Layout(cameras=1, patches=visual, proprio=0, prompts=(text,), slots=0, before=before)
    return Llama(config, decoder.eval(), layout)
