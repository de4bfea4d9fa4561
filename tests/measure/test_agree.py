"""`vla-bench agree`: answers compared step by step, over episodes that count alike, by pruners as a checkpoint trained them."""

from __future__ import annotations

import json

import numpy as np
import pytest
import torch

from vla_bench.errors import UsageError
from vla_bench.measure import sources
from vla_bench.measure.agree import AgreeRequest, agree, over_episodes
from vla_bench.measure.recorded import read_observations, write_observations
from vla_bench.model.initialise import RANDOM_STATISTICS

from .. import nanos
from ..nano_checkpoints import checkpoint, trained_star


@pytest.fixture(scope="module")
def some(tmp_path_factory):
    """Episodes of 6, 2 and 1 queries: two of object, one of goal."""
    episodes = {seen[0].episode.suite: seen for seen in read_observations()}
    again = [seen for seen in read_observations() if seen[0].episode.suite == "object"][0]
    path = tmp_path_factory.mktemp("recorded") / "some.npz"
    write_observations(path, [again, episodes["object"][:2], episodes["goal"][:1]])
    return path


def ask(*pruners: str, **options):
    with nanos.one_thread():
        return agree(AgreeRequest(**{"model": "nano-oft", "pruners": pruners, "device": "cpu", **options}))


def test_distance_and_interval_are_of_one_quantity(some):
    """With episodes of unequal length the mean over queries can lie beside the interval of the episodes' means."""
    found = ask("random(keep=0.1)", observations=some)
    dense, pruned = found.rows
    assert (dense.distance, dense.low, dense.high, dense.gripper) == (0, 0, 0, 0) and pruned.queries == 9
    one = [ask("random(keep=0.1)", observations=some, suite=suite).rows[1] for suite in ("object", "goal")]
    assert pruned.distance == pytest.approx((2 * one[0].distance + one[1].distance) / 3)  # two episodes and one
    assert one[1].low == one[1].distance == one[1].high
    assert pruned.low < pruned.distance < pruned.high


def test_means_that_rounding_alone_tells_apart_lie_within_their_interval():
    for values in ([0.1, 0.1 + 1e-17, np.nextafter(0.1, 1)], [0.3, np.nextafter(0.3, 1)], [0.2, 0.2], [0.7]):
        mean, low, high = over_episodes(np.array(values))
        assert low <= mean <= high


def test_an_answer_of_fewer_steps_is_compared_where_both_have_some(some):
    """spvla's scheduler gives a single step; compared with all eight this ended in a trace after the last query."""
    found = ask("spvla(z_min=0, scheduler=true, z_xy_rate=1e9, z_max=1e9)", observations=some)
    dense, skipping = found.rows
    assert skipping.queries == 9 and 0 < skipping.distance and skipping.low <= skipping.distance <= skipping.high
    assert skipping.kept == pytest.approx(128 * 4 / 9)  # of 6 queries 2 take a pass, of 2 one, of 1 one
    json.dumps(found.to_dict(), allow_nan=False)


def test_pruners_get_the_parameters_that_were_trained(tmp_path, some, monkeypatch, caplog):
    folder, queries = trained_star(tmp_path / "star")
    found = {}
    attach = sources.ModelSource.attach

    def see(self, model, pruner):
        attach(self, model, pruner)
        found[pruner and pruner.label] = pruner

    monkeypatch.setattr(sources.ModelSource, "attach", see)
    ask("lightvla-star-llm1", "inverse(fastv)", model=str(folder), observations=some, suite="goal")
    assert torch.equal(found["lightvla-star-llm1"].queries, queries) and not caplog.records
    ask("lightvla-star-llm2", model=str(folder), observations=some, suite="goal")
    assert "lightvla-star-llm2 is untrained" in caplog.text


def test_suites_are_chosen(cli, tmp_path, some):
    assert {seen[0].episode.suite for seen in read_observations(suites=("goal", "long"))} == {"goal", "long"}
    goal = ask("random", observations=some, suite="goal")
    assert goal.rows[0].queries == 1
    with pytest.raises(UsageError, match="no observation of suite long: it has object, goal") as caught:
        ask("random", observations=some, suite="long")
    assert "--suite object" in caught.value.fix
    with pytest.raises(UsageError, match="openvla-oft has one checkpoint per suite") as caught:
        ask("fastv(layer=3)", "random", model="openvla-oft")
    assert caught.value.instead == {"--suite": "spatial"}
    folder = checkpoint(tmp_path / "goal-only", statistics={"libero_goal": RANDOM_STATISTICS["random"]})
    with pytest.raises(UsageError, match="no action statistics for suite object") as caught:
        ask("random", model=str(folder), observations=some)
    assert caught.value.instead == {"--suite": "goal"}
    printed = cli("agree", "--pruner", "random", "--observations", str(some), "--suite", "goal", "--model", str(folder))
    assert printed.exit_code == 0 and "1 recorded queries" in " ".join(printed.stdout.split())


def test_what_is_no_model_or_pruner_is_refused_before_anything_is_loaded():
    with pytest.raises(UsageError, match="no image tokens to prune"):
        ask("fastv", model="expert")
    with pytest.raises(UsageError, match='Did you mean "fastv"'):
        ask("fasvt", model="lightvla")
