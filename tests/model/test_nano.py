"""The nano model: its sizes, its start, and the inputs that it refuses."""

import re
import subprocess
import sys
from dataclasses import replace

import pytest
import torch

from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.presets import NANO, PRESETS, SEVEN_B, preset
from vla_bench.model.initialise import random_vla
from vla_bench.model.vla import VLA, Inputs

from ..conftest import ROOT
from ..nanos import answer, inputs, one_thread

ONES = r"norm|ffn\.0|scale_factor"  # parameters that start at 1


@pytest.fixture(scope="module")
def model():
    with one_thread():
        yield random_vla(NANO, seed=0).eval()


# --- sizes


def test_nano_is_small(model):
    assert sum(p.numel() for p in model.parameters()) == 2_351_431  # < 5 M
    assert (NANO.visual_tokens, NANO.patches, NANO.slots) == (128, 64, 56)


def test_vocabulary_is_laid_out_like_the_7bs():
    for config in PRESETS.values():
        tokens = config.tokens
        assert tokens.actions_end == tokens.pad and config.llm.vocab % 64 == 0
        assert config.llm.vocab - tokens.actions_end == 64  # what the public files call pad_to_multiple_of
        assert max(tokens.bos, tokens.stop, tokens.space) < tokens.actions_end - tokens.action_bins


def test_nano_has_the_parameters_of_the_7b_but_fewer_layers(model):
    with torch.device("meta"):
        big = VLA(SEVEN_B)

    def names(vla):
        return {re.sub(r"\.\d+\.", ".N.", name) for name, _ in vla.named_parameters()}

    assert names(model) == names(big)


def test_a_dense_query_costs_less_than_a_gigaflop():
    from torch.utils.flop_counter import FlopCounterMode

    with torch.device("meta"):
        model = VLA(NANO)
        pixels, proprio = torch.empty(1, 12, NANO.image_size, NANO.image_size), torch.empty(1, NANO.proprio_dim)
    counter = FlopCounterMode(display=False)
    with counter, torch.no_grad():
        model(Inputs(pixels, (tuple(range(4, 16)),), proprio))
    assert 0.75e9 < counter.get_total_flops() < 0.8e9


def test_preset_by_name():
    assert preset("nano") is NANO and preset("7b") is SEVEN_B == VLAConfig()
    with pytest.raises(UsageError, match='unknown preset "nanno".*Did you mean "nano"'):
        preset("nanno")


# --- initialisation


def test_the_same_seed_gives_the_same_model_and_disturbs_nobody(model):
    before = torch.get_rng_state()
    again, other = (random_vla(NANO, seed).state_dict() for seed in (0, 1))
    assert torch.equal(before, torch.get_rng_state())
    mine = model.state_dict()
    assert mine.keys() == again.keys() and all(torch.equal(mine[name], again[name]) for name in mine)
    differing = {name for name in mine if not torch.equal(mine[name], other[name])}
    assert differing == {name for name in mine if not name.endswith("bias") and not re.search(ONES, name)}


def test_every_parameter_is_filled(model):
    for name, parameter in model.named_parameters():
        values = parameter.detach()
        assert values.isfinite().all(), name
        if name.endswith("bias"):
            assert (values == 0).all(), name
        elif re.search(ONES, name):
            assert (values == 1).all(), name
        else:
            std = 0.5 if re.search("pos_embed|_token|latent|embed_tokens", name) else values[0].numel() ** -0.5
            # A normal cut at two deviations has 0.88 of its deviation.
            assert values.abs().max() <= 2 * std and values.std() == pytest.approx(0.88 * std, rel=0.2), name
    assert (model.openvla.language_model.model.embed_tokens.weight[NANO.tokens.pad] == 0).all()


def test_a_module_without_a_rule_is_an_error(monkeypatch):
    monkeypatch.setattr("vla_bench.model.initialise.LayerScale", type(None))
    with pytest.raises(TypeError, match="no rule to initialise scale_factor of .*ls1, a LayerScale"):
        random_vla(NANO, 0)


def test_in_bfloat16_rotary_frequencies_stay_exact(model):
    rotary, exact = (
        vla.openvla.language_model.model.rotary_emb.inv_freq for vla in (random_vla(NANO, 0, dtype=torch.bfloat16), model)
    )
    assert rotary.dtype == torch.float32 and torch.equal(rotary, exact)


# --- wrong inputs


def test_wrong_inputs_are_refused(model):
    batch = inputs(1)
    with pytest.raises(ModelError, match="6 pixel channels are 1 cameras; this model has 2"):
        model(Inputs(batch.pixel_values[:, :6], batch.prompts, batch.proprio))
    with pytest.raises(ModelError, match="has a proprio token, and none was given"):
        model(Inputs(batch.pixel_values, batch.prompts))
    blind = random_vla(replace(NANO, proprio_dim=0), 0).eval()
    with pytest.raises(ModelError, match="has no proprio token, and one was given"):
        blind(batch)
    assert answer(blind, Inputs(batch.pixel_values, batch.prompts)).actions.shape == (1, 8, 7)


# --- its bench


def test_the_bench_proves_that_eight_together_answer_as_alone():
    command = [sys.executable, str(ROOT / "scripts" / "bench_nano.py"), "--rounds", "1", "--threads", "1"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert done.stdout.count("together equal single queries within") == 2 and done.stdout.count("times faster than alone") == 2
