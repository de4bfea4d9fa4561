"""Reads proprioception and object poses from a running LIBERO environment."""

from __future__ import annotations

import numpy as np

from vla_bench.world.observation import Pose, Scene, SceneConstants


class SceneReader:
    """Resolves names once, when a task starts; afterwards it only reads arrays."""

    def __init__(self, env):
        self._env = env
        self._model = env.sim.model
        problem = env.parsed_problem
        categories = {
            name: category for group in ("objects", "fixtures") for category, names in problem[group].items() for name in names
        }
        self._bodies = dict(env.obj_body_id)
        self._sites = {name: self._model.site_name2id(name) for name in env.object_sites_dict}
        self._joints: dict[str, int] = {}
        joint_regions: dict[str, tuple[str, ...]] = {}
        owners = {**env.fixtures_dict, **env.object_sites_dict}
        for name, owner in owners.items():
            joints = tuple(owner.joints or ())
            if joints:
                joint_regions[name] = joints
                self._joints.update({joint: self._model.get_joint_qpos_addr(joint) for joint in joints})
        self.facts = SceneConstants(
            goal=tuple(tuple(predicate) for predicate in problem["goal_state"]),
            of_interest=tuple(problem["obj_of_interest"]),
            categories={name: category for name, category in categories.items() if name in self._bodies},
            regions={name: problem["regions"][name]["target"] for name in self._sites},
            region_sizes={name: np.array(env.object_sites_dict[name].size, float) for name in self._sites},
            joint_regions=joint_regions,
        )
        robot = env.robots[0]
        self._eef_site = robot.eef_site_id
        self._eef_body = robot.robot_model.eef_name
        self._gripper = robot._ref_gripper_joint_pos_indexes
        self._arm = robot._ref_joint_pos_indexes

    def proprioception(self) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
        """robosuite's `robot0_eef_pos`, `robot0_eef_quat` (xyzw) and `robot0_gripper_qpos`."""
        data = self._env.sim.data
        wxyz = data.get_body_xquat(self._eef_body)
        return np.array(data.site_xpos[self._eef_site]), np.array(wxyz[[1, 2, 3, 0]]), np.array(data.qpos[self._gripper])

    def gripper(self) -> np.ndarray:
        """robosuite's `robot0_eef_pos`."""
        return np.array(self._env.sim.data.site_xpos[self._eef_site])

    def joint_positions(self) -> np.ndarray:
        """robosuite's `robot0_joint_pos`."""
        return np.array(self._env.sim.data.qpos[self._arm])

    def read(self) -> Scene:
        """Poses of all objects and regions, and joint positions, at this moment."""
        data = self._env.sim.data
        return Scene(
            facts=self.facts,
            bodies={
                name: Pose(np.array(data.body_xpos[i]), np.array(data.body_xmat[i]).reshape(3, 3))
                for name, i in self._bodies.items()
            },
            sites={
                name: Pose(np.array(data.site_xpos[i]), np.array(data.site_xmat[i]).reshape(3, 3))
                for name, i in self._sites.items()
            },
            joints={name: float(data.qpos[address]) for name, address in self._joints.items()},
        )
