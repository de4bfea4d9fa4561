"""What every registered pruner owes the model: nothing changes where everything stays, batches are their samples, and
episodes know nothing of each other.  A pruner that is new here has to be entered below."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
import torch

from vla_bench.errors import ModelError
from vla_bench.model.presets import NANO
from vla_bench.pruners.base import Need
from vla_bench.pruners.registry import BUILT_IN, make_pruner
from vla_bench.records import EpisodeKey

from . import nanos

# Arguments with which everything stays; None: the method has none.
EVERYTHING = {
    "lightvla": None,
    "lightvla-star-vision": None,
    "lightvla-star-llm1": None,
    "lightvla-star-llm2": None,
    "lightvla-star-llm3": None,
    "random": "keep=1",
    "grid": "keep=1",
    "pool": "keep=1",
    "score-norm": "keep=1",
    "score-text": "keep=1",
    "score-siglip": "keep=1",
    "score-lightvla": "keep=1",
    "blind": None,
    "fastv": "keep=1",
    "sparsevlm": "counts=128/128/128",
    "divprune": "keep=1",
    "vla-cache": "static=0",
    "flashvla-ics": "keep=1",
    "spvla": "z_thre=0.9",
    "efficientvla-tokens": "keep=1",
    "vla-adp": "keep=1",
    "vla-pruner": "keep=1",
    "inverse": "fastv(keep=1)",
    "plus-random": "random(keep=0.5)",
    "drop-random": "random(keep=1)",
}
INNER = {"inverse": "(fastv)", "plus-random": "(lightvla)", "drop-random": "(lightvla)"}
DEFAULT = {name: name + INNER.get(name, "") for name in BUILT_IN}
KEPT = {  # tokens of the two cameras at the end, with these arguments
    "random(keep=20)": (10, 10),
    "grid(keep=20)": (10, 10),
    "score-norm(keep=20)": (10, 10),
    "score-text(keep=20)": (10, 10),
    "score-siglip(keep=20)": (10, 10),
    "score-lightvla(keep=20)": (10, 10),
    "blind": (1, 1),
    "pool(keep=32)": (16, 16),
    "fastv(keep=20)": (10, 10),
    "inverse(fastv(keep=20))": (10, 10),
    "divprune(keep=20)": (10, 10),
    "flashvla-ics(keep=20)": (10, 10),
    "vla-pruner(keep=20)": (10, 10),
    "vla-adp(keep=0.25, gate=off)": (16, 16),
    "plus-random(grid(keep=20))": 40,  # of both together
    "drop-random(grid(keep=20), share=0.5)": 10,
}


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    with nanos.one_thread():
        yield


@pytest.fixture(scope="module")
def model():
    from vla_bench.model.initialise import random_vla

    return random_vla(NANO, 0).eval()


def use(model, text):
    model.attach(make_pruner(text))
    if model.pruner is not None:
        model.pruner.eval()
    return model


def seen(step: int, episode: EpisodeKey | None, seed: int = 0):
    """One query of an episode, with all that a pruner may want to know."""
    one = nanos.sample(nanos.inputs(8, seed=seed + step), seed % 8)
    draw = np.random.default_rng([seed, step])
    pictures = draw.integers(0, 256, (2, NANO.image_size, NANO.image_size, 3), np.uint8)
    query = replace(one.queries[0], episode=episode, step=step, pictures=pictures, path=0.01 * draw.normal(size=(8, 3)))
    return replace(one, queries=(query,))


def run(model, inputs):
    output = nanos.answer(model, inputs)
    query = inputs.queries[0]
    model.pruner.observe(query, output.actions[0].double().clamp(-1, 1).numpy())
    return output


def test_every_pruner_is_entered():
    assert EVERYTHING.keys() == BUILT_IN.keys()


@pytest.mark.parametrize("name", [name for name, arguments in EVERYTHING.items() if arguments])
def test_where_everything_stays_the_answer_is_the_dense_models_bit_for_bit(model, name):
    inputs = seen(0, EpisodeKey("object", 0, 0))
    dense = nanos.answer(use(model, "none"), inputs)
    found = nanos.answer(use(model, f"{name}({EVERYTHING[name]})"), inputs)
    assert torch.equal(found.actions, dense.actions) and found.kept_per_camera() == [(64, 64)]


@pytest.mark.parametrize("text", KEPT)
def test_a_fixed_count_is_kept_to(model, text):
    (kept,) = nanos.answer(use(model, text), seen(8, None)).kept_per_camera()
    assert KEPT[text] in (kept, sum(kept))


@pytest.mark.parametrize("name", [name for name in DEFAULT if name != "vla-cache"])
def test_a_batch_is_its_samples(model, name):
    use(model, DEFAULT[name])
    singles = [seen(8, None, seed) for seed in range(4)]
    batch = replace(
        singles[0],
        pixel_values=torch.cat([one.pixel_values for one in singles]),
        prompts=tuple(one.prompts[0] for one in singles),
        proprio=torch.cat([one.proprio for one in singles]),
        queries=tuple(one.queries[0] for one in singles),
    )
    together = nanos.answer(model, batch)
    for i, one in enumerate(singles):
        alone = nanos.answer(model, one)
        assert nanos.kept(together, i) == nanos.kept(alone, 0)
        assert torch.allclose(together.actions[i], alone.actions[0], atol=1e-5)


def test_what_reuses_the_past_refuses_a_batch(model):
    assert Need.PAST in use(model, "vla-cache").pruner.needs
    with pytest.raises(ModelError, match="one sample at a time"):
        nanos.answer(model, nanos.inputs(2))


@pytest.mark.parametrize("name", DEFAULT)
def test_episodes_know_nothing_of_each_other(model, name):
    """Three queries of an episode: alone, beside another one, and again after a reset."""
    episode, other = EpisodeKey("object", 0, 0), EpisodeKey("object", 0, 1)
    use(model, DEFAULT[name])
    alone = [run(model, seen(8 * i, episode)) for i in range(3)]
    use(model, DEFAULT[name])
    beside = []
    for i in range(3):
        run(model, seen(8 * i, other, seed=5))
        beside.append(run(model, seen(8 * i, episode)))
    model.reset(episode)
    again = [run(model, seen(8 * i, episode)) for i in range(3)]
    for first, second, third in zip(alone, beside, again, strict=True):
        assert torch.equal(first.actions, second.actions) and torch.equal(first.actions, third.actions)
        assert nanos.kept(first, 0) == nanos.kept(second, 0) == nanos.kept(third, 0)
