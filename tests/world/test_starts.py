"""Sampled starts are LIBERO's own, distributed as the official ones, and never one of them."""

import dataclasses
from xml.etree import ElementTree as ET

import numpy as np
import pytest

from vla_bench.errors import WorldError
from vla_bench.suites import load_suite
from vla_bench.world.env import World
from vla_bench.world.init_states import read_init_states
from vla_bench.world.libero import init_states_file
from vla_bench.world.starts import JOINT_NOISE, Start, StartSampler, poses_from_json

ARM = slice(1, 8)  # of a state


def joints(world):
    """Name -> the numbers of a state (time, qpos, qvel) that are its position; in the order of the model."""
    slices, at = {}, 1
    for joint in ET.fromstring(world.model_xml).find("worldbody").iter():
        if joint.tag in ("joint", "freejoint"):
            free = joint.tag == "freejoint" or joint.get("type") == "free"
            slices[joint.get("name")] = range(at, at := at + (7 if free else 1))
    return slices


def objects(world):
    """Name -> where its position begins in a state."""
    return {name: place.start for name, place in joints(world).items() if len(place) == 7}


def fixture_poses(world, names):
    """Name -> position and quaternion (7,) of a fixture in the model as it is."""
    bodies = {body.get("name"): body for body in ET.fromstring(world.model_xml).iter("body")}
    return {
        name: np.array(f"{bodies[f'{name}_main'].get('pos')} {bodies[f'{name}_main'].get('quat')}".split(), float)
        for name in names
    }


def official_starts(world):
    return read_init_states(init_states_file(world.suite, world.task))


def test_a_start_is_what_libero_s_own_reset_draws(make_world, pack):
    """A bowl in a drawer, another on the cabinet, and a drawer that is open by a random amount."""
    start = make_world("spatial", 4).sample(11)
    ours = start.state
    rebuilt = World(dataclasses.replace(load_suite("spatial"), env_seed=11), pack)
    rebuilt.start(rebuilt.suite.task(4))
    try:
        theirs, fixtures = rebuilt.state, fixture_poses(rebuilt, start.fixtures)
    finally:
        rebuilt.close()
    rest = np.delete(np.arange(len(ours)), np.r_[ARM])
    assert np.array_equal(ours[rest], theirs[rest])
    assert fixtures.keys() == {"wooden_cabinet_1", "flat_stove_1"}
    assert all(np.array_equal(start.fixtures[name], pose) for name, pose in fixtures.items())
    # LIBERO's wrapper turns the joint noise off, but draws it all the same.
    noise = np.random.RandomState(11).randn(7)
    assert np.allclose(ours[ARM] - theirs[ARM], JOINT_NOISE * noise, atol=1e-12)


@pytest.mark.parametrize(("suite", "task"), [("object", 0), ("spatial", 4), ("long", 9)])
def test_starts_are_distributed_as_the_official_ones(make_world, suite, task):
    world = make_world(suite, task)
    official, ours = official_starts(world), np.array([world.sample(seed).state for seed in range(150)])
    nq = sum(map(len, joints(world).values()))
    assert not ours[:, 0].any() and not ours[:, 1 + nq :].any()  # time 0, nothing moves; as in the official ones
    assert np.array_equal(ours[:, 8:10].min(axis=0), official[:, 8:10].max(axis=0))  # fingers
    for at in objects(world).values():
        place = slice(at, at + 3)
        assert np.abs(ours[:, place].mean(axis=0) - official[:, place].mean(axis=0)).max() < 0.008
        # 150 draws cover what 50 covered, and both stay inside one region.
        assert np.all(ours[:, place].min(axis=0) < official[:, place].min(axis=0) + 0.002)
        assert np.all(ours[:, place].max(axis=0) > official[:, place].max(axis=0) - 0.002)
        assert np.all(np.ptp(ours[:, place], axis=0) < np.ptp(official[:, place], axis=0) + 0.008)
    others = np.setdiff1d(np.arange(10, 1 + nq), np.concatenate([np.arange(at, at + 7) for at in objects(world).values()]))
    assert np.all(np.abs(ours[:, others].mean(axis=0) - official[:, others].mean(axis=0)) < 0.05)
    assert np.allclose(ours[:, others].std(axis=0), official[:, others].std(axis=0), rtol=0.25, atol=1e-9)
    assert np.abs(ours[:, ARM].mean(axis=0) - official[:, ARM].mean(axis=0)).max() < 0.015
    for states in (ours, official):
        assert 0.9 * JOINT_NOISE < states[:, ARM].std(axis=0).mean() < 1.1 * JOINT_NOISE


def test_a_start_is_never_an_official_one(pack, monkeypatch):
    given = []

    class Noted(StartSampler):
        def __init__(self, sampler, official, reference):
            given.append(sampler)
            super().__init__(sampler, official, reference)

    monkeypatch.setattr("vla_bench.world.env.StartSampler", Noted)
    world = World(load_suite("object"), pack)
    world.start(world.suite.task(8))
    try:
        official, (resets,) = official_starts(world), given
        sampler, starts = StartSampler(resets, official, None), [world.sample(seed).state for seed in range(60)]
        positions = np.array([at + np.arange(3) for at in objects(world).values()])
        for start in starts:
            apart = np.linalg.norm(official[:, positions] - start[positions], axis=2).max(axis=1)
            assert apart.min() > 1e-4 and apart.min() == pytest.approx(sampler.distance(start))
        # Were a draw official, the next one would be taken.
        again = StartSampler(resets, np.array(starts[:1]), None).draw(0).state
        assert np.array_equal(StartSampler(resets, np.array(starts[1:]), None).draw(0).state, starts[0])
        assert np.linalg.norm(again[positions] - starts[0][positions], axis=1).max() > 1e-4
    finally:
        world.close()


def test_sampling_leaves_everything_else_alone(make_world):
    world = make_world("spatial", 4)
    world.reset(0)
    before, numbers = world.state, np.random.get_state()[1].copy()
    model = world.model_xml
    first = world.sample(3)
    assert np.array_equal(first.state, world.sample(3).state) and not np.array_equal(first.state, world.sample(4).state)
    assert world.model_xml == model
    assert np.array_equal(world.state, before)
    assert np.array_equal(np.random.get_state()[1], numbers)
    seen = world.begin(world.key, first)
    settled = world.state
    world.reset(0)
    assert np.array_equal(world.begin(world.key, first).eef_pos, seen.eef_pos) and np.array_equal(world.state, settled)


def test_fixtures_stand_where_they_were_sampled_and_never_as_in_an_evaluated_episode(make_world):
    world = make_world("long", 3)
    starts = [world.sample(seed) for seed in (0, 1, 0)]
    # The evaluation's own seed would give the fixtures of its first episode.
    evaluated = []
    for k in range(3):
        world.reset(k)
        evaluated.append(fixture_poses(world, starts[0].fixtures))
    for start in starts:
        world.begin(world.key, start)
        stand = fixture_poses(world, start.fixtures)
        assert set(stand) == {"white_cabinet_1", "wine_rack_1"}
        assert all(np.array_equal(stand[name], start.fixtures[name]) for name in stand)
        assert not any(np.array_equal(stand["wine_rack_1"], poses["wine_rack_1"]) for poses in evaluated)
    again = poses_from_json(starts[0].fixtures_json)
    assert all(np.array_equal(again[name], pose) for name, pose in starts[2].fixtures.items())
    for damaged in ("[]", '{"a": [1, 2]}', '{"a": [NaN, 0, 0, 1, 0, 0, 0]}'):
        with pytest.raises(ValueError):
            poses_from_json(damaged)


def test_a_start_in_which_something_fell_or_nothing_is_left_to_do_is_not_sound(make_world):
    world = make_world("object", 0)
    start = world.sample(0).state

    def sound(state):
        world.begin(world.key, Start(state))
        return world.is_sound(state)

    world.reset(0)
    assert sound(start)
    at = objects(world)
    tipped, solved = start.copy(), start.copy()
    milk, soup, basket = (at[f"{name}_1_joint0"] for name in ("milk", "alphabet_soup", "basket"))
    tipped[milk + 2] += 0.1
    tipped[milk + 3 : milk + 7] = [0.9, 0.4, 0.1, 0.1] / np.linalg.norm([0.9, 0.4, 0.1, 0.1])
    assert not sound(tipped)
    solved[soup : soup + 3] = solved[basket : basket + 3] + [0.0, 0.0, 0.06]
    assert not sound(solved)


def test_without_a_task_there_is_nothing_to_sample(pack):
    with pytest.raises(WorldError, match="no task was started"):
        World(load_suite("object"), pack).sample(0)
