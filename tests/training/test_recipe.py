"""Recipes: written down, and refused where they cannot be."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from vla_bench.errors import RecordError, UsageError
from vla_bench.training.finetune import train
from vla_bench.training.recipe import RECIPES, recipe

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
