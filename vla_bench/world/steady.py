"""robosuite's robot and controller with less work and bit-identical results.

robosuite solves every physics step three times: it calls `forward`, its arm controller calls `forward` again, and `step`
does so once more.  Each solve is warm-started from the one before, so none can be left out without changing the result;
but nothing moves between them, so positions, contacts and velocities need to be computed only once.

It also looks up every site, actuator and limit by name at each of the 25 physics steps of an action, makes dozens of small
arrays, and keeps histories that LIBERO never reads.  Here names are looked up once and nothing is kept.  The arithmetic is
robosuite's (Khatib 1987), in its order and on arrays of the same layout; its compiled functions do the linear algebra.
"""

from __future__ import annotations

import mujoco
import numpy as np

from vla_bench.errors import WorldError


class CachedController:
    """robosuite's robot and arm controller with cached indices."""

    def __init__(self, sim, robot):
        from robosuite.utils import control_utils

        self._functions = control_utils
        self.model, self.data = self._raw = sim.model._model, sim.data._data
        self._robot = robot
        self._names = sim.model
        nv = self.model.nv
        self._jacobians = np.zeros((3, nv)), np.zeros((3, nv))
        self._mass = np.zeros((nv, nv))
        # Views of MuJoCo's own memory, which is never reallocated.
        self._positions, self._velocities, self._bias = self.data.qpos, self.data.qvel, self.data.qfrc_bias
        self._inertia, self._controls = self.data.qM, self.data.ctrl
        self._motors = _consecutive(robot._ref_joint_actuator_indexes)
        self._weakest, self._strongest = robot.torque_limits
        self._fingers = _consecutive([sim.model.actuator_name2id(name) for name in robot.gripper.actuators])
        lowest, highest = self.model.actuator_ctrlrange[self._fingers].T
        self._middle, self._reach = 0.5 * (highest + lowest), 0.5 * (highest - lowest)
        self._closing = np.array([-1.0, 1.0]) * robot.gripper.speed  # what the fingers' command moves by in a physics step

    def take_over(self) -> None:
        """Redirect the robot's new controller: it reads the simulator through this object from now on."""
        arm = self._controller = self._robot.controller
        arm.sim = self
        arm.update = self._update
        site = self._site = self._names.site_name2id(arm.eef_name)
        self._position, self._orientation = self.data.site_xpos[site], self.data.site_xmat[site].reshape(3, 3)
        self._joints, self._speeds = _consecutive(arm.qpos_index), _consecutive(arm.qvel_index)
        self._stiffness = arm.kp[:3], arm.kp[3:6]
        self._damping = arm.kd[:3], arm.kd[3:6]

    def forward(self) -> None:
        """`sim.forward()` without its sensors, which `step` computes again."""
        mujoco.mj_forwardSkip(*self._raw, mujoco.mjtStage.mjSTAGE_NONE, 1)

    def _solve(self) -> None:
        """`forward` without the position and velocity stages."""
        mujoco.mj_forwardSkip(*self._raw, mujoco.mjtStage.mjSTAGE_VEL, 1)

    def step(self) -> None:
        """`sim.step()` without those two stages: the checks of `mj_step`, and the stages that depend on the controls."""
        mujoco.mj_checkPos(*self._raw)
        mujoco.mj_checkVel(*self._raw)
        mujoco.mj_step2(*self._raw)

    def aim(self, action: np.ndarray) -> None:
        """What an action (7,) says is to be reached.  Call it right after `forward`, before the action's first `drive`."""
        self._controller.set_goal(action[:6])
        self._fingers_step = self._closing * np.sign(action[6:])

    def drive(self) -> None:
        """Set the motors for one physics step towards what was aimed at.  Call it right after `forward`."""
        torques = self._torques()  # solves the physics, therefore with the commands of before
        gripper = self._robot.gripper
        gripper.current_action = np.minimum(np.maximum(gripper.current_action + self._fingers_step, -1.0), 1.0)
        self._controls[self._fingers] = self._middle + self._reach * gripper.current_action
        self._controls[self._motors] = np.minimum(np.maximum(torques, self._weakest), self._strongest)

    def _torques(self) -> np.ndarray:
        """`controller.run_controller()`, for fixed gains without interpolation."""
        arm = self._controller
        self._update()
        (stiff, stiff_turn), (damping, damping_turn) = self._stiffness, self._damping
        force = (arm.goal_pos - arm.ee_pos) * stiff + -arm.ee_pos_vel * damping
        turn = self._functions.orientation_error(arm.goal_ori, arm.ee_ori_mat)
        torque = turn * stiff_turn + -arm.ee_ori_vel * damping_turn
        _, mass_pos, mass_ori, nullspace = self._functions.opspace_matrices(arm.mass_matrix, arm.J_full, arm.J_pos, arm.J_ori)
        wrench = np.concatenate([mass_pos.dot(force), mass_ori.dot(torque)])
        torques = arm.J_full.T.dot(wrench) + self._bias[self._speeds]
        torques += self._functions.nullspace_torques(arm.mass_matrix, nullspace, arm.initial_joint, arm.joint_pos, arm.joint_vel)
        arm.new_update = True
        return torques

    def _update(self, force: bool = False) -> None:
        """`controller.update()`."""
        arm = self._controller
        if not (arm.new_update or force):
            return
        self._solve()
        arm.ee_pos = self._position.copy()
        arm.ee_ori_mat = self._orientation.copy()
        moved, turned = self._jacobians
        mujoco.mj_jacSite(*self._raw, moved, turned, self._site)
        arm.ee_pos_vel, arm.ee_ori_vel = moved @ self._velocities, turned @ self._velocities
        arm.joint_pos, arm.joint_vel = self._positions[self._joints].copy(), self._velocities[self._speeds].copy()
        # Into the new controller's own arrays: their layout in memory, on which the rounding of products depends, is robosuite's.
        speeds = self._speeds
        arm.J_full[:3] = arm.J_pos[...] = moved[:, speeds]
        arm.J_full[3:] = arm.J_ori[...] = turned[:, speeds]
        mujoco.mj_fullM(self.model, self._mass, self._inertia)
        arm.mass_matrix[...] = self._mass[speeds, speeds]
        arm.new_update = False


def _consecutive(index) -> slice:
    """The consecutive numbers `index` as a slice, which numpy reads many times faster.  Raises WorldError."""
    first, last = index[0], index[-1]
    if list(index) != list(range(first, last + 1)):
        raise WorldError(f"joints and motors of an arm are not in one piece: {list(index)}")
    return slice(first, last + 1)
