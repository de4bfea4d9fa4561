"""How a checkpoint's actions are decoded, what of a chunk is executed, and adapters: by the user's word where no file says it."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from safetensors.torch import load_file

from vla_bench.checkpoints.adapter_folder import read_adapter
from vla_bench.errors import CheckpointError, UsageError
from vla_bench.interface.config import TokenIds
from vla_bench.interface.presets import NANO
from vla_bench.model.initialise import RANDOM_STATISTICS
from vla_bench.model.tokenizer import build_word_tokenizer
from vla_bench.model.vla import Inputs
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.registry import make_policy, resolve_choice
from vla_bench.records import EpisodeKey, config_hash
from vla_bench.rollout.episode import run_episode
from vla_bench.rollout.plan import prepare
from vla_bench.rollout.request import EvalRequest
from vla_bench.world.observation import Sight

from .. import made_checkpoints, nano_checkpoints
from ..made_observations import observation

TOKENS = replace(made_checkpoints.PUBLIC, proprio_dim=0, cameras=1, l1_head=False)
STATISTICS = {"libero_object_no_noops": RANDOM_STATISTICS["random"]}


def choice(model, **options) -> ModelChoice:
    return ModelChoice(str(model), suites=("object",), device="cpu", **options)


@pytest.fixture(scope="module")
def words(tmp_path_factory):
    path = tmp_path_factory.mktemp("words") / "tokenizer.json"
    build_word_tokenizer(["in what action should the robot take to pick up milk and place it basket out"], TokenIds()).save(
        str(path)
    )
    return path


def public(folder, config=TOKENS, words=None, **options):
    """In the public layout, with the tokenizer that an episode needs."""
    model = made_checkpoints.make(config)
    return made_checkpoints.write(folder, model, ours=False, tokenizer_file=words, statistics=STATISTICS, **options)


@pytest.mark.parametrize("name", ["Openvla-oft-SFT-libero-object-traj1", "SFT-libero-object", "LightVLA-mine"])
def test_tokens_have_one_answer_whatever_the_folder_is_called(tmp_path, words, name):
    folder = public(tmp_path / name, words=words)
    with pytest.raises(UsageError, match="no action head.*one after another.*in parallel.*No file says which") as caught:
        make_policy(choice(folder))
    assert caught.value.exit_code == 2 and caught.value.fix == f"vla-bench eval --model {folder} --decoding parallel   (or ar)"
    with pytest.raises(UsageError, match="no L1 action head"):
        make_policy(choice(folder, decoding="l1"))
    parallel, ar = (make_policy(choice(folder, decoding=d)) for d in ("parallel", "ar"))
    assert parallel.act([observation(0)])[0].actions.shape == (8, 7) and ar.act([observation(0)])[0].actions.shape == (1, 7)
    assert (parallel.identity["decoding"], parallel.identity["chunk"]) == ("parallel", 8)
    assert (ar.identity["decoding"], ar.identity["chunk"], ar.identity["open_loop_steps"]) == ("ar", 1, 1)
    assert dict(parallel.card)["decoding"] == "parallel (asked for)"
    five = make_policy(choice(folder, decoding="parallel", chunk=5))
    assert five.act([observation(0)])[0].actions.shape == (5, 7) and five.identity["chunk"] == 5
    with pytest.raises(UsageError, match="--chunk 5: decoding token by token answers one step"):
        make_policy(choice(folder, decoding="ar", chunk=5))


def test_what_is_known_of_a_checkpoint_needs_no_option(tmp_path, words):
    known = public(tmp_path / "models--openvla--openvla-7b-finetuned-libero-object" / "snapshots" / "0a1b", words=words)
    policy = make_policy(choice(known))
    assert policy.identity["decoding"] == "ar" and dict(policy.card)["decoding"] == "ar (as published)"
    config = replace(NANO, l1_head=False, proprio_dim=0, cameras=1)
    ours = nano_checkpoints.checkpoint(tmp_path / "ours", config=config)
    assert make_policy(choice(ours)).identity["decoding"] == "parallel"  # its config.json says that it is an OpenVLA-OFT
    assert make_policy(choice(ours, decoding="ar")).act([observation(0)])[0].kept_tokens == (64,)
    with pytest.raises(UsageError, match="has an L1 head: its tokens were not trained"):
        make_policy(choice("nano", decoding="parallel"))


@pytest.mark.parametrize("pruner", ["fastv", "sparsevlm", "vla-cache", "flashvla-ics", "spvla(edges=false,z_thre=0)"])
def test_the_papers_autoregressive_rows_can_be_run(tmp_path, pruner):
    """Table I's pruners on OpenVLA, which has one camera, no proprioception and no action head."""
    config = replace(NANO, l1_head=False, proprio_dim=0, cameras=1)
    folder = nano_checkpoints.checkpoint(tmp_path / "openvla", config=config, kind="openvla")
    policy = make_policy(choice(folder, pruner=pruner))
    assert policy.identity["decoding"] == "ar"
    policy.reset(observation(0).episode)
    chunks = [policy.act([observation(0)])[0] for _ in range(3)]
    assert {chunk.actions.shape for chunk in chunks} == {(1, 7)} and min(sum(chunk.kept_tokens) for chunk in chunks) < 64
    assert chunks[-1].gflops < make_policy(choice(folder)).act([observation(0)])[0].gflops
    with pytest.raises(UsageError, match="vla-pruner needs the action slots' attention") as caught:
        make_policy(choice(folder, pruner="vla-pruner"))
    assert caught.value.fix == f"vla-bench eval --model {folder} --pruner fastv"


def test_parallel_decoding_is_the_references(shared):
    loaded = made_checkpoints.load(shared("fixtures/tiny_ckpt"), dtype=torch.float32)
    loaded.model.action_head = None
    for case in "ab":
        expected = load_file(shared(f"fixtures/e2e_eval_{case}.safetensors"))
        prompt = expected["input_ids"][0].tolist()[1:]
        prompt += [] if prompt[-1] == loaded.config.tokens.space else [loaded.config.tokens.space]
        inputs = Inputs(expected["pixel_values"], (tuple(prompt),), expected["proprio_norm"].float()[None])
        found = loaded.model(inputs).actions[0]
        entry = loaded.statistics["libero_spatial_no_noops"]["action"]
        low, high = (np.array(entry[q]) for q in ("q01", "q99"))
        robot = np.where(entry["mask"], 0.5 * (found.numpy() + 1) * (high - low + 1e-8) + low, found.numpy())
        np.testing.assert_allclose(robot, expected["dense.discrete_actions"].numpy(), atol=1e-6)


def test_open_loop_steps_cut_the_chunk_short(tmp_path):
    folder = nano_checkpoints.checkpoint(tmp_path / "mine")
    whole, four = make_policy(choice(folder)), make_policy(choice(folder, open_loop_steps=4))
    full, cut = (policy.act([observation(0)])[0].actions for policy in (whole, four))
    assert full.shape == (8, 7) and np.array_equal(cut, full[:4])
    assert (whole.identity["open_loop_steps"], four.identity["open_loop_steps"]) == (8, 4)
    assert dict(four.card)["open loop"] == "4 steps a query (asked for, of 8)"
    for steps, words in ((9, "a query answers 8 steps"), (0, "above 0, not 0")):
        with pytest.raises(UsageError, match=f"--open-loop-steps.*{words}"):
            make_policy(choice(folder, open_loop_steps=steps))
    with pytest.raises(UsageError, match="a query answers 1 step\n") as caught:
        make_policy(choice(folder, decoding="ar", open_loop_steps=4))
    assert caught.value.fix == "vla-bench eval --open-loop-steps 1"


def test_a_cached_action_is_as_long_as_an_answer(tmp_path):
    folder = nano_checkpoints.checkpoint(tmp_path / "mine")
    policy = make_policy(choice(folder, pruner="flashvla-ics", pruner_args="trigger=true,angle=180,overlap=0", open_loop_steps=3))
    policy.reset(observation(0).episode)
    chunks = [policy.act([observation(0)])[0] for _ in range(4)]
    assert {chunk.actions.shape for chunk in chunks} == {(3, 7)} and chunks[2].gflops == 0.0  # the third is the second again


def test_half_a_chunk_takes_twice_the_queries_and_is_another_run(tmp_path):
    folder, queries, hashes = nano_checkpoints.checkpoint(tmp_path / "mine"), [], set()
    for steps in (8, 4):
        plan = prepare(EvalRequest(suite="object", model=str(folder), assets="primitive", trials=1, open_loop_steps=steps))
        hashes.add(config_hash(plan.config))
        asked = []

        def act(seen, policy=plan.policy, asked=asked):
            asked.append(seen.step)
            return policy.act([seen])[0].actions

        run_episode(Still(plan.suites[0]), EpisodeKey("object", 0, 0), Sight.IMAGES, act)
        queries.append(len(asked))
    assert queries == [3, 6] and len(hashes) == 2


class Still:
    """A simulator of 24 steps in which nothing happens."""

    def __init__(self, suite):
        self.suite, self.steps = replace(suite, horizon=24), 0

    def reset(self, init_state, sight, repeat):
        return observation(0)

    def step(self, action, sight):
        self.steps += 1
        return False, replace(observation(0), step=self.steps)


@pytest.fixture
def unmerged(tmp_path, words):
    """A base without statistics of LIBERO, and what a training on it left: adapter, heads and statistics."""
    import peft

    base = public(tmp_path / "base", words=words)
    made_checkpoints.change_config(base, lambda t: t.update(norm_stats={"bridge_orig": RANDOM_STATISTICS["random"]}))
    (base / "dataset_statistics.json").unlink()
    trained = made_checkpoints.make(made_checkpoints.PUBLIC)
    trained.openvla = made_checkpoints.make(TOKENS).openvla
    left = made_checkpoints.write(tmp_path / "base+libero_object_no_noops", trained, ours=False, statistics=STATISTICS)
    for path in [*left.glob("model*"), left / "config.json"]:
        path.unlink()
    torch.manual_seed(5)
    options = peft.LoraConfig(r=4, lora_alpha=8, target_modules="all-linear", init_lora_weights=False)
    adapted = peft.get_peft_model(trained.openvla, options)
    adapted.save_pretrained(left / "lora_adapter", save_embedding_layers=False)
    table = json.loads((left / "lora_adapter" / "adapter_config.json").read_text())
    (left / "lora_adapter" / "adapter_config.json").write_text(json.dumps(table | {"base_model_name_or_path": str(base)}))
    trained.openvla = adapted.merge_and_unload()
    return left, base, trained.eval()


@pytest.mark.filterwarnings("ignore:Found missing adapter keys")
def test_a_folder_before_merging_acts_with_adapter_alone(unmerged):
    """Base from adapter_config.json; heads, statistics and tokenizer from the training's folder, else from the base."""
    left, base, trained = unmerged
    policy = make_policy(choice("auto", adapter=left))
    assert policy.name == str(base) and policy.identity["unnorm_keys"] == {"object": "libero_object_no_noops"}
    inputs = policy.processor([observation(0)])
    assert (policy.model(inputs).actions - trained(inputs).actions).abs().max() < 1e-4
    assert "rank 4, alpha 8, merged; trained on" in dict(policy.card)["adapter"]
    same = make_policy(choice(base, adapter=left / "lora_adapter"))
    assert same.identity == policy.identity
    with pytest.raises(CheckpointError, match="no statistics for libero_object: bridge_orig"):
        make_policy(choice(base, decoding="parallel"))
    (left / "vision_backbone--40000_checkpoint.pt").write_bytes(b"")
    with pytest.raises(CheckpointError, match="vision_backbone--40000_checkpoint.pt"):
        make_policy(choice("auto", adapter=left))


def test_adapters_whose_base_is_elsewhere_or_that_are_none(tmp_path):
    (tmp_path / "adapter_config.json").write_text('{"base_model_name_or_path": "/mnt/data/openvla-7b"}')
    with pytest.raises(UsageError, match="trained on /mnt/data/openvla-7b, which is no folder here") as caught:
        resolve_choice(choice("auto", adapter=tmp_path))
    assert caught.value.instead == {"--model": "BASE"}
    assert resolve_choice(choice("nano", adapter=tmp_path)).name == "nano"
    (tmp_path / "adapter_config.json").write_text("{}")
    with pytest.raises(UsageError, match="names no base"):
        resolve_choice(choice("auto", adapter=tmp_path))
    for place, words in (
        (tmp_path / "nowhere", "no such folder"),
        (nano_checkpoints.checkpoint(tmp_path / "x"), "it is a checkpoint"),
    ):
        with pytest.raises(CheckpointError, match=words):
            read_adapter(place)
    with pytest.raises(UsageError, match="expert has no weights to adapt"):
        resolve_choice(choice("expert", adapter=tmp_path))


@pytest.mark.parametrize("option", [{"cameras": 1}, {"chunk": 4}, {"center_crop": False}, {"open_loop_steps": 2}])
def test_scripts_have_none_of_it(option):
    with pytest.raises(UsageError, match="noop has no"):
        resolve_choice(choice("noop", **option))


def test_a_camera_more_than_the_suite_has(tmp_path, words):
    folder = public(tmp_path / "mine", made_checkpoints.PUBLIC, words)
    with pytest.raises(Exception, match="the model needs 3 cameras and the suite has 2"):
        make_policy(choice(folder, cameras=3))


def test_what_is_decoded_token_by_token_is_not_timed_as_one_pass(cli, tmp_path):
    config = replace(NANO, l1_head=False, proprio_dim=0, cameras=1)
    folder = nano_checkpoints.checkpoint(tmp_path / "openvla", config=config, kind="openvla")
    done = cli("latency", "--model", str(folder), "--queries", "2", "--suite", "object", "--device", "cpu")
    assert done.exit_code == 2 and "decodes token by token" in str(done.exception)
