"""Recipes: written down, and refused where they cannot be."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from vla_bench.demonstrations.hdf5 import suite_name
from vla_bench.errors import RecordError, SuiteError, UsageError
from vla_bench.interface.presets import NANO
from vla_bench.training.data import demonstrations
from vla_bench.training.finetune import TrainRequest, train
from vla_bench.training.recipe import RECIPES, recipe

from .. import nano_checkpoints
from ..public_demos import public_file
from ..trainings import request


def test_every_recipe_can_be_written_down():
    for name in RECIPES:
        assert json.loads(json.dumps(recipe(name).to_dict()))["start"] == recipe(name).start


def test_steps_that_prune_as_evaluation_does_are_spread_evenly(data, tmp_path):
    half = replace(RECIPES["nano-lightvla"], kept_once=0.5)
    assert [half.prunes_as_evaluated(step) for step in range(6)] == [False, True] * 3
    assert sum(replace(half, kept_once=0.3).prunes_as_evaluated(step) for step in range(100)) == 30
    assert (
        not any(replace(half, kept_once=0.0).prunes_as_evaluated(step) for step in range(100)) and RECIPES["paper"].kept_once == 0
    )
    with pytest.raises(UsageError, match="--kept-once"):
        replace(half, kept_once=1.0)


def test_bad_requests(data, tmp_path):
    with pytest.raises(UsageError, match="nano-oft"):
        recipe("nano-otf")
    with pytest.raises(UsageError, match="LoRA"):
        train(request(data, tmp_path / "x", lora_rank=8))
    with pytest.raises(RecordError, match="vla-bench demos"):
        train(request(tmp_path, tmp_path / "y"))
    with pytest.raises(UsageError, match="--batch"):
        recipe("paper").with_options(batch=0)
    for name, value in {"seed": -1, "learning_rate": 0.0, "auxiliary": -1.0, "matrix_rate": float("nan")}.items():
        with pytest.raises(UsageError, match=f"--{name.replace('_', '-')}"):
            recipe("nano-oft").with_options(**{name: value})


def test_a_batch_that_cannot_be_split_is_refused_before_anything_is_prepared(tmp_path):
    (tmp_path / "libero_goal").mkdir()
    public_file(tmp_path / "libero_goal" / "x_demo.hdf5", {"demo_0": 9})
    with pytest.raises(UsageError, match="5 cannot be shared by 1 processes x 3 micro-batches\n.*--batch 6"):
        train(request(tmp_path, tmp_path / "out", batch=5, accumulate=3))
    assert not (tmp_path / ".frames").exists() and not (tmp_path / "out").exists()
    assert recipe("paper").at_once(8) == 8


def two_suites(folder):
    for suite in ("libero_goal_no_noops", "libero_10_no_noops"):
        (folder / suite).mkdir(parents=True)
        public_file(folder / suite / "x_demo.hdf5", {"demo_0": 9})
    return folder


@pytest.mark.parametrize(
    ("name", "suite", "start", "suites"),
    [
        ("paper", "long", "moojink/openvla-7b-oft-finetuned-libero-10", ["libero_10"]),
        ("paper", "goal", "moojink/openvla-7b-oft-finetuned-libero-goal", ["libero_goal"]),
        ("paper-joint", None, "moojink/openvla-7b-oft-finetuned-libero-spatial-object-goal-10", ["libero_10", "libero_goal"]),
    ],
)
def test_the_paper_trains_each_suite_from_its_own_checkpoint(tmp_path, monkeypatch, name, suite, start, suites):
    """The joint training of all suites is ours, under its own name."""
    asked = []

    class Enough(Exception):
        pass

    def stop(place):
        asked.append(place)
        raise Enough

    monkeypatch.setattr("vla_bench.training.finetune.local_folder", stop)
    data, chosen = two_suites(tmp_path / "data"), recipe(name).with_options(suite=suite)
    with pytest.raises(Enough):
        train(TrainRequest(chosen, data, tmp_path / "out", "cpu"))
    assert asked == [start] and chosen.steps == 40_000 and chosen.fresh_scale
    assert sorted({suite_name(file) for file in demonstrations(data, suite)}) == suites


def test_one_suite_has_its_own_statistics(tmp_path):
    data = two_suites(tmp_path / "data")
    done = train(request(data, tmp_path / "out", suite="goal", steps=1, batch=1, fresh_scale=True))
    assert list(json.loads((done.checkpoint / "dataset_statistics.json").read_text())) == ["libero_goal_no_noops"]


def test_which_suite_is_asked_for_and_must_be_there(tmp_path):
    data = two_suites(tmp_path / "data")
    with pytest.raises(UsageError, match="openvla-oft has one checkpoint per suite.*\n.*--suite spatial .*--recipe paper-joint"):
        train(TrainRequest(recipe("paper"), data, tmp_path / "out", "cpu"))
    with pytest.raises(UsageError, match="no demonstrations of libero_object, only of libero_10, libero_goal"):
        train(TrainRequest(recipe("paper").with_options(suite="object"), data, tmp_path / "out", "cpu"))
    with pytest.raises(SuiteError, match='unknown suite "gaol"'):
        train(TrainRequest(recipe("paper").with_options(suite="gaol"), data, tmp_path / "out", "cpu"))


def test_a_model_without_a_head_has_nothing_to_train(tmp_path):
    bare = nano_checkpoints.checkpoint(tmp_path / "bare", config=replace(NANO, l1_head=False))
    with pytest.raises(UsageError, match="has no L1 action head to train"):
        train(request(two_suites(tmp_path / "data"), tmp_path / "out", start=str(bare)))
