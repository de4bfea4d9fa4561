"""`baselines_vlacache.npz`: VLA-Cache's rules one by one, and three control steps of a small Llama with its cache."""

from __future__ import annotations

import re
from collections.abc import Iterator

import numpy as np
import torch

from vla_bench.interface.view import AttentionRows, Query, View
from vla_bench.model.past import KVCache
from vla_bench.pruners import vla_cache_rules as rules
from vla_bench.pruners.vla_cache import CacheState, VLACache
from vla_bench.records import EpisodeKey
from vla_bench.verify.baselines.llama import LlamaPass, load
from vla_bench.verify.compare import ACTIVATIONS, EXACT, Computed, Tolerance
from vla_bench.verify.fixture import Fixture

VALUES = Tolerance(2e-6, floor=1.0)
SMALL = Tolerance(2e-6, floor=0.0)  # shares of attention, of which a token has less than a hundredth
RESCALED = Tolerance(2e-5, floor=1.0)  # entropies of a whole decoder, stretched to the range from 0 to 1
EVICTED = 100  # task-relevant patches of 256 a camera in OpenVLA-OFT, which the file does not name


def computed(given: Fixture) -> Iterator[Computed]:
    """Groups of cases: static, filter_ar, filter_oft, schedule, llm, each with any number of cases."""
    yield from _static(given)
    yield from _filter_ar(given)
    yield from _filter_oft(given)
    yield from _schedule(given)
    if given.names("llm/"):
        yield from _steps(given)


class GivenReuse(VLACache):
    """VLA-Cache with given reusable tokens, since the file has no images."""

    given_ids: np.ndarray

    def reusable(self, view: View, state: CacheState) -> list[np.ndarray]:
        return [self.given_ids]

    def schedule_of(self, episode: EpisodeKey) -> np.ndarray:
        return np.array(self.states[episode].shares)


def _groups(given: Fixture, pattern: str) -> list[str]:
    """The file's groups that match `pattern`, such as schedule/case3/, by number."""
    groups = {m[0] for name in given.names() if (m := re.match(pattern, name))}
    return sorted(groups, key=lambda group: [int(part) if part.isdigit() else part for part in re.split(r"(\d+)", group)])


def _static(given: Fixture) -> Iterator[Computed]:
    for case in _groups(given, r"static/case\d+/"):
        patches = given.shape(case + "similarity")[0]
        similar = rules.similarity(given[case + "cur"], given[case + "prev"], patches)
        k, threshold = given[case + "topk_thr"]
        yield Computed(case + "similarity", similar, VALUES, "static/case*/similarity")
        static = rules.static(similar, int(k), float(threshold))
        yield Computed(case + "static_ids_ordered", static, EXACT, "static/case*/static_ids_ordered")


def _filter_ar(given: Fixture) -> Iterator[Computed]:
    """Attention rows of a query in which some tokens were reused; the sequence is BOS, image tokens, text."""
    cases = _groups(given, r"filter_ar/case\d+/")
    attention = next((given[case + "attn_layer15"] for case in cases if np.prod(given.shape(case + "attn_layer15"))), None)
    for case in cases:
        own = given[case + "attn_layer15"]
        attention = own if own.size else attention
        text = given[case + "cache_position"] > given.shape(case + "score")[0]
        yield from _filter(given, case, attention, text, 1, int(given[case + "top_k"]), "filter_ar/case*/")


def _filter_oft(given: Fixture) -> Iterator[Computed]:
    """Each camera separately; attention rows of the proprio token and the text, averaged over heads."""
    views = [view for view in ("primary", "wrist") if given.names(f"filter_oft/{view}/")]
    first = 1
    for view in views:
        case = f"filter_oft/{view}/"
        patches = given.shape(case + "score")[0]
        text = given["filter_oft/textrow_positions"] > len(views) * patches
        rows = given["filter_oft/attn_layer15_textrows"][None]
        evicted = int(given.get(case + "top_k", rules.scaled(EVICTED, patches)))
        yield from _filter(given, case, rows, text, first, evicted, "filter_oft/*/")
        first += patches


def _filter(
    given: Fixture, case: str, rows: np.ndarray, text: np.ndarray, first: int, evicted: int, family: str
) -> Iterator[Computed]:
    """rows: (heads, R, N); text: (R,) bool, the rows that count; first: position of the first image token."""
    images = range(first, first + given.shape(case + "score")[0])
    score = AttentionRows(torch.from_numpy(rows)[None], torch.from_numpy(text)[None], images).images()[0].numpy()
    yield Computed(case + "score", score, SMALL, family + "score")
    reusable = rules.without_task(given[case + "static_ids"], score, evicted)
    yield Computed(case + "reusable_positions", first + np.sort(reusable), EXACT, family + "reusable_positions")


def _schedule(given: Fixture) -> Iterator[Computed]:
    for case in _groups(given, r"schedule/case\d+/"):
        attention = [given[name] for name in _groups(given, re.escape(case) + r"attn\d+$")]
        entropies = [float(rules.entropy(torch.from_numpy(weights))) for weights in attention]
        yield Computed(case + "reuse", np.array(rules.shares(entropies)), VALUES, "schedule/case*/reuse")
        undamped = np.array(rules.shares(entropies, growth=1.0))
        yield Computed(case + "reuse_no_growth", undamped, VALUES, "schedule/case*/reuse_no_growth")


def _steps(given: Fixture) -> Iterator[Computed]:
    llama = load(given, "llm/w/")
    pruner = GivenReuse(layers=tuple(map(int, given["llm/prune_layers"])), order="raster")
    pruner.attach(llama.config)
    episode = EpisodeKey("vlacache", 0, 0)
    pasts: dict[EpisodeKey, KVCache] = {}
    for number, step in enumerate(_groups(given, r"llm/step\d+/")):
        if step + "reusable_positions" in given:
            pruner.given_ids = given[step + "reusable_positions"].astype(np.int64) - llama.layout.before
        query = (Query(episode, number),)
        run = llama.run(given[step + "inputs_embeds"], pruner, causal=False, queries=query, pasts=pasts)
        yield from _step(given, step, run, pruner.schedule_of(episode), pasts[episode])
        pruner.after_pass(query, run.rows)


def _step(given: Fixture, step: str, run: LlamaPass, schedule: np.ndarray, past: KVCache) -> Iterator[Computed]:
    family = "llm/step*/"
    yield Computed(step + "tokens_per_layer", np.array(run.tokens_per_layer), EXACT, family + "tokens_per_layer")
    yield Computed(step + "final_positions", run.tokens.positions[0], EXACT, family + "final_positions")
    yield Computed(step + "last_hidden", run.tokens.hidden, ACTIVATIONS, family + "last_hidden")
    if step + "schedule" in given:
        yield Computed(step + "schedule", schedule, RESCALED, family + "schedule")
    for name in given.names(step + "k_cache_layer"):
        layer = int(name.removeprefix(step + "k_cache_layer"))
        yield Computed(name, past.layers[layer][0], ACTIVATIONS, family + "k_cache_layer*")
