"""Batches: which chunks are drawn how often, and what a sample shows."""

from __future__ import annotations

import numpy as np
import torch

from vla_bench.demonstrations.layout import chunk_starts
from vla_bench.interface.presets import NANO
from vla_bench.model.images import Normalisation, prepare
from vla_bench.model.normalisation import Statistics
from vla_bench.model.tokenizer import NANO_TOKENIZER, Tokenizer
from vla_bench.training.data import demo_files
from vla_bench.training.finetune import statistics
from vla_bench.training.recipe import RECIPES
from vla_bench.training.samples import SampleLoader

from ..trainings import demonstration


def test_chunks_do_not_cross_segments(frames):
    starts = chunk_starts(frames.segment, 8)
    assert starts.tolist() == [*range(0, 7), *range(20, 27)]  # 14 frames of the first segment, 6 of the second: too few


def test_a_batch_depends_on_seed_and_step_alone_and_can_be_shared(samples):
    whole, again, other = samples.batch(5, 6), samples.batch(5, 6), samples.batch(6, 6)
    assert torch.equal(whole.inputs.pixel_values, again.inputs.pixel_values) and whole.seeds == again.seeds
    assert not torch.equal(whole.inputs.pixel_values, other.inputs.pixel_values)
    halves = [samples.batch(5, 6, rank, 2) for rank in range(2)]
    assert torch.equal(torch.cat([h.inputs.pixel_values for h in halves]), whole.inputs.pixel_values)
    assert torch.equal(torch.cat([h.actions for h in halves]), whole.actions)
    assert whole.actions.abs().max() <= 1 and whole.actions.shape == (6, 8, 7)


def test_chunks_near_a_switch_of_the_gripper_are_drawn_more_often(longer):
    frames, made = longer
    samples = SampleLoader(frames, NANO, *made[:2], normalisation=made[2], seed=made[3], switch_weight=3.0)
    probabilities = samples.probabilities
    weights = dict(zip(samples.starts.tolist(), (probabilities / probabilities.min()).round(6).tolist(), strict=True))
    # From 15 steps before a switch, where the next chunk ends with it; never for that of another demonstration.
    near = {*range(15, 31), 40, 41}
    assert weights == {start: 3.0 if start in near else 1.0 for start in [*range(33), *range(40, 63)]}


def test_the_last_steps_are_learnt_with_the_last_action_repeated(longer):
    """The first 40 frames end a demonstration, the other 30 are cut off by a push."""
    frames, made = longer
    plain, filled = (
        SampleLoader(frames, NANO, *made[:2], normalisation=made[2], seed=made[3]),
        SampleLoader(frames, NANO, *made[:2], normalisation=made[2], seed=made[3], fill_ends=True),
    )
    assert set(filled.starts) - set(plain.starts) == {33, 34, 35, 36, 37, 38, 39}
    chunk = filled.collate(np.array([37]), [0]).actions[0]
    assert torch.equal(chunk[:2], torch.from_numpy(filled.actions[37:39]))
    assert torch.equal(chunk[2:], torch.from_numpy(filled.actions[39]).expand(6, 7))
    assert not RECIPES["paper"].fill_ends  # the reference does not


def test_without_augmentation_a_sample_is_the_evaluations(data, frames):
    (entry,) = statistics(frames, demo_files(data), "bounds").values()
    made = Tokenizer(NANO_TOKENIZER, NANO.tokens), Statistics.parse(entry, "x"), Normalisation(), 0
    plain = SampleLoader(frames, NANO, *made[:2], normalisation=made[2], seed=made[3], augmentation=None)
    seen = plain.collate(np.array([20]), [0]).inputs.pixel_values[0, 6:9]
    colours = prepare(demonstration(1)["obs/eye_in_hand_rgb"][0], 112).transpose(2, 0, 1) / 255.0
    shown = seen * plain.std[0, 0] + plain.mean[0, 0]
    assert np.abs(shown.numpy() - colours).max() < 1.5 / 255
