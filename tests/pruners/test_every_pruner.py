"""What every registered pruner owes the model: nothing changes where everything stays, batches are their samples, and
episodes know nothing of each other.  A pruner that is new here has to be entered below."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest
import torch
from torch.nn.attention import SDPBackend, sdpa_kernel
from torch.utils.flop_counter import FlopCounterMode

from vla_bench.errors import ModelError
from vla_bench.interface.lengths import Case
from vla_bench.interface.needs import Need
from vla_bench.interface.presets import NANO
from vla_bench.model.query_costs import query_macs
from vla_bench.pruners.names import BUILT_IN, LEARNING
from vla_bench.pruners.registry import make_pruner
from vla_bench.records import EpisodeKey
from vla_bench.trace import QueryTrace
from vla_bench.values import Scope

from .. import nanos

REST = "plus-random({}, share=200)"  # all that was dropped is added again: for methods that always drop something
EVERYTHING = {  # with these arguments everything stays
    "lightvla": REST,
    "lightvla-star-vision": REST,
    "lightvla-star-llm1": REST,
    "lightvla-star-llm2": REST,
    "lightvla-star-llm3": REST,
    "random": "keep=1",
    "grid": "keep=1",
    "pool": "keep=1",
    "score-norm": "keep=1",
    "score-text": "keep=1",
    "score-siglip": "keep=1",
    "score-lightvla": "keep=1",
    "blind": REST,
    "fastv": "keep=1",
    "sparsevlm": "counts=128/128/128",
    "divprune": "keep=1",
    "vla-cache": "static=0",
    "flashvla-ics": "keep=1",
    "spvla": "z_thre=0, z_min=0",
    "efficientvla-tokens": "keep=1",
    "vla-adp": "keep=1",
    "vla-pruner": "keep=1",
    "safe-pruner": "keep=1",
    "team-vla": "keep=1, context=1",
    "grid-sampler": "keep=1",
    "inverse": "fastv(keep=1)",
    "plus-random": "random(keep=0.5)",
    "drop-random": "random(keep=1)",
}
INNER = {"inverse": "(fastv)", "plus-random": "(lightvla)", "drop-random": "(lightvla)"}
DEFAULT = {name: name + INNER.get(name, "") for name in BUILT_IN}
KEPT = {  # tokens of the two cameras at the end, with these arguments
    "random(keep=20)": (10, 10),
    "random(keep=21)": (11, 10),  # the first camera has the odd one
    "random(keep=23)": (12, 11),
    "grid(keep=21)": (11, 10),
    "fastv(keep=21)": (11, 10),
    "divprune(keep=21)": (11, 10),
    "flashvla-ics(keep=21)": (11, 10),
    "efficientvla-tokens(keep=21)": (11, 10),
    "vla-pruner(keep=21)": (11, 10),
    "inverse(flashvla-ics(keep=21))": (11, 10),
    "inverse(vla-adp(keep=20, gate=off))": (10, 10),
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
    "safe-pruner(keep=21, forecast=false)": (11, 10),
    "team-vla(keep=20)": 20,
    "grid-sampler(keep=21)": (11, 10),
    "vla-adp(keep=0.25, gate=off)": (16, 16),
    "plus-random(grid(keep=20))": 40,  # of both together
    "drop-random(grid(keep=20), share=0.5)": 10,
}
WITH_A_MEMORY = [
    "vla-adp(keep=0.25)",
    "drop-random(vla-adp(keep=0.25))",
    "spvla(z_thre=0.2, edges=false)",
    "drop-random(spvla(z_thre=0.2, edges=false))",
    "vla-pruner(profile=paper)",
    "safe-pruner(threshold=0.82)",
    "drop-random(safe-pruner(threshold=0.82))",
]


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


def seen(step: int, episode: EpisodeKey | None, seed: int = 0, still: bool = False):
    """One query of an episode, with all that a pruner may want to know; `still`: of a world in which nothing moves."""
    one = nanos.sample(nanos.inputs(8, seed=seed + step), seed % 8)
    draw = np.random.default_rng([seed, step])
    shown = np.random.default_rng([seed, 0 if still else step])
    images = shown.integers(0, 256, (2, NANO.image_size, NANO.image_size, 3), np.uint8)
    query = replace(one.queries[0], episode=episode, step=step, images=images, path=0.01 * draw.normal(size=(8, 3)))
    return replace(one, queries=(query,))


def episode(queries: int = 5):
    """In a world that stands still, so that images can be compared."""
    return [seen(8 * i, EpisodeKey("object", 0, 0), still=True) for i in range(queries)]


def run(model, inputs):
    output = nanos.answer(model, inputs)
    query = inputs.queries[0]
    model.pruner.observe(query, output.actions[0].double().clamp(-1, 1).numpy())
    return output


def test_every_pruner_is_entered(model):
    assert EVERYTHING.keys() == BUILT_IN.keys()
    # Wrappers learn what the one inside does.
    assert {name for name in DEFAULT if use(model, DEFAULT[name]).pruner.learns} - INNER.keys() == set(LEARNING)


@pytest.mark.parametrize("name", EVERYTHING)
def test_where_everything_stays_the_answer_is_the_dense_models_bit_for_bit(model, name):
    """At every query of an episode: a pruner with a memory lets everything stay at the first, whatever its arguments."""
    arguments, queries = EVERYTHING[name], episode()
    dense = [nanos.answer(use(model, "none"), query) for query in queries]
    use(model, arguments.format(name) if "{}" in arguments else f"{name}({arguments})")
    for query, expected in zip(queries, dense, strict=True):
        found = run(model, query)
        assert torch.equal(found.actions, expected.actions) and found.kept_per_camera() == [(64, 64)]


@pytest.mark.parametrize("text", ["vla-cache", *WITH_A_MEMORY])
def test_in_such_an_episode_those_with_a_memory_prune(model, text):
    """What the test above rests on."""
    use(model, text)
    kept = [sum(run(model, query).kept_per_camera()[0]) for query in episode()]
    assert kept[0] == 128 and min(kept) < 128, kept


@pytest.mark.parametrize("text", KEPT)
def test_a_fixed_count_is_kept_to(model, text):
    (kept,) = nanos.answer(use(model, text), seen(8, None)).kept_per_camera()
    assert KEPT[text] in (kept, sum(kept))


def batch(singles):
    return replace(
        singles[0],
        pixel_values=torch.cat([one.pixel_values for one in singles]),
        prompts=tuple(one.prompts[0] for one in singles),
        proprio=torch.cat([one.proprio for one in singles]),
        queries=tuple(one.queries[0] for one in singles),
    )


@pytest.mark.parametrize("text", [*(DEFAULT[name] for name in DEFAULT if name != "vla-cache"), *WITH_A_MEMORY])
def test_a_batch_is_its_samples(model, text):
    """The last queries of four episodes that have lasted unequally long."""
    episodes = [[seen(8 * i, EpisodeKey("object", 0, number), number) for i in range(number + 2)] for number in range(4)]

    def live() -> None:
        use(model, text)
        for queries in episodes:
            for query in queries[:-1]:
                run(model, query)

    live()
    together = nanos.answer(model, batch([queries[-1] for queries in episodes]))
    if text in WITH_A_MEMORY:
        kept = [sum(found) for found in together.kept_per_camera()]
        assert kept[0] == 128 and min(kept) < 128, "some are pruned, and some are not"
    live()
    for i, queries in enumerate(episodes):
        alone = nanos.answer(model, queries[-1])
        one = together.kept_per_camera()[i]
        assert one == alone.kept_per_camera()[0] and (one == (64, 64) or nanos.kept(together, i) == nanos.kept(alone, 0))
        assert torch.allclose(together.actions[i], alone.actions[0], atol=1e-5)


def test_what_reuses_the_past_refuses_a_batch(model):
    assert Need.PAST in use(model, "vla-cache").pruner.needs
    with pytest.raises(ModelError, match="one sample at a time"):
        nanos.answer(model, nanos.inputs(2))


@pytest.mark.parametrize("name", DEFAULT)
def test_episodes_know_nothing_of_each_other(model, name):
    """Three queries of an episode: alone, beside another one, and again after a reset."""
    own, other = EpisodeKey("object", 0, 0), EpisodeKey("object", 0, 1)
    use(model, DEFAULT[name])
    alone = [run(model, seen(8 * i, own)) for i in range(3)]
    use(model, DEFAULT[name])
    beside = []
    for i in range(3):
        run(model, seen(8 * i, other, seed=5))
        beside.append(run(model, seen(8 * i, own)))
    model.reset(own)
    again = [run(model, seen(8 * i, own)) for i in range(3)]
    for first, second, third in zip(alone, beside, again, strict=True):
        assert torch.equal(first.actions, second.actions) and torch.equal(first.actions, third.actions)
        assert nanos.kept(first, 0) == nanos.kept(second, 0) == nanos.kept(third, 0)


COUNTED = [
    *DEFAULT.values(),
    *WITH_A_MEMORY,
    "vla-cache(schedule=constant)",
    "sparsevlm(variant=rank)",
    "sparsevlm(variant=v2)",
    "sparsevlm(variant=1stage)",
    "flashvla-ics(quota=global)",
    "efficientvla-tokens(direction=v2t)",
    "fastv(keep=1)",
    "safe-pruner(forecast=false)",
    "team-vla(keep=1)",
    "team-vla(context=1)",
    "grid-sampler(geometry=false)",
]


@pytest.mark.parametrize("text", ["none", *COUNTED])
def test_the_cost_from_the_trace_is_torchs_count_to_the_last_digit(model, text):
    """At every query of an episode, also of those that decide by what was before."""
    use(model, text)
    for query in episode():
        counter = FlopCounterMode(display=False)
        with sdpa_kernel(SDPBackend.MATH), counter:  # other kernels of attention are not counted
            output = nanos.answer(model, query)
        if model.pruner is not None:
            model.pruner.observe(query.queries[0], output.actions[0].double().clamp(-1, 1).numpy())
        (trace,) = output.trace.read()
        macs = query_macs(model.pruner, Case(NANO, len(query.prompts[0]), trace.cuts), Scope.EXECUTED)
        assert counter.get_total_flops() == 2 * sum(macs.values())


@pytest.mark.parametrize("text", ["none", *COUNTED])
def test_the_trace_is_what_went_on(model, text):
    """Patches by camera, merged ones apart, and numbers that fit from cut to cut; written down and read back the same."""
    use(model, text)
    for query in episode(3):
        output = nanos.answer(model, query)
        (trace,), sites = output.trace.read(), output.trace.sites
        before = NANO.visual_tokens
        for cut, site in zip(trace.cuts, sites, strict=True):
            assert cut.before == before and cut.site == str(site.site) and cut.after == site.patches.ids.shape[1]
            before = cut.after
        assert sum(trace.per_camera(2, 64)) == before and output.kept_per_camera() == [trace.per_camera(2, 64)]
        if trace.cuts:
            last = sites[-1].patches
            own = torch.ones_like(last.ids, dtype=torch.bool) if last.merged is None else ~last.merged
            ids = [64 * camera + patch for camera, row in enumerate(trace.kept_ids(2, 64)) for patch in row]
            assert ids == sorted(last.ids[own].tolist())
            assert (trace.merged is not None) == bool(trace.cuts[-1].after - len(ids))
        again = QueryTrace.from_dict(json.loads(json.dumps(trace.to_dict())))
        assert again.cuts == trace.cuts and again.kept_ids(2, 64) == trace.kept_ids(2, 64)
