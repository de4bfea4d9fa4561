"""`verify` on models that are wrong in ways that have happened: each of them misses on the bundled set, where it should."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch
import torch.nn.functional as F

from vla_bench.checkpoints import choices
from vla_bench.model import decoder, vision, vla
from vla_bench.model.images import Normalisation
from vla_bench.model.sequence import Tokens
from vla_bench.pruners import lightvla
from vla_bench.verify import evaluation, images, numbers
from vla_bench.verify.compare import CheckStatus
from vla_bench.verify.run import verify


def causal(patch):
    rows = decoder.attention_mask
    patch.setattr(decoder, "attention_mask", lambda tokens, causal, columns=None: rows(tokens, True, columns))


def meta_eps(patch):
    make = decoder.llama_config

    def wrong(config):
        made = make(config)
        made.rms_norm_eps = 1e-5
        return made

    patch.setattr(decoder, "llama_config", wrong)


def compacted_positions(patch):
    right = Tokens.with_patches

    def wrong(self, patches):
        tokens = right(self, patches)
        return replace(tokens, positions=torch.arange(tokens.positions.shape[1]).expand_as(tokens.positions))

    patch.setattr(Tokens, "with_patches", wrong)


def towers_swapped(patch):
    right = vision.VisionBackbone.forward
    patch.setattr(vision.VisionBackbone, "forward", lambda self, *args: right(self, *args).roll(15, dims=-1))


def tanh_gelu(patch):
    gelu = F.gelu
    patch.setattr(F, "gelu", lambda x: gelu(x, approximate="tanh"))


def slots_not_empty(patch):
    right = torch.Tensor.masked_fill
    patch.setattr(torch.Tensor, "masked_fill", lambda self, mask, value: self if value == 0.0 else right(self, mask, value))


def action_slice_ignored(patch):
    patch.setattr(vla.ActionSlice, "first", property(lambda self: -1))


def means_not_rounded(patch):
    exact = Normalisation(((0.485, 0.456, 0.406), (0.5,) * 3), ((0.229, 0.224, 0.225), (0.5,) * 3))
    patch.setattr(choices, "read_normalisation", lambda path: exact)


def accurate_jpeg(patch):
    import io

    from PIL import Image

    def wrong(image):
        buffer = io.BytesIO()
        Image.fromarray(np.ascontiguousarray(image)).save(buffer, "JPEG", quality=95, subsampling="4:2:0")
        return np.asarray(Image.open(buffer))

    patch.setattr(images, "jpeg", wrong)


def space_not_appended(patch):
    patch.setattr(evaluation, "prompt_ids", lambda ids, space: tuple(ids[1:]))


TRAPS = {
    "causal attention": (causal, {"dense.hidden_after_layer0", "light.actions", "dense.loss"}),
    "RMS eps 1e-5 in the decoder": (meta_eps, {"dense.last_hidden_state"}),
    "RMS eps 1e-5 in the pruner": (lambda patch: patch.setattr(lightvla, "EPS", 1e-5), {"train.grad_tokens"}),
    "positions counted anew": (
        compacted_positions,
        {"light.position_ids", "light.hidden_after_layer0", "train.position_ids_out"},
    ),
    "one block too few": (lambda patch: patch.setattr(vision, "BLOCK_READ", -3), {"vision_features"}),
    "SigLIP first": (towers_swapped, {"vision_features", "projected_patches"}),
    "tanh GELU": (tanh_gelu, {"proprio_token"}),
    "action slots not empty": (slots_not_empty, {"inputs_embeds"}),
    "one action slice for both": (action_slice_ignored, {"light.actions_hidden_states"}),
    "means not rounded": (means_not_rounded, {"pixel_values"}),
    "accurate JPEG": (accurate_jpeg, {"img*.after_jpeg"}),
    "no space behind the prompt": (space_not_appended, {"num_prompt_tokens"}),
    "no noise in training": (
        lambda patch: patch.setattr(lightvla, "add_noise", lambda scores, *_: scores),
        {"train.indices", "light.indices"},
    ),
    "actions clipped": (
        lambda patch: patch.setattr(
            evaluation, "unnormalise_actions", lambda a, s, right=evaluation.unnormalise_actions: right(np.clip(a, -1, 1), s)
        ),
        {"dense.actions"},
    ),
    "gripper not inverted": (
        lambda patch: [patch.setattr(m, "env_actions", np.array) for m in (evaluation, numbers)],
        {"grip.env_actions", "dense.env_actions"},
    ),
}


@pytest.mark.parametrize("trap", TRAPS)
def test_a_wrong_model_misses(monkeypatch, trap):
    spring, expected = TRAPS[trap]
    spring(monkeypatch)
    verdict = verify()
    assert expected <= {row.family for row in verdict.rows if row.verdict is CheckStatus.MISS} and verdict.exit_code == 1
