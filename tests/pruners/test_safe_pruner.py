"""SAFE-Pruner: the released forecast, which queries are dense, and what is remembered of them."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from tests.nanos import answer, inputs, kept, sample
from vla_bench.errors import UsageError
from vla_bench.interface.presets import NANO
from vla_bench.interface.sites import before_layer
from vla_bench.interface.view import Query
from vla_bench.model.initialise import random_vla
from vla_bench.pruners.safe_pruner import SAFEPruner, forecast
from vla_bench.records import EpisodeKey
from vla_bench.verify.baselines import safe_pruner
from vla_bench.verify.baselines.safe_pruner import ask
from vla_bench.verify.compare import CheckStatus, judge
from vla_bench.verify.fixture import Fixture, read

from ..conftest import ROOT

GOLDEN = ROOT / "tests/pruners/golden/baselines_safe_pruner.npz"
FIRST, SECOND = Query(EpisodeKey("spatial", 0, 0)), Query(EpisodeKey("spatial", 0, 1))


@pytest.mark.parametrize("tensor", [None, "case0/keep_indices2", "case1/match", "case1/key", "case0/forecast"])
def test_the_release_is_reproduced_and_a_changed_value_misses(tensor):
    given = read(GOLDEN)
    tensors = {name: given[name].copy() for name in given.names()}
    if tensor is not None:
        flat = tensors[tensor].reshape(-1)
        flat[-1] = ~flat[-1] if flat.dtype == bool else flat[-1] + 1
    rows = judge(GOLDEN.name, changed := Fixture(tensors), safe_pruner.computed(changed))
    assert len(rows) == 4 and [row.verdict for row in rows].count(CheckStatus.MISS) == (tensor is not None)


# By hand


def test_a_forecast_is_the_attention_of_the_most_similar_token():
    then = torch.tensor([[1.0, 0], [0, 2], [-1, 0], [0, 1]])
    now = torch.tensor([[0.1, 5.0], [3, 0.1], [-2, 1]])
    attention = torch.tensor([[0.1, 0.2, 0.3, 0.4], [5, 6, 7, 8]])
    assert forecast(now, then, attention).tolist() == attention[:, [1, 0, 2]].tolist()  # 1 and 3 are as similar: the first


def one(**at: float) -> torch.Tensor:
    """Attention (128,) with these values at `t<number>`, and very little elsewhere."""
    found = torch.full((128,), 1e-4)
    for name, value in at.items():
        found[int(name[1:])] = value
    return found


def pruner(**options) -> SAFEPruner:
    found = SAFEPruner(**{"keep": 2, "quota": "global"} | options)
    found.attach(NANO)
    return found


TOKENS = torch.from_numpy(np.random.default_rng(0).normal(size=(128, 16)).astype(np.float32))
MOVED = TOKENS.roll(1, dims=0)  # every patch shows what its left neighbour did


def test_the_forecast_moves_with_what_the_patches_show():
    tested = pruner()
    assert len(ask(tested, TOKENS, one(t5=1), one(t9=1), one(t20=1), FIRST)) == 128  # nothing to forecast from
    # The slots attend to 40 now; layer 0 still to what patch 5 showed; and the last layer will want what patch 20 did.
    kept = ask(tested, MOVED, one(t6=1), one(t40=0.6, t41=0.4), one(), FIRST).tolist()
    assert kept == [6, 40]  # 40: 0.6, 6 and 21: 0.5 each, of which the smaller index stays, 41: 0.4
    tested.weight = 0
    assert ask(tested, MOVED, one(t6=1), one(t40=0.6, t41=0.4), one(), FIRST).tolist() == [40, 41]


def test_a_query_is_dense_where_the_first_layer_looks_elsewhere():
    tested, looks = pruner(weight=0), one(t40=0.6, t41=0.4)
    kept = [
        len(ask(tested, TOKENS, first, looks, one(), FIRST)) for first in (one(t5=1), one(t5=1), one(t7=1), one(t7=1), one(t5=1))
    ]
    assert kept == [128, 2, 128, 2, 128]
    tested = pruner(weight=0, threshold=-1)
    assert [len(ask(tested, TOKENS, first, looks, one(), FIRST)) for first in (one(t5=1), one(t7=1))] == [128, 2]


def test_a_pruned_query_is_not_remembered():
    tested = pruner()
    ask(tested, TOKENS, one(t5=1), one(), one(t20=1), FIRST)
    ask(tested, TOKENS, one(t5=1), one(), one(t99=9), FIRST)
    assert ask(tested, TOKENS, one(t5=1), one(), one(), FIRST).tolist() == [5, 20]


def test_an_episode_sees_neither_another_nor_an_earlier_attempt():
    tested = pruner()
    ask(tested, TOKENS, one(t5=1), one(), one(t20=1), FIRST)
    assert len(ask(tested, TOKENS, one(t5=1), one(), one(t30=1), SECOND)) == 128
    assert ask(tested, TOKENS, one(t5=1), one(), one(), SECOND).tolist() == [5, 30]
    assert ask(tested, TOKENS, one(t5=1), one(), one(), FIRST).tolist() == [5, 20]
    tested.reset(FIRST.episode)
    assert len(ask(tested, TOKENS, one(t5=1), one(), one(), FIRST)) == 128


def test_what_a_batch_remembers_is_what_its_samples_would():
    """One sample is pruned while the other, dense, becomes the key query of its episode."""
    model, keys = random_vla(NANO, 0).eval(), (FIRST.episode, SECOND.episode)

    def ask_model(*episodes: int, seed: int) -> list[list[list[int]]]:
        whole = inputs(2, seed)
        queries = tuple(replace(query, episode=key) for query, key in zip(whole.queries, keys, strict=True))
        batch = replace(whole, queries=queries)
        output = answer(model, batch if len(episodes) == 2 else sample(batch, episodes[0]))
        return [kept(output, i) for i in range(len(episodes))]

    def fresh() -> None:
        model.attach(SAFEPruner(keep=20, threshold=-1).eval())
        ask_model(0, seed=0)

    fresh()
    ask_model(0, seed=1), ask_model(1, seed=1)
    alone = [*ask_model(0, seed=2), *ask_model(1, seed=2)]
    fresh()
    first, second = ask_model(0, 1, seed=1)
    assert len(first[-1]) == 20 and len(second[-1]) == 128
    assert ask_model(0, 1, seed=2) == alone


def test_errors_and_settings():
    with pytest.raises(UsageError, match="a cosine"):
        SAFEPruner(threshold=1.1)
    with pytest.raises(UsageError, match="alike before layer 2"):
        pruner(layer=1)
    assert pruner(keep=1).rows == () and pruner(forecast=False).sites == (before_layer(3),)
