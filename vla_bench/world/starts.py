"""New start states, sampled as the official init states were: by LIBERO's own `reset`, without its cost.

A reset of LIBERO rebuilds the model, which takes seconds, before it samples a start.  Here only the sampling is done: the
same samplers, in the same order, from the same random numbers.  For objects on a table a start equals, to the last bit,
the state after `seed(s); reset()` of an environment with robosuite's default joint noise.

That reset also moves the fixtures a little.  The official episodes do not have this: their init states hold joints only,
and the fixtures are placed by `env_seed`.  Here, too: an object on or in a fixture is placed relative to the fixture's
sampled position, while the fixture stands at its usual one, about a centimetre away.
"""

from __future__ import annotations

import contextlib
from types import SimpleNamespace

import mujoco
import numpy as np
from robosuite.utils.errors import RandomizationError

from vla_bench.errors import WorldError

# robosuite's default for a robot.  LIBERO's evaluation wrapper turns it off, but the official init states have it.
JOINT_NOISE = 0.02  # rad, standard deviation
TRIES = 100  # of placing all objects; each of them tries thousands of positions per object
SAME = 1e-4  # m: a start whose objects are all within this distance of an official one counts as that one
# Objects that overlap push each other apart in the settling steps, in official starts too: by up to 10 cm and 0.43 rad,
# and a bowl placed on the rim of a drawer turns by 0.63.  Objects that fell had turned by 0.9 rad or moved by 30 cm.
SLID, TIPPED = 0.15, 0.8  # m, rad


class StartSampler:
    """Samples start states of the task that a LIBERO environment has loaded, without changing its simulation.

    Args:
        env: the LIBERO environment, right after a reset.
        official: its official init states (n, S), none of which is ever returned.
    """

    def __init__(self, env, official: np.ndarray):
        self._env = env
        self._official = official
        self._model = env.sim.model._model
        self._after_reset = env.sim.get_state().flatten()
        self._joints = {self._model.joint(i).name: int(self._model.jnt_qposadr[i]) for i in range(self._model.njnt)}
        free = self._model.jnt_qposadr[self._model.jnt_type == mujoco.mjtJoint.mjJNT_FREE]
        self._poses = 1 + free[:, None] + np.arange(7)  # (objects, 7): indices of position and quaternion in a state

    def draw(self, seed: int) -> np.ndarray:
        """A flattened state (time, qpos, qvel), the same for the same seed below 2**32.  Raises WorldError."""
        with _numpy_seeded(seed):
            for _ in range(TRIES):
                try:
                    state = self._draw()
                except RandomizationError:
                    continue  # LIBERO's reset goes on with the next random numbers, too
                if self.distance(state) > SAME:
                    return state
        raise WorldError(f"LIBERO's samplers cannot place the objects of {self._env.bddl_file_name} (seed {seed})")

    def distance(self, state: np.ndarray) -> float:
        """Distance in metres to the nearest official init state: of the object that is farthest from its position there."""
        apart = self._official[:, self._poses[:, :3]] - state[self._poses[:, :3]]  # (n, objects, 3)
        return float(np.linalg.norm(apart, axis=2).max(axis=1).min())

    def stands(self, start: np.ndarray, now: np.ndarray) -> bool:
        """Whether every object in state `now` has about the pose that it has in state `start`: none fell or tipped over."""
        before, after = start[self._poses], now[self._poses]  # (objects, 7)
        slid = np.linalg.norm(after[:, :2] - before[:, :2], axis=1)
        turned = 2.0 * np.arccos(np.minimum(1.0, np.abs((after[:, 3:] * before[:, 3:]).sum(axis=1))))
        return bool(np.all(slid < SLID) and np.all(turned < TIPPED))

    def _draw(self) -> np.ndarray:
        env = self._env
        state = self._after_reset.copy()
        qpos = state[1 : 1 + self._model.nq]  # a view
        robot = env.robots[0]
        noise = np.random.randn(len(robot.init_qpos))
        qpos[robot._ref_joint_pos_indexes] = robot.init_qpos + JOINT_NOISE * noise
        for sampler in env.object_property_initializers:  # drawers, doors and knobs
            value = sampler.sample()
            for joint in env.get_object(sampler.name).joints:
                qpos[self._joints[joint]] = value
        placed = env.placement_initializer.sample()
        placed = env.conditional_placement_initializer.sample(self._sites(qpos), placed)
        placed = env.conditional_placement_on_objects_initializer.sample(placed)
        for pos, quat, thing in placed.values():
            if thing.name not in env.fixtures_dict:
                address = self._joints[thing.joints[-1]]
                qpos[address : address + 7] = [*pos, *quat]
        return state

    def _sites(self, qpos: np.ndarray) -> SimpleNamespace:
        """Stands in for the simulation of a model just rebuilt, in which every fixture is at the origin: the region samplers
        read a site's position in the world as its position in the fixture."""
        data = mujoco.MjData(self._model)
        data.qpos[:] = qpos
        mujoco.mj_kinematics(self._model, data)

        def get_site_xpos(site: str) -> np.ndarray:
            fixture = self._env.get_object(self._env.object_sites_dict[site].parent_name)
            body = self._model.body(fixture.root_body).id
            return data.xmat[body].reshape(3, 3).T @ (data.site(site).xpos - data.xpos[body])

        return SimpleNamespace(data=SimpleNamespace(get_site_xpos=get_site_xpos))


@contextlib.contextmanager
def _numpy_seeded(seed: int):
    """Seed numpy's global generator, from which LIBERO's samplers draw, and restore it afterwards."""
    before = np.random.get_state()
    np.random.seed(seed)
    try:
        yield
    finally:
        np.random.set_state(before)
