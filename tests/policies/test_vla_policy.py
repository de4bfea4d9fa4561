"""A model as a policy: the processor, the choice of checkpoint and statistics, and rollouts with the nano model."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from vla_bench.errors import CheckpointError, ModelError, UsageError
from vla_bench.interface.presets import NANO
from vla_bench.model.initialise import RANDOM_STATISTICS
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.registry import make_policy
from vla_bench.pruners.lightvla import LightVLA

from ..conftest import ASSETS
from ..made_observations import observation
from ..nano_checkpoints import checkpoint


def choice(model, **options) -> ModelChoice:
    return ModelChoice(str(model), suites=("object",), **options)


@pytest.fixture(scope="module")
def nano(tmp_path_factory):
    return checkpoint(tmp_path_factory.mktemp("nano") / "lightvla-of-mine", pruner=LightVLA())


def test_a_checkpoint_acts_and_reports_its_query(nano):
    policy = make_policy(choice(nano))
    chunks = policy.act([observation(0), observation(1)])
    for chunk in chunks:
        assert chunk.actions.shape == (8, 7) and chunk.actions.dtype == np.float64
        assert set(chunk.actions[:, 6]) <= {-1.0, 0.0, 1.0}
        assert len(chunk.kept_tokens) == 2 and 1 <= chunk.kept_total < 128 == policy.visual_tokens
        assert set(chunk.stages_ms) == {"preprocess", "vision", "prune", "decoder", "head"}
        assert all(ms > 0 for ms in chunk.stages_ms.values()) and chunk.prompt_tokens == 11  # ten words, the space
    alone = policy.act([observation(1)])[0]
    assert alone.kept_tokens == chunks[1].kept_tokens
    np.testing.assert_allclose(alone.actions, chunks[1].actions, atol=1e-5)
    assert policy.identity["pruner"] == "lightvla" and policy.identity["unnorm_keys"] == {"object": "random"}
    card = dict(policy.card)
    assert {"parameters", "cameras", "chunk", "dtype", "pruner", "action slice", "unnorm key, object"} <= set(card)
    json.dumps(policy.identity)


def test_dense_and_decoded_tokens(nano):
    dense = make_policy(choice(nano, pruner="none"))
    assert dense.act([observation(0)])[0].kept_tokens == (64, 64) and dense.identity["pruner"] == "none"
    decoded = make_policy(choice(nano, decoding="ar")).act([observation(0)])[0]
    assert decoded.actions.shape == (1, 7) and np.abs(decoded.actions[:, :6]).max() <= 1
    hashes = {make_policy(choice(nano, pruner=p)).identity["checkpoint"] for p in (None, "none")}
    assert len(hashes) == 1


def test_proprio_and_pixels_of_the_processor(nano):
    """The robot's state goes through the suite's statistics; the frame is turned upright before anything else."""
    processor = make_policy(choice(nano)).processor
    shown = observation(3)
    inputs = processor([shown])
    low, high = (np.array(RANDOM_STATISTICS["random"]["proprio"][q]) for q in ("q01", "q99"))
    state = [0.3, 0.0, 1.0, np.pi, 0, 0, 0.02, -0.02]
    np.testing.assert_allclose(inputs.proprio[0].numpy(), np.clip(2 * (state - low) / (high - low + 1e-8) - 1, -1, 1), atol=1e-6)
    assert inputs.pixel_values.shape == (1, 12, 112, 112)
    corner = np.zeros((256, 256, 3), np.uint8)
    corner[128:, 128:] = 255  # bottom right as rendered
    seen = processor([replace(shown, images={name: corner for name in shown.images})]).pixel_values[0, :3]
    assert seen[:, :40, :40].min() > 2 and seen[:, 72:, 72:].max() < -1.5  # top left


def test_the_statistics_key_is_the_suites_or_an_error(tmp_path):
    entry = RANDOM_STATISTICS["random"]
    two = {"libero_object_no_noops": entry, "libero_goal_no_noops": entry}
    folder = checkpoint(tmp_path / "two", statistics=two)
    assert make_policy(choice(folder)).identity["unnorm_keys"] == {"object": "libero_object_no_noops"}
    chosen = make_policy(choice(folder, unnorm_key="libero_goal_no_noops"))
    assert chosen.identity["unnorm_keys"] == {"object": "libero_goal_no_noops"}
    with pytest.raises(UsageError, match="libero_object_no_noops"):
        make_policy(choice(folder, unnorm_key="libero_objetc"))
    with pytest.raises(CheckpointError, match="libero_goal_no_noops"):
        make_policy(ModelChoice(str(folder), suites=("spatial",)))


def test_what_cannot_act_is_refused_before_the_first_episode(tmp_path):
    with pytest.raises(CheckpointError, match="tokenizer.json"):
        make_policy(choice(checkpoint(tmp_path / "no-tokenizer", tokenizer=None)))
    with pytest.raises(ModelError, match="3 cameras"):
        make_policy(choice(checkpoint(tmp_path / "three-cameras", config=replace(NANO, cameras=3))))
    with pytest.raises(UsageError, match="unknown pruner"):
        make_policy(choice(tmp_path / "three-cameras", pruner="lightvlaa"))
    with pytest.raises(UsageError, match="one checkpoint per suite"):
        make_policy(ModelChoice("lightvla", suites=("object", "goal")))


def test_scores_that_are_not_numbers_stop_the_query(tmp_path):
    def overflow(model):
        model.openvla.projector.fc3.weight.fill_(3e38)

    policy = make_policy(choice(checkpoint(tmp_path / "huge", pruner=LightVLA(), break_it=overflow)))
    with pytest.raises(ModelError, match="not finite"):
        policy.act([observation(0)])
    with pytest.raises(ModelError, match="not finite"):
        make_policy(choice(tmp_path / "huge", pruner="none")).act([observation(0)])


def test_eval_with_the_nano_model(cli, nano, schema, tmp_path):
    out = tmp_path / "run"
    done = cli(*f"eval --suite object --model {nano} --tasks 0 --trials 2 --assets {ASSETS} --video none --out {out}".split())
    assert done.exit_code == 0 and "tokens" in done.stdout and "unnorm key, object" in done.stderr
    episodes = [json.loads(line) for line in (out / "episodes.jsonl").read_text().splitlines()]
    assert len(episodes) == 2
    for episode in episodes:
        schema("episode", episode)
        assert episode["status"] != "error" and episode["queries"] == 35
        assert 1 <= episode["kept_tokens_min"] <= episode["kept_tokens_mean"] <= episode["kept_tokens_max"] <= 128
        assert sum(episode["kept_tokens_by_camera"]) == pytest.approx(episode["kept_tokens_mean"])
        assert 0.2 < episode["gflops_mean"] < 0.78  # of a dense query
        assert 0 < episode["preprocess_ms_mean"] and 0 < episode["model_ms_mean"] < episode["policy_ms_mean"]
    run = json.loads((out / "run.json").read_text())
    schema("run", run)
    assert (
        run["config"]["policy"]["camera_size"] == 128
        and run["config"]["policy"]["checkpoint"]
        and run["config"]["policy"]["visual_tokens"] == 128
    )
    again = cli(*f"eval --suite object --model {nano} --tasks 0 --trials 2 --assets {ASSETS} --pruner none --out {out}".split())
    assert again.exit_code == 4 and "pruner" in str(again.exception)


@pytest.mark.parametrize(("name", "pruner"), [("nano", "lightvla"), ("nano-oft", "none")])
def test_bundled_weights_act(name, pruner):
    policy = make_policy(ModelChoice(name, suites=("object", "goal"), device="cpu"))
    assert policy.identity["pruner"] == pruner
    assert policy.act([observation(0), observation(1, "goal", "open the middle drawer of the cabinet")])[1].actions.shape == (
        8,
        7,
    )
