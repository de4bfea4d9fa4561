"""robosuite's robot and controller with less work and bit-identical results.

robosuite solves every physics step three times: it calls `forward`, its arm controller calls `forward` again, and `step`
does so once more.  Each solve is warm-started from the one before, so none can be left out without changing the result;
but nothing moves between them, so positions, contacts and velocities need to be computed only once.

It also looks up every site, actuator and limit by name at each of the 25 physics steps of an action.  Here they are looked
up once.  The computation itself is left to robosuite's own functions, in its order and on arrays of the same layout.
"""

from __future__ import annotations

import mujoco
import numpy as np


class CachedController:
    """robosuite's robot and arm controller with cached indices.  Call its methods right after `sim.forward()`."""

    def __init__(self, sim, robot):
        self.model, self.data = self._raw = sim.model._model, sim.data._data
        self._robot = robot
        self._names = sim.model
        nv = self.model.nv
        self._jacobians = np.zeros((3, nv)), np.zeros((3, nv))
        self._mass = np.zeros((nv, nv))
        # Views of MuJoCo's own memory, which is never reallocated.
        self._positions, self._velocities = self.data.qpos, self.data.qvel
        self._inertia, self._controls = self.data.qM, self.data.ctrl
        self._motors = robot._ref_joint_actuator_indexes
        self._weakest, self._strongest = robot.torque_limits
        self._fingers = [sim.model.actuator_name2id(name) for name in robot.gripper.actuators]
        lowest, highest = self.model.actuator_ctrlrange[self._fingers].T
        self._middle, self._reach = 0.5 * (highest + lowest), 0.5 * (highest - lowest)

    def take_over(self) -> None:
        """Redirect the robot's new controller: it reads the simulator through this object from now on."""
        self._controller = self._robot.controller
        self._controller.sim = self
        self._controller.update = self._update
        site = self._site = self._names.site_name2id(self._controller.eef_name)
        self._position, self._orientation = self.data.site_xpos[site], self.data.site_xmat[site].reshape(3, 3)
        self._joints, self._speeds = np.array(self._controller.qpos_index), np.array(self._controller.qvel_index)

    def forward(self) -> None:
        """`sim.forward()` without the position and velocity stages."""
        mujoco.mj_forwardSkip(*self._raw, mujoco.mjtStage.mjSTAGE_VEL, 0)

    def step(self) -> None:
        """`sim.step()` likewise: the checks of `mj_step`, and the stages that depend on the controls."""
        mujoco.mj_checkPos(*self._raw)
        mujoco.mj_checkVel(*self._raw)
        mujoco.mj_step2(*self._raw)

    def drive(self, action: np.ndarray) -> None:
        """`robot.control(action)` for the physics steps after an action's first."""
        torques = self._controller.run_controller()
        fingers = self._robot.gripper.format_action(action[6:])
        self._controls[self._fingers] = self._middle + self._reach * fingers
        self._robot.torques = np.clip(torques, self._weakest, self._strongest)
        self._controls[self._motors] = self._robot.torques

    def _update(self, force: bool = False) -> None:
        """`controller.update()`."""
        arm = self._controller
        if not (arm.new_update or force):
            return
        self.forward()
        arm.ee_pos = self._position.copy()
        arm.ee_ori_mat = self._orientation.copy()
        moved, turned = self._jacobians
        mujoco.mj_jacSite(*self._raw, moved, turned, self._site)
        arm.ee_pos_vel, arm.ee_ori_vel = moved @ self._velocities, turned @ self._velocities
        arm.joint_pos, arm.joint_vel = self._positions[self._joints], self._velocities[self._speeds]
        arm.J_pos, arm.J_ori = moved[:, self._speeds], turned[:, self._speeds]
        arm.J_full = np.concatenate([arm.J_pos, arm.J_ori])
        mujoco.mj_fullM(self.model, self._mass, self._inertia)
        arm.mass_matrix = self._mass[self._speeds, :][:, self._speeds]
        arm.new_update = False
