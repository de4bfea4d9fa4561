"""World equals LIBERO's own environment bit for bit, and an episode depends on its number and actions alone."""

from contextlib import contextmanager

import numpy as np
import pytest

from vla_bench.errors import WorldError
from vla_bench.policies.registry import make_policy
from vla_bench.records import EpisodeKey
from vla_bench.suites import load_suite
from vla_bench.world.env import World
from vla_bench.world.init_states import read_init_states
from vla_bench.world.libero import bddl_file, init_states_file, use_assets
from vla_bench.world.observation import Sight
from vla_bench.world.primitives.quality import draw_coarsely
from vla_bench.world.starts import Start

ACTIONS = np.random.default_rng(0).uniform(-1, 1, (24, 7))
CHUNK = 8


def run(world, init_state, always):
    """State and observation at the query steps."""
    seen = [(world.reset(init_state, Sight.IMAGES), world.state)]
    for i, action in enumerate(ACTIONS, 1):
        query = i % CHUNK == 0
        _, observation = world.step(action, Sight.IMAGES if query or always else Sight.NOTHING)
        if query:
            seen.append((observation, world.state))
    return seen


def assert_same(a, b):
    assert len(a) == len(b)
    for (o, s), (p, t) in zip(a, b, strict=True):
        assert np.array_equal(s, t)
        assert np.array_equal(o.eef_pos, p.eef_pos) and np.array_equal(o.gripper_qpos, p.gripper_qpos)
        assert o.images.keys() == p.images.keys()
        for name in o.images:
            assert np.array_equal(o.images[name], p.images[name])


@contextmanager
def libero_s_own(world, **more):
    """LIBERO's environment of the same task, seeded as the reference's loop does once per task."""
    use_assets(world.assets.root)
    from libero.libero.envs import OffScreenRenderEnv

    path, embedded = str(bddl_file(world.suite, world.task)), world.assets.embedded
    robots = ["LowPolyPanda" if embedded else "Panda"]
    stock = OffScreenRenderEnv(bddl_file_name=path, robots=robots, camera_heights=256, camera_widths=256, **more)
    if embedded:
        stock.env.set_xml_processor(draw_coarsely)
    try:
        stock.seed(0)
        yield stock
    finally:
        stock.close()


def next_episode(stock, world, init_state):
    """What the reference's loop does before an episode; the last observation."""
    stock.reset()
    stock.set_init_state(read_init_states(init_states_file(world.suite, world.task))[init_state])
    for _ in range(world.suite.settle_steps):
        observation, *_ = stock.step([0, 0, 0, 0, 0, 0, -1])
    return observation


@pytest.mark.parametrize(("suite", "task"), [("spatial", 4), ("goal", 7), ("long", 9)])
def test_episodes_are_those_of_the_reference_s_loop_in_any_order(make_world, suite, task):
    """Six resets after one seed: fixtures, states and both images, while an arm moves; LIBERO draws joints, too, in two tasks."""
    world = make_world(suite, task)
    theirs, fixtures = [], []
    with libero_s_own(world, use_camera_obs=False) as stock:
        for k in range(6):
            next_episode(stock, world, k)
            for action in ACTIONS[:3]:
                stock.step(action)
            images = {name: stock.sim.render(camera_name=name, width=256, height=256) for name in world.suite.cameras}
            theirs.append((stock.get_sim_state(), images))
            fixtures.append([stock.sim.data.body_xpos[stock.env.obj_body_id[name]].copy() for name in stock.env.fixtures_dict])
    assert np.ptp(fixtures, axis=0)[:, :2].min() > 0.004  # m: each of them moved
    for k in (3, 0, 5, 4, 1, 2):
        world.reset(k)
        for action in ACTIONS[:3]:
            world.step(action)
        state, images = theirs[k]
        assert np.array_equal(world.state, state)
        assert all(np.array_equal(image, images[name]) for name, image in world.render().items())


@pytest.mark.parametrize(("suite", "task"), [("object", 0), ("goal", 7)])
def test_rendering_only_at_queries_changes_nothing(make_world, suite, task):
    """Against LIBERO's own always-rendering environment, too: states, images, proprioception."""
    world = make_world(suite, task)
    lazy = run(world, 0, always=False)
    assert_same(lazy, run(world, 0, always=True))

    with libero_s_own(world) as stock:
        recorded = [(next_episode(stock, world, 0), stock.get_sim_state())]
        for i, action in enumerate(ACTIONS, 1):
            observation, *_ = stock.step(action)
            if i % CHUNK == 0:
                recorded.append((observation, stock.get_sim_state()))
    for (ours, state), (theirs, their_state) in zip(lazy, recorded, strict=True):
        assert np.array_equal(state, their_state)
        assert np.array_equal(ours.images["agentview"], theirs["agentview_image"])
        assert np.array_equal(ours.images["robot0_eye_in_hand"], theirs["robot0_eye_in_hand_image"])
        assert np.array_equal(ours.eef_pos, theirs["robot0_eef_pos"])
        assert np.array_equal(ours.eef_quat, theirs["robot0_eef_quat"])
        assert np.array_equal(ours.gripper_qpos, theirs["robot0_gripper_qpos"])


def test_a_whole_grasp_is_libero_s_own_to_the_last_bit(make_world):
    """Where contacts are made and broken, sharing work between the solves of a physics step must change nothing."""
    world = make_world("spatial", 1)
    expert = make_policy("expert")
    observation, success, actions, states = world.reset(0), False, [], []
    while not success and len(actions) < world.suite.horizon:
        actions.append(expert.act([observation])[0].actions[0])
        success, observation = world.step(actions[-1], Sight.STATE)
        states.append(world.state)
    assert success
    with libero_s_own(world, use_camera_obs=False) as stock:
        next_episode(stock, world, 0)
        for action, state in zip(actions, states, strict=True):
            _, _, done, _ = stock.step(action)
            assert np.array_equal(stock.get_sim_state(), state)
    assert done


def test_an_episode_is_the_same_after_any_other(make_world, pack):
    """Fresh simulator or used one: the same states."""
    world = make_world("spatial", 4)
    first = run_states(world, 7)
    run_states(world, 2)
    assert np.array_equal(first, run_states(world, 7))
    fresh = World(load_suite("spatial"), pack)
    fresh.start(fresh.suite.task(4))
    try:
        assert np.array_equal(first, run_states(fresh, 7))
    finally:
        fresh.close()


def test_frozen_fixtures_are_those_of_the_first_reset(make_world, primitive):
    moving, frozen = make_world("goal", 0), World(load_suite("goal", frozen=True), primitive)
    frozen.start(frozen.suite.task(0))
    try:
        first, fixtures = moving.reset(0).scene.bodies, ("wooden_cabinet_1", "flat_stove_1", "wine_rack_1")
        for init_state, repeat in ((0, 0), (7, 0), (0, 1)):
            bodies = frozen.reset(init_state, repeat=repeat).scene.bodies
            assert all(np.array_equal(bodies[name].pos, first[name].pos) for name in fixtures)
        assert np.array_equal(run_states(frozen, 0), run_states(moving, 0))
        # A second round goes on with the resets.
        for init_state, repeat in ((7, 0), (0, 1)):
            bodies = moving.reset(init_state, repeat=repeat).scene.bodies
            assert not any(np.allclose(bodies[name].pos, first[name].pos, atol=1e-4) for name in fixtures)
    finally:
        frozen.close()


def run_states(world, init_state):
    world.reset(init_state)
    return np.array([(world.step(action), world.state)[1] for action in ACTIONS])


def test_two_worlds_in_one_process_render_and_describe_their_own_scene(make_world):
    kitchen, floor = make_world("goal", 0), make_world("object", 0)
    kitchen.reset(0)
    before = kitchen.render()
    floor.reset(0)
    other = floor.render()
    after = kitchen.render()
    assert np.array_equal(before["agentview"], after["agentview"])
    assert not np.array_equal(before["agentview"], other["agentview"])
    assert "flat_stove" in kitchen.model_xml and "flat_stove" not in floor.model_xml


def test_closing_a_world_leaves_another_s_textures_alone(make_world, pack):
    """Whichever of them rendered last: the numbers of their OpenGL objects are the same."""
    kitchen, other = make_world("goal", 0), World(load_suite("object"), pack)
    other.start(other.suite.task(1))
    other.reset(0)
    other.render()
    kitchen.reset(0)
    before = kitchen.render()
    other.close()
    assert all(np.array_equal(image, before[name]) for name, image in kitchen.render().items())


def test_observation(make_world):
    world = make_world("object", 0)
    seen = world.reset(5, Sight.STATE, repeat=2)
    assert seen.episode == EpisodeKey("object", 0, 5, 2)
    assert seen.instruction == "pick up the alphabet soup and place it in the basket"
    assert (seen.step, seen.images, seen.eef_pos.shape, seen.eef_quat.shape, seen.gripper_qpos.shape) == (0, {}, (3,), (4,), (2,))
    assert seen.scene.facts.goal == (("in", "alphabet_soup_1", "basket_1_contain_region"),)
    assert seen.scene.facts.categories["basket_1"] == "basket"
    assert seen.scene.bodies["alphabet_soup_1"].mat.shape == (3, 3)
    success, later = world.step(ACTIONS[0], Sight.STATE)
    assert later.step == 1 and not success
    assert world.step(ACTIONS[0]) == (False, None)


def test_joints_are_part_of_the_scene(make_world):
    scene = make_world("goal", 7).reset(0).scene
    assert scene.facts.goal == (("turnon", "flat_stove_1"),)
    assert len(scene.facts.joint_regions["flat_stove_1"]) == 1
    assert set(scene.joints) >= set(scene.facts.joint_regions["flat_stove_1"])


def test_errors(make_world, pack):
    world = make_world("object", 0)
    with pytest.raises(WorldError, match="no init state 50"):
        world.reset(50)
    with pytest.raises(WorldError, match="does not fit"):
        world.place(np.zeros(7))
    with pytest.raises(WorldError, match="no fixture stove in this scene, which has none"):
        world.begin(EpisodeKey("object", 0, 0), Start(world.state, {"stove": np.zeros(7)}))
    with pytest.raises(WorldError, match="no task was started"):
        World(load_suite("object"), pack).reset(0)
