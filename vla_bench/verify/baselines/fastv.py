"""`baselines_fastv.npz`: FastV in a causal Llama, and its choice on given attention."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from vla_bench.interface.layout import Layout, Span
from vla_bench.interface.needs import Rows
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import before_layer
from vla_bench.interface.view import AttentionRows, Patches, Query, View
from vla_bench.pruners.fastv import FastV
from vla_bench.pruners.shares import count
from vla_bench.verify.baselines.llama import Llama, load
from vla_bench.verify.compare import ACTIVATIONS, EXACT, Computed, Tolerance
from vla_bench.verify.fixture import Fixture

SCORES = Tolerance(2e-6, floor=0.0)
DEEP = Tolerance(2e-5, floor=0.0)  # attention after several layers, each with its own rounding


def computed(given: Fixture) -> Iterator[Computed]:
    """Inputs: weights, inputs_embeds, hf/case*/K_r, inplace/case*/{attn, sys_img_rank}."""
    llama = load(given)
    yield from _dense(given, llama)
    for case in _cases(given, "hf/", "K_r"):
        yield from _end_to_end(given, llama, case)
    for case in _cases(given, "inplace/", "attn"):
        yield from _given_attention(given, case)


class AllAttention(Pruner):
    """Keeps every token and requests all attention of some layers."""

    name = "all-attention"

    def __init__(self, layers: list[int]):
        super().__init__()
        self.sites = ()
        self.rows = tuple(Rows(layer, Span.ALL) for layer in layers)

    def select(self, view: View) -> None:
        return None


def _cases(given: Fixture, prefix: str, tensor: str) -> list[str]:
    return [name.removesuffix(tensor) for name in given.names(prefix) if name.endswith("/" + tensor)]


def _dense(given: Fixture, llama: Llama) -> Iterator[Computed]:
    name = "dense/attn_layer"
    run = llama.run(given["inputs_embeds"], AllAttention([int(tensor.removeprefix(name)) for tensor in given.names(name)]))
    yield Computed("dense/last_hidden", run.tokens.hidden, ACTIVATIONS)
    for request, rows in run.rows.items():
        yield Computed(f"{name}{request.layer}", rows.weights[0], DEEP, family=f"{name}*")


def _end_to_end(given: Fixture, llama: Llama, case: str) -> Iterator[Computed]:
    layer, dropped = given[case + "K_r"].tolist()
    pruner = FastV(int(layer), 1 - dropped, rater="last", quota="global")
    run = llama.run(given["inputs_embeds"], pruner)
    yield Computed(case + "num_keep", count(pruner.keep, llama.layout.visual), EXACT, family="hf/case*/num_keep")
    yield Computed(case + "keep_indices", run.tokens.positions[0], EXACT, family="hf/case*/keep_indices")
    yield Computed(case + "tokens_per_layer", run.tokens_per_layer, EXACT, family="hf/case*/tokens_per_layer")
    yield Computed(case + "last_hidden", run.tokens.hidden, ACTIVATIONS, family="hf/case*/last_hidden")


def _given_attention(given: Fixture, case: str) -> Iterator[Computed]:
    before, visual, k = given[case + "sys_img_rank"].tolist()
    attention = torch.as_tensor(given[case + "attn"])
    rest = attention.shape[-1] - before - visual
    layout = Layout(cameras=1, patches=visual, proprio=0, prompts=(rest,), slots=0, before=before)
    pruner = FastV(keep=k / visual, rater="last", quota="global")  # a share, since a number of 1 would mean all
    rows = AttentionRows(attention[:, :, -1:], None, range(before, before + visual))
    patches = Patches(torch.zeros(1, visual, 1), torch.arange(visual)[None])
    view = View(before_layer(2), patches, layout, (Query(),), rows={pruner.rows[0]: rows})
    keep = _mask(pruner.select(view), visual)
    kept = torch.cat([torch.ones(before), keep, torch.ones(rest)]).nonzero().flatten()
    ranked = torch.sort(rows.images()[0], descending=True, stable=True).indices
    ranked = ranked[keep[ranked].bool()]
    yield Computed(case + "score", rows.images()[0], SCORES, family="inplace/case*/score")
    yield Computed(case + "top_index_unsorted", before + ranked, EXACT, family="inplace/case*/top_index_unsorted")
    yield Computed(case + "keep_indices", kept, EXACT, family="inplace/case*/keep_indices")


def _mask(choice: Selection | None, visual: int) -> torch.Tensor:
    return torch.ones(visual) if choice is None else choice.keep[0].float()
