"""`e2e_train*.safetensors`: one training step's loss and gradients, dense and with LightVLA's straight-through selection."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import torch
from torch import Tensor

from vla_bench.interface.action_slice import ActionSlice
from vla_bench.interface.pruner import Pruner
from vla_bench.model.vla import VLA, Inputs
from vla_bench.training.labels import action_masks, label_text, prompts_of, readout_mask
from vla_bench.verify.checkpoint import TestedModel
from vla_bench.verify.compare import EXACT, GRADIENTS, Computed
from vla_bench.verify.fixture import Fixture
from vla_bench.verify.pruner import score
from vla_bench.verify.watch import RecordingLightVLA, watch

EMBEDDING = "language_model.model.embed_tokens.weight"
EMBEDDED = ("embed_rows_ids", "embed_rows")  # its gradient is stored by the rows that are not zero


def gradients_in(given: Fixture) -> list[str]:
    """Names of the parameters whose gradient a file has for either model; it must have them for both."""
    names = {name.split(".grad.", 1)[1] for kind in ("dense", "light") for name in given.names(f"{kind}.grad.")}
    return sorted(names - set(EMBEDDED))


def computed(tested: TestedModel, given: Fixture, gradients: Sequence[str] | None = None) -> Iterator[Computed]:
    """Inputs: input_ids and labels (for the prompts), pixel_values, proprio, actions, noise, noise_scale.

    gradients: names of parameters; None for those in the file.
    """
    pixels, actions, noise = given["pixel_values"], given["actions"], given["noise"]
    tested.fit(cameras=pixels.shape[1] // 6, chunk=actions.shape[1])
    model, config, tokens = tested.model, tested.model.config, tested.text_tokens
    prompts = prompts_of(given["input_ids"], given["labels"])
    text = label_text(prompts, actions, tokens)
    yield Computed("input_ids", text.input_ids, EXACT)
    yield Computed("labels", text.labels, EXACT)
    yield Computed("attention_mask", text.attention_mask, EXACT)
    current, following = action_masks(text.labels, config.action_dim, tokens)
    shifted = readout_mask(text.labels, config.action_dim, tokens)
    yield Computed("current_action_mask", current, EXACT)
    yield Computed("next_actions_mask", following, EXACT)
    yield Computed("action_mask_shifted", shifted, EXACT)

    inputs = Inputs(pixels, prompts, given["proprio"].float() if config.proprio_dim else None)
    light = RecordingLightVLA(float(given["noise_scale"]), draw=lambda _: noise, mask_padding=False)
    for kind, pruner in (("dense", None), ("light", light)):
        yield from _step(kind, model, inputs, pruner, actions, shifted)
        rows = text.input_ids[~(current | following)].unique()
        yield from _gradients(kind, model, gradients_in(given) if gradients is None else gradients, rows)


def _step(kind: str, model: VLA, inputs: Inputs, pruner: Pruner | None, actions: Tensor, shifted: Tensor) -> Iterator[Computed]:
    """One forward and backward pass; the gradients stay in the model."""
    model.train().requires_grad_(True).zero_grad()
    model.pruner, model.action_slice = pruner, ActionSlice.ALIGNED
    with watch(model) as seen:
        output = model(inputs)
    loss = (output.actions - actions).abs().mean()
    loss.backward()
    tokens = output.tokens
    yield Computed(f"{kind}.last_hidden_state", tokens.hidden)
    yield Computed(f"{kind}.actions_hidden_states", output.slots)
    # The same states selected by their labels, as in the reference.
    behind = tokens.hidden[:, 1 + tokens.visual : -1]
    yield Computed(f"{kind}.actions_hidden_states", behind[shifted].view_as(output.slots))
    yield Computed(f"{kind}.pred_actions", output.actions)
    yield Computed(f"{kind}.loss", loss)
    if pruner is not None:
        yield Computed(f"{kind}.score", score(pruner.view))
        yield Computed(f"{kind}.indices", pruner.choice.selected, EXACT)
        yield Computed(f"{kind}.position_ids", tokens.positions, EXACT)
        valid = torch.ones_like(tokens.positions, dtype=torch.bool) if tokens.valid is None else tokens.valid
        yield Computed(f"{kind}.attention_mask", valid, EXACT)
        yield Computed(f"{kind}.selected_embeds", seen.entering)


def _gradients(kind: str, model: VLA, names: Sequence[str], rows: Tensor) -> Iterator[Computed]:
    """By the parameters' public names.  rows: token ids whose embedding is used."""
    parameters = {name.removeprefix("openvla."): parameter for name, parameter in model.named_parameters()}
    for name in names:
        if name in parameters:
            yield Computed(f"{kind}.grad.{name}", _gradient(parameters[name]), GRADIENTS)
        else:
            yield Computed(f"{kind}.grad.{name}", None, problem="the model has no such parameter")
    embedding = _gradient(parameters[EMBEDDING])
    yield Computed(f"{kind}.grad.embed_rows_ids", rows, EXACT)
    for row in range(len(rows)):  # each with its own tolerance: they differ by a factor of 100
        yield Computed(f"{kind}.grad.embed_rows", embedding[rows], GRADIENTS, where=torch.arange(len(rows)) == row)


def _gradient(parameter: Tensor) -> Tensor:
    """Zero for an unused parameter; cloned, since the next pass overwrites it."""
    return torch.zeros_like(parameter) if parameter.grad is None else parameter.grad.clone()
