"""`baselines_sparsevlm_*.npz`: SparseVLM's cuts in a causal Llama; its first release's count, and its clusters, alone."""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vla_bench.interface.layout import Layout, Span
from vla_bench.interface.needs import Rows
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT, before_layer
from vla_bench.interface.view import AttentionRows, Patches, Query, View
from vla_bench.pruners.query_tokens import paid_to_images, query_token_scores, rank
from vla_bench.pruners.recycling import best_dropped, cluster, merge
from vla_bench.pruners.sparsevlm import SparseVLM
from vla_bench.pruners.sparsevlm_releases import RELEASES, sizes
from vla_bench.verify.baselines.llama import load
from vla_bench.verify.compare import ACTIVATIONS, EXACT, Computed, Tolerance
from vla_bench.verify.fixture import Fixture

SCORES = Tolerance(2e-6, floor=0.0)
DEEP = Tolerance(2e-5, floor=0.0)  # attention and hidden states after several layers, each with its own rounding


def computed(given: Fixture) -> Iterator[Computed]:
    """Inputs: weights, inputs_embeds, version2, retain, sparse_token_list, pruning_layers; rank/case*/{attn, layout,
    rater_rel, scale_bias}; cluster/case*/{x, k}."""
    if "inputs_embeds" in given:
        yield from _end_to_end(given)
    for case in (name.removesuffix("attn") for name in given.names("rank/") if name.endswith("/attn")):
        yield from _rank(given, case)
    for case in (name.removesuffix("x") for name in given.names("cluster/") if name.endswith("/x")):
        tokens, groups = torch.as_tensor(given[case + "x"]).unsqueeze(0), int(given[case + "k"])
        merged = merge(tokens, cluster(tokens, groups)[0], groups)
        yield Computed(case + "out", merged[0], SCORES, family="cluster/case*/out")


class RecordingSparseVLM(SparseVLM):
    """SparseVLM as released, without noise; records its views and choices, and requests all attention of some layers."""

    def __init__(self, variant: str, counts: tuple[int, ...], layers: tuple[int, ...], whole: list[int]):
        # The first release drops positions from the end, the second one those of the tokens that leave.
        positions = "keep" if RELEASES[variant].unrotates else "renumber"
        super().__init__(variant, counts=counts, layers=layers, positions=positions, always_drop=True)
        self.noise = 0.0  # not an argument of a variant that merges nothing
        self.everything = tuple(Rows(layer, Span.ALL) for layer in whole)
        self.rows = (*self.rows, *self.everything)
        self.recorded: list[tuple[View, Selection]] = []
        self.input: View | None = None

    def select(self, view: View) -> Selection | None:
        choice = super().select(view)
        if view.site == LLM_INPUT:
            self.input = view
        else:
            self.recorded.append((view, choice))
        return choice


def _end_to_end(given: Fixture) -> Iterator[Computed]:
    variant = "v2" if int(given["version2"]) else "v1.5"
    layers = tuple(int(layer) for layer in given["pruning_layers"])
    counts = tuple(int(number) for number in given["sparse_token_list"])
    llama = load(given)
    whole = [layer for layer in layers if _whole(layer) in given]
    pruner = RecordingSparseVLM(variant, counts, layers, whole)
    pruner.attach(llama.config)
    run = llama.run(given["inputs_embeds"], pruner)
    published = RELEASES[variant].budgets.get(int(given["retain"]))
    if published is not None and layers == RELEASES[variant].cuts:
        yield Computed("sparse_token_list", published, EXACT)
    text, real = pruner.input.prompt()
    yield Computed("rater_scores", query_token_scores(pruner.input.patches.hidden, text, None, real)[0], SCORES)
    yield Computed("rater_index_rel_text", pruner.query_tokens[0].nonzero().flatten(), EXACT)
    yield Computed("tokens_per_layer", run.tokens_per_layer, EXACT)
    for name in given.names("position_ids_layer"):
        entering = run.entering[int(name.removeprefix("position_ids_layer"))]
        yield Computed(name, entering.positions[0], EXACT, family="position_ids_layer*")
    yield Computed("last_hidden", run.tokens.hidden, ACTIVATIONS)
    for request in pruner.everything:
        yield _whole_attention(pruner, run.rows[request], request.layer)
    for (view, choice), rows, layer in zip(pruner.recorded, pruner.rows, layers, strict=False):
        yield from _cut(given, pruner, view, choice, view.rows[rows], layer)


def _whole(layer: int) -> str:
    return f"prune_L{layer}/attn_headmean"


def _whole_attention(pruner: RecordingSparseVLM, rows: AttentionRows, layer: int) -> Computed:
    """All attention rows of a layer; the pruner itself uses only the prompt's."""
    chosen = torch.zeros(rows.weights.shape[0], rows.weights.shape[2], dtype=torch.bool)
    chosen[:, rows.image_columns.stop :] = pruner.query_tokens
    return Computed(_whole(layer), pruner.head_mean(rows, chosen)[0], DEEP, family="prune_L*/attn_headmean")


def _cut(
    given: Fixture, pruner: RecordingSparseVLM, view: View, choice: Selection, rows: AttentionRows, layer: int
) -> Iterator[Computed]:
    def answer(name: str, value: Tensor | int, tolerance: Tolerance) -> Computed:
        return Computed(f"prune_L{layer}/{name}", value, tolerance, family=f"prune_L*/{name}")

    scores = paid_to_images(pruner.head_mean(rows, pruner.query_tokens), pruner.query_tokens, rows.image_columns)
    dropped = int((~choice.keep).sum())
    yield answer("n_vis_before", view.patches.ids.shape[1], EXACT)
    yield answer("score", scores[0], DEEP)
    yield answer("keep_mask", choice.keep[0], EXACT)
    if pruner.release.recycles:
        taken, groups = sizes(dropped)
        columns = best_dropped(scores, choice.keep, None, taken)[0]
        yield answer("merge_in", view.patches.hidden[0, columns], DEEP)
        yield answer("cluster_num", groups, EXACT)
        yield answer("merge_out", choice.merged.hidden[0], DEEP)


def _rank(given: Fixture, case: str) -> Iterator[Computed]:
    before, visual, text = given[case + "layout"].tolist()
    scale, bias = given[case + "scale_bias"].tolist()
    attention = torch.as_tensor(given[case + "attn"])
    pruner = SparseVLM("rank", layers=(0,), rank_scale=scale, rank_bias=bias, always_drop=True)
    pruner.query_tokens = torch.zeros(1, text, dtype=torch.bool)
    pruner.query_tokens[0, torch.as_tensor(given[case + "rater_rel"])] = True
    images = range(before, before + visual)
    rows = AttentionRows(attention[:, :, images.stop : images.stop + text], None, images)
    mean = pruner.head_mean(rows, pruner.query_tokens)
    layout = Layout(cameras=1, patches=visual, proprio=0, prompts=(text,), slots=0, before=before)
    patches = Patches(torch.zeros(1, visual, 1), torch.arange(visual).unsqueeze(0))
    choice = pruner.select(View(before_layer(1), patches, layout, (Query(),), rows={pruner.rows[0]: rows}))
    everything = torch.ones(visual, dtype=torch.bool)
    yield Computed(case + "rank", rank(mean, pruner.query_tokens, images, everything[None])[0], EXACT, family="rank/case*/rank")
    yield Computed(case + "score", paid_to_images(mean, pruner.query_tokens, images)[0], SCORES, family="rank/case*/score")
    yield Computed(case + "keep_mask", everything if choice is None else choice.keep[0], EXACT, family="rank/case*/keep_mask")
    yield Computed(case + "prune_flag", int(choice is not None), EXACT, family="rank/case*/prune_flag")
