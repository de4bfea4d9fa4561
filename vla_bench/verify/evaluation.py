"""`e2e_eval_*.safetensors`: one query through the whole model, as OpenVLA-OFT (`dense.`) and as LightVLA (`light.`)."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

import numpy as np
import torch

from vla_bench.interface.action_slice import ActionSlice
from vla_bench.interface.pruner import Pruner
from vla_bench.model.action_tokens import decode
from vla_bench.model.images import pixel_values
from vla_bench.model.normalisation import Statistics, env_actions, normalise_proprio, unnormalise_actions
from vla_bench.model.vla import VLA, Inputs, Output
from vla_bench.verify.checkpoint import TestedModel
from vla_bench.verify.compare import EXACT, MATHS, Computed
from vla_bench.verify.fixture import Fixture
from vla_bench.verify.pruner import score
from vla_bench.verify.watch import Activations, RecordingLightVLA, watch

CHUNKS = tuple(f"{model}.{name}" for model in ("dense", "light") for name in ("actions_normalized", "actions", "env_actions"))


def computed(tested: TestedModel, given: Fixture) -> Iterator[Computed]:
    """Inputs: images_uint8, input_ids, attention_mask, state_raw.  The rest follows from them and the weights."""
    images = given["images_uint8"].numpy()
    tested.fit(cameras=len(images), chunk=(given.shape(*CHUNKS) or [None])[0])
    model, config = tested.model.eval(), tested.model.config
    statistics = _statistics(tested, given)
    pixels = torch.as_tensor(pixel_values(images, tested.normalisation)).unsqueeze(0)
    prompt = prompt_ids(given["input_ids"][given["attention_mask"].bool()].tolist(), config.tokens.space)
    yield Computed("pixel_values", pixels)
    yield Computed("num_prompt_tokens", len(prompt), EXACT)
    proprio = None
    if config.proprio_dim:
        state = normalise_proprio(given["state_raw"].numpy(), statistics)
        yield Computed("proprio_norm", state, MATHS)
        proprio = torch.as_tensor(state).float().unsqueeze(0)
    inputs = Inputs(pixels, (prompt,), proprio)

    output, seen = _run(model, inputs, None, ActionSlice.ALIGNED)
    yield Computed("vision_features", seen.features)
    yield Computed("projected_patches", seen.patches)
    if proprio is not None:
        yield Computed("proprio_token", seen.proprio[:, 0])
    yield Computed("inputs_embeds", seen.entering)
    yield Computed("dense.hidden_after_layer0", seen.layer0)
    yield Computed("dense.last_hidden_state", output.tokens.hidden)
    yield from _actions("dense.", output, statistics)
    yield from _discrete("dense.", output, model, statistics)

    pruner = RecordingLightVLA(mask_padding=False).eval()
    output, seen = _run(model, inputs, pruner, ActionSlice.REFERENCE)
    yield Computed("light.score", score(pruner.view))
    yield Computed("light.keep_mask", pruner.choice.keep, EXACT)
    yield Computed("light.num_kept", pruner.choice.keep.sum(dim=1), EXACT)
    yield Computed("light.position_ids", output.tokens.positions, EXACT)
    yield Computed("light.pruned_embeds", seen.entering)
    yield Computed("light.hidden_after_layer0", seen.layer0)
    yield Computed("light.last_hidden_state", output.tokens.hidden)
    yield from _actions("light.", output, statistics)
    output, _ = _run(model, inputs, pruner, ActionSlice.ALIGNED)
    yield from _actions("light.aligned.", output, statistics, env=False)


def _statistics(tested: TestedModel, given: Fixture) -> Statistics:
    """Of several data sets' statistics, those that reproduce the file's normalised state: it has no key for them."""
    first, *others = tested.statistics
    if others and {"state_raw", "proprio_norm"} <= set(given.names()):
        state, expected = given["state_raw"].numpy(), given["proprio_norm"].numpy()
        near = [s for s in tested.statistics if np.allclose(normalise_proprio(state, s), expected, rtol=0, atol=MATHS.size)]
        return near[0] if near else first
    return first


def prompt_ids(ids: Sequence[int], space: int) -> tuple[int, ...]:
    """Without BOS, ending in the lone space piece."""
    return (*ids[1:],) if ids[-1] == space else (*ids[1:], space)


@torch.no_grad()
def _run(model: VLA, inputs: Inputs, pruner: Pruner | None, action_slice: ActionSlice) -> tuple[Output, Activations]:
    model.pruner, model.action_slice = pruner, action_slice
    with watch(model) as seen:
        return model(inputs), seen


def _actions(prefix: str, output: Output, statistics: Statistics, env: bool = True) -> Iterator[Computed]:
    actions = unnormalise_actions(output.actions[0].double().numpy(), statistics)
    yield Computed(f"{prefix}actions_hidden_states", output.slots)
    yield Computed(f"{prefix}actions_normalized", output.actions[0])
    yield Computed(f"{prefix}actions", actions)
    if env:
        yield Computed(f"{prefix}env_actions", env_actions(actions))


@torch.no_grad()
def _discrete(prefix: str, output: Output, model: VLA, statistics: Statistics) -> Iterator[Computed]:
    """The same hidden states decoded to action tokens, which checks `lm_head`."""
    config = model.config
    ids = model.openvla.language_model.lm_head(output.slots).argmax(dim=-1)
    bins = decode(ids[0].view(config.chunk, config.action_dim).numpy(), config.tokens.actions_end, config.tokens.action_bins)
    yield Computed(f"{prefix}discrete_token_ids", ids, EXACT)
    yield Computed(f"{prefix}discrete_actions", unnormalise_actions(bins, statistics), MATHS)
