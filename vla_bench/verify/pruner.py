"""`pruner_*.safetensors`: LightVLA's scoring and selection alone, on sequences of BOS, patches and text tokens."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

import torch
from torch import Tensor

from vla_bench.interface.layout import Layout
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import Query, View
from vla_bench.model.sequence import Tokens, thin
from vla_bench.pruners import lightvla
from vla_bench.pruners.gumbel import add_noise, straight_through
from vla_bench.pruners.lightvla import LightVLA
from vla_bench.verify.compare import EXACT, GRADIENTS, Computed
from vla_bench.verify.fixture import Fixture
from vla_bench.verify.watch import RecordingLightVLA


def computed(given: Fixture) -> Iterator[Computed]:
    """Inputs: tokens, position_ids, attention_mask, noise (its shape says how many patches), noise_scale, grad_tokens_out."""
    tokens = _tokens(given)
    yield from _evaluation(tokens)
    yield from _training(given, tokens, "train", float(given["noise_scale"]))
    yield from _training(given, tokens, "train_nonoise", None)


def score(view: View) -> Tensor:
    """Scores (B, V, V) without noise, padding included as in the reference."""
    return lightvla.scores(view.patches.hidden, view.task)


def _tokens(given: Fixture) -> Tokens:
    hidden, visual = given["tokens"], given["noise"].shape[-1]
    batch, length = hidden.shape[:2]
    # All tokens after the patches count as prompt; the file does not say which is which.
    layout = Layout(cameras=1, patches=visual, proprio=0, prompts=(length - 1 - visual,) * batch, slots=0)
    return Tokens(hidden, given["position_ids"], given["attention_mask"], given["position_ids"][:, 1 : 1 + visual] - 1, layout)


def _view(tokens: Tokens) -> View:
    queries = (Query(),) * len(tokens.hidden)
    return View(LLM_INPUT, tokens.patches, tokens.layout, queries, task=tokens.task, task_valid=tokens.task_valid)


def _prune(pruner: LightVLA, tokens: Tokens) -> Tokens:
    view = _view(tokens)
    return tokens.with_patches(thin(view.patches, pruner.select(view)))


def _sample(tokens: Tokens, number: int) -> Tokens:
    """One sample of a batch, alone."""
    one = slice(number, number + 1)
    layout = replace(tokens.layout, prompts=tokens.layout.prompts[one])
    return Tokens(tokens.hidden[one], tokens.positions[one], tokens.valid[one], tokens.ids[one], layout)


def _evaluation(tokens: Tokens) -> Iterator[Computed]:
    view = _view(tokens)
    scores = score(view)
    pruner = LightVLA(mask_padding=False).eval()
    keep = pruner.select(view).keep
    yield Computed("eval.score", scores)
    yield Computed("eval.queries", lightvla.queries(lightvla.rms_norm(view.patches.hidden), lightvla.rms_norm(view.task)))
    yield Computed("eval.indices", scores.argmax(dim=-1), EXACT)
    yield Computed("eval.mask", keep, EXACT)
    yield Computed("eval.num_kept", keep.sum(dim=1), EXACT)
    together = _prune(pruner, tokens)
    for number, kept in enumerate(keep.sum(dim=1).tolist()):
        alone = _prune(pruner, _sample(tokens, number))
        # In a batch a sample is padded to the longest one; without the padding it must be the same.
        columns = [*range(1 + kept), *range(1 + together.visual, together.hidden.shape[1])]
        for hidden, positions, valid in (
            (alone.hidden, alone.positions, alone.valid),
            (
                together.hidden[[number]][:, columns],
                together.positions[[number]][:, columns],
                together.valid[[number]][:, columns],
            ),
        ):
            yield Computed(f"eval.sample{number}.tokens_out", hidden)
            yield Computed(f"eval.sample{number}.position_ids_out", positions, EXACT)
            yield Computed(f"eval.sample{number}.attention_mask_out", valid, EXACT)


def _training(given: Fixture, tokens: Tokens, prefix: str, noise_scale: float | None) -> Iterator[Computed]:
    hidden = tokens.hidden.detach().requires_grad_()
    tokens = replace(tokens, hidden=hidden)
    noisy = score(_view(tokens))
    if noise_scale is not None:
        noisy = add_noise(noisy, given["noise"], noise_scale)
    indicator, _ = straight_through(noisy)
    pruner = RecordingLightVLA(noise_scale, draw=lambda _: given["noise"], mask_padding=False).train()
    resampled = _prune(pruner, tokens)
    picked, upstream = pruner.choice.selected, given["grad_tokens_out"]
    (gradient,) = torch.autograd.grad((resampled.hidden * upstream).sum(), hidden)
    images = slice(1, 1 + tokens.visual)
    scattered = torch.zeros_like(upstream[:, images]).scatter_add_(
        1, picked.unsqueeze(-1).expand_as(upstream[:, images]), upstream[:, images]
    )
    yield Computed(f"{prefix}.noisy_score", noisy)
    yield Computed(f"{prefix}.hard", indicator.round(), EXACT)
    yield Computed(f"{prefix}.soft", noisy.softmax(dim=-1))
    yield Computed(f"{prefix}.indices", picked, EXACT)
    yield Computed(f"{prefix}.tokens_out", resampled.hidden)
    yield Computed(f"{prefix}.position_ids_out", resampled.positions, EXACT)
    yield Computed(f"{prefix}.attention_mask_out", resampled.valid, EXACT)
    # Through the RMS norm of an empty row the gradient is 1000 times larger: compared separately, so as not to hide the others.
    empty = (tokens.hidden == 0).all(dim=-1)
    yield Computed(f"{prefix}.grad_tokens", gradient, GRADIENTS, where=~empty)
    yield Computed(f"{prefix}.grad_tokens", gradient, GRADIENTS, where=empty)
    yield Computed(f"{prefix}.grad_patches_straight_through", gradient[:, images] - scattered, GRADIENTS)
