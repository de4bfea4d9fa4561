"""LIBERO's resets without their cost: what each one draws, and the state that it leaves behind.

`env.reset()` rebuilds the model, which takes seconds, and then draws the poses of fixtures and objects from numpy's global
generator.  The evaluation of OpenVLA calls `env.seed(0)` once per task and `env.reset()` before every episode, so each
episode of a task has other fixtures.  Here only the drawing is done: the same samplers, in the same order, from the same
random numbers.  A reset's fixtures are then set in the model, and its calls of MuJoCo repeated, to the last bit.
"""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from types import SimpleNamespace

import mujoco
import numpy as np
from robosuite.utils.errors import RandomizationError

from vla_bench.errors import WorldError
from vla_bench.world.fixtures import FixtureBodies, Poses

TRIES = 100  # of placing all objects; each of them tries thousands of positions per object


@dataclass(frozen=True)
class ResetDraw:
    """What one reset draws.

    noise: (7,) standard normal, of the arm's joints.  LIBERO's evaluation wrapper multiplies it by 0, but draws it.
    joints: joint -> position of a drawer (m), door or knob (rad).
    fixtures: their poses.
    objects: free joint of an object -> its pose (7,).
    """

    noise: np.ndarray
    joints: dict[str, float]
    fixtures: Poses
    objects: dict[str, np.ndarray]


class ResetSampler:
    """Draws what resets of a LIBERO environment draw, without resetting it or changing its simulation.

    Args:
        env: the LIBERO environment, after a reset.
        fixtures: its fixtures.
        joint_samplers: its `object_property_initializers` after it was built and before its first reset.
    """

    def __init__(self, env, fixtures: FixtureBodies, joint_samplers: list):
        self._env = env
        self.task = env.bddl_file_name
        self._fixtures = fixtures
        self._joint_samplers = joint_samplers
        self._model = env.sim.model._model
        self._robot = env.robots[0]
        self._fingers = list(self._robot._ref_gripper_joint_pos_indexes)
        self._arm = list(self._robot._ref_joint_pos_indexes)
        self._addresses = {self._model.joint(i).name: int(self._model.jnt_qposadr[i]) for i in range(self._model.njnt)}
        self._scratch = mujoco.MjData(self._model)
        free = np.flatnonzero(self._model.jnt_type == mujoco.mjtJoint.mjJNT_FREE)
        self.objects = 1 + self._model.jnt_qposadr[free][:, None] + np.arange(7)  # (objects, 7): of their poses in a state
        self.object_names = [self._model.body(self._model.jnt_bodyid[i]).name.removesuffix("_main") for i in free]

    def resets(self, seed: int) -> Resets:
        """The resets of a new environment after `seed(seed)`."""
        return Resets(self, seed)

    def draw(self, builds: int) -> ResetDraw:
        """One reset's draw.  Raises RandomizationError where LIBERO's samplers find no room for an object.

        builds: how often the environment built its model so far.  With each, LIBERO appends its samplers of joints once
        more to those it has; a reset draws from all of them, and the last one counts.
        """
        env = self._env
        noise = np.random.randn(len(self._robot.init_qpos))
        joints: dict[str, float] = {}
        for sampler in self._joint_samplers * builds:
            joints |= dict.fromkeys(env.get_object(sampler.name).joints, sampler.sample())
        placed = env.placement_initializer.sample()
        placed = env.conditional_placement_initializer.sample(self._simulation(joints), placed)
        placed = env.conditional_placement_on_objects_initializer.sample(placed)
        poses = {thing.name: np.array([*pos, *quat], float) for pos, quat, thing in placed.values()}
        return ResetDraw(
            noise,
            joints,
            {name: pose for name, pose in poses.items() if name in env.fixtures_dict},
            {env.get_object(name).joints[-1]: pose for name, pose in poses.items() if name not in env.fixtures_dict},
        )

    def qpos(self, draw: ResetDraw, noise: float = 0.0) -> np.ndarray:
        """Positions of all joints after the reset.  noise: standard deviation of the arm's, in rad."""
        qpos = self._before(draw.joints)
        qpos[self._arm] += noise * draw.noise
        for joint, pose in draw.objects.items():
            qpos[self._addresses[joint] : self._addresses[joint] + 7] = pose
        return qpos

    def replay(self, draw: ResetDraw) -> np.ndarray:
        """Make the environment's simulation what it is after the reset; its integration state (mjSTATE_INTEGRATION).

        The calls of MuJoCo are the reset's, in its order: each solve is warm-started from the one before.
        """
        sim = self._env.sim
        model, data = sim.model._model, sim.data._data
        self._fixtures.place(self._fixtures.as_built)
        mujoco.mj_resetData(model, data)
        sim.forward()
        sim.forward()  # once more by the new renderer
        self._robot.reset(deterministic=True)  # without drawing noise
        data.qpos[:] = self._before(draw.joints)
        mujoco.mj_step1(model, data)
        data.qpos[:] = self.qpos(draw)
        self._fixtures.place(draw.fixtures)
        sim.forward()
        return integration_state(model, data)

    def _before(self, joints: dict[str, float]) -> np.ndarray:
        """Positions of all joints when the reset places fixtures and objects."""
        qpos = self._model.qpos0.copy()
        qpos[self._arm] = self._robot.init_qpos
        qpos[self._fingers] = self._robot.gripper.init_qpos
        for joint, value in joints.items():
            qpos[self._addresses[joint]] = value
        return qpos

    def _simulation(self, joints: dict[str, float]) -> SimpleNamespace:
        """Stands in for the simulation at that moment: the region samplers read positions of sites from it."""
        before = self._fixtures.poses
        self._fixtures.place(self._fixtures.as_built)
        mujoco.mj_resetData(self._model, self._scratch)
        self._scratch.qpos[:] = self._before(joints)
        mujoco.mj_kinematics(self._model, self._scratch)
        self._fixtures.place(before)
        return SimpleNamespace(data=SimpleNamespace(get_site_xpos=lambda site: self._scratch.site(site).xpos))


class Resets:
    """The resets of a new environment after `seed(seed)`, drawn one after the other and kept; the first has number 0.

    In the loop of OpenVLA's evaluation, `seed(0)` and then a reset before every episode, they are those of the episodes.
    The same for the same seed, whatever else draws from numpy's global generator, whose state is left alone.
    """

    def __init__(self, sampler: ResetSampler, seed: int):
        self._sampler = sampler
        self._random = np.random.RandomState(seed).get_state()  # after `np.random.seed(seed)`
        self._builds = 1  # the environment's constructor
        self._drawn: list[ResetDraw] = []

    def __getitem__(self, number: int) -> ResetDraw:
        """Raises WorldError."""
        while len(self._drawn) <= number:
            self._drawn.append(self._next())
        return self._drawn[number]

    def _next(self) -> ResetDraw:
        with self._global_generator():
            for _ in range(TRIES):
                self._builds += 1
                with contextlib.suppress(RandomizationError):  # LIBERO's wrapper resets again, with the next random numbers
                    return self._sampler.draw(self._builds)
        raise WorldError(f"LIBERO's samplers cannot place the objects of {self._sampler.task} in {TRIES} resets")

    @contextlib.contextmanager
    def _global_generator(self):
        """LIBERO's samplers draw from numpy's global generator: make it the one of these resets, and restore it afterwards."""
        before = np.random.get_state()
        np.random.set_state(self._random)
        try:
            yield
        finally:
            self._random = np.random.get_state()
            np.random.set_state(before)


def integration_state(model, data) -> np.ndarray:
    """All that the next step of MuJoCo depends on, with the solver's warm start."""
    state = np.empty(mujoco.mj_stateSize(model, mujoco.mjtState.mjSTATE_INTEGRATION))
    mujoco.mj_getState(model, data, state, mujoco.mjtState.mjSTATE_INTEGRATION)
    return state
