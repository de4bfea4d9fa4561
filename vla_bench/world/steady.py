"""The same physics with less work.

robosuite solves every physics step three times: it calls `forward`, its arm controller calls `forward` again, and `step`
does so once more.  Each solve starts from the one before, so none can be left out without changing the outcome; but
nothing moves between them, so positions, contacts and velocities need to be found only once.
"""

from __future__ import annotations

import mujoco


class SteadySim:
    """robosuite's `MjSim` for whoever calls it right after `sim.forward()`, as the controller does."""

    def __init__(self, sim):
        self.model = sim.model
        self.data = sim.data
        self._raw = sim.model._model, sim.data._data

    def forward(self) -> None:
        """`sim.forward()`, except for positions and velocities."""
        mujoco.mj_forwardSkip(*self._raw, mujoco.mjtStage.mjSTAGE_VEL, 0)

    def step(self) -> None:
        """`sim.step()`, likewise: the checks of `mj_step`, and everything that depends on the controls."""
        mujoco.mj_checkPos(*self._raw)
        mujoco.mj_checkVel(*self._raw)
        mujoco.mj_step2(*self._raw)
