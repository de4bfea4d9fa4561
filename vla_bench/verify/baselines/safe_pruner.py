"""`baselines_safe_pruner.npz`: six queries of an episode, from given attention: the forecast, which are dense, and what stays.

The forecast's matching is the release's; the rest of its expected values comes from a transcription.
"""

from __future__ import annotations

from collections.abc import Iterator

import torch
from torch import Tensor

from vla_bench.interface.layout import Layout
from vla_bench.interface.presets import NANO
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import AttentionRows, Patches, Query, View
from vla_bench.pruners.safe_pruner import SAFEPruner, forecast
from vla_bench.records import EpisodeKey
from vla_bench.verify.compare import ACTIVATIONS, EXACT, Computed
from vla_bench.verify.fixture import Fixture, FixtureError

QUERY = Query(EpisodeKey("fixture", 0, 0))


def computed(given: Fixture) -> Iterator[Computed]:
    """Inputs: case*/{embeddings, first, acting, last, settings}."""
    for case in (name.removesuffix("settings") for name in given.names() if name.endswith("/settings")):
        embeddings, *attention = (torch.as_tensor(given[case + name]) for name in ("embeddings", "first", "acting", "last"))
        if embeddings.shape[1] != NANO.visual_tokens:
            raise FixtureError(f"{case}embeddings has {embeddings.shape[1]} image tokens, not {NANO.visual_tokens}")
        dropped, weight, threshold = given[case + "settings"].tolist()
        pruner = SAFEPruner(keep=1 - dropped, weight=weight, threshold=threshold, quota="global")
        pruner.attach(NANO)
        dense = []
        for number, (tokens, *seen) in enumerate(zip(embeddings, *attention, strict=True)):
            kept = ask(pruner, tokens, *seen)
            dense.append(len(kept) == len(tokens))
            yield Computed(f"{case}keep_indices{number}", kept, EXACT, family="case*/keep_indices, transcription")
        yield Computed(case + "key", torch.tensor(dense), EXACT, family="case*/key, transcription")
        matches, forecasts = _forecasts(embeddings, attention[0], attention[2], dense)
        yield Computed(case + "match", matches, EXACT, family="case*/match")
        yield Computed(case + "forecast", forecasts, ACTIVATIONS, family="case*/forecast")


def ask(pruner: SAFEPruner, tokens: Tensor, first: Tensor, acting: Tensor, last: Tensor, query: Query = QUERY) -> Tensor:
    """Ids kept of one query's image tokens (V, D) that receive this attention (V,) in layer 0, above the cut, and in the last."""
    visual = len(tokens)
    layout, ids = Layout(2, visual // 2, 0, (1,), 2), torch.arange(visual)[None]
    rows = dict(zip(pruner.rows, (_row(each) for each in (first, acting, last)), strict=True))
    pruner.select(View(LLM_INPUT, Patches(tokens[None], ids), layout, (query,)))
    choice = pruner.select(View(pruner.sites[-1], Patches(tokens[None], ids), layout, (query,), rows=rows))
    pruner.after_pass((query,), rows)
    return ids[0] if choice is None else ids[0][choice.keep[0]]


def _row(attention: Tensor) -> AttentionRows:
    return AttentionRows(attention[None, None, None], None, range(len(attention)))


def _forecasts(embeddings: Tensor, first: Tensor, last: Tensor, dense: list[bool]) -> tuple[Tensor, Tensor]:
    """Per query, the patch of the key query that each image token matches, and what is forecast; nothing for the first."""
    places = torch.arange(embeddings.shape[1])
    matches, forecasts, key = [places], [torch.zeros(2, len(places))], 0
    for number in range(1, len(embeddings)):
        then = embeddings[key]
        matches.append(forecast(embeddings[number], then, places[None])[0])
        forecasts.append(forecast(embeddings[number], then, torch.stack([first[key], last[key]])))
        key = number if dense[number] else key
    return torch.stack(matches), torch.stack(forecasts)
