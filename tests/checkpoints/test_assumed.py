"""What training chose and no public file says is an option, and the card says where each value comes from."""

from __future__ import annotations

from dataclasses import replace

import pytest
import torch

from vla_bench.checkpoints.assumed import TrainedWith
from vla_bench.errors import UsageError

from ..made_checkpoints import HEAD, PROPRIO, PUBLIC, TINY, answer, assert_equal, load, make, public, query, write

ONE = replace(PUBLIC, cameras=1, chunk=5, center_crop=False)


def test_a_model_of_one_camera_and_another_chunk_needs_the_users_word(tmp_path):
    trained = make(ONE)
    folder = write(tmp_path / "mine", trained, ours=False)
    loaded = load(folder, dtype=torch.float32, trained_with=TrainedWith(cameras=1, chunk=5, center_crop=False))
    assert (loaded.config.cameras, loaded.config.chunk, loaded.config.center_crop) == (1, 5, False)
    assert torch.equal(answer(loaded.model, query(ONE)), answer(trained, query(ONE)))
    card = dict(loaded.card)
    assert [card[name].endswith("(asked for)") for name in ("cameras", "chunk", "center crop")] == [True] * 3
    guessed = dict(load(folder).card)
    for name, option in (("cameras", "--cameras N"), ("chunk", "--chunk N"), ("center crop", "--no-center-crop")):
        assert f"(assumed, no file says it; else {option})" in guessed[name]


def test_a_block_of_ours_says_it_and_is_not_contradicted(tmp_path):
    folder = write(tmp_path / "ours", make(replace(TINY, cameras=1, center_crop=False)))
    loaded = load(folder)
    assert not loaded.config.center_crop and "from its config.json" in dict(loaded.card)["cameras"]
    assert load(folder, trained_with=TrainedWith(cameras=1)).config == loaded.config
    for said, words in (
        (TrainedWith(cameras=2), "--cameras 2 was given"),
        (TrainedWith(center_crop=True), "--center-crop was given"),
    ):
        with pytest.raises(UsageError, match=f"says .*{words}"):
            load(folder, trained_with=said)


def test_of_published_checkpoints_it_is_known(tmp_path):
    folder = public(tmp_path / "models--moojink--openvla-7b-oft-finetuned-libero-goal" / "snapshots" / "0a1b")
    card = dict(load(folder).card)
    assert [card[name].endswith("(as published)") for name in ("cameras", "chunk", "center crop")] == [True] * 3


def test_heads_follow_from_the_files(tmp_path):
    folder = public(tmp_path / "mine")
    (folder / PROPRIO).unlink()
    alone = load(folder).config
    assert (alone.l1_head, alone.proprio_dim, alone.cameras) == (True, 0, 2)
    (folder / HEAD).unlink()
    bare = load(folder)
    assert (bare.config.l1_head, bare.config.cameras, bare.decoding) == (False, 1, (None, "no file says it"))
    assert "assumed" in dict(bare.card)["cameras"]


def test_frames_are_cropped_only_where_training_was(tmp_path):
    import numpy as np

    from vla_bench.model.images import centre_crop, prepare

    frame = np.random.default_rng(0).integers(0, 256, (64, 64, 3), np.uint8)
    assert np.array_equal(prepare(frame, 28), centre_crop(prepare(frame, 28, crop=False)))
    one, other = (write(tmp_path / str(crop), make(replace(TINY, center_crop=crop))) for crop in (True, False))
    assert_equal(load(one).model, load(other).model)
