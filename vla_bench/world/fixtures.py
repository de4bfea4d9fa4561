"""The fixtures of a scene: cabinets, stoves and racks, whose poses belong to the model and not to a state.

LIBERO's reset places them by writing into the model that it has just built, and so does this.
"""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from vla_bench.errors import WorldError

Poses = Mapping[str, np.ndarray]  # name of a fixture -> (7,): position in m, quaternion wxyz, in the world frame


class FixtureBodies:
    """The fixtures of the task that a LIBERO environment has loaded.

    bodies: name of a fixture -> name of its body.
    as_built: their poses in a model just built, before a reset places them.
    """

    def __init__(self, env):
        self._model = env.sim.model._model
        self.bodies = {name: fixture.root_body for name, fixture in env.fixtures_dict.items()}
        self._ids = {name: self._model.body(body).id for name, body in self.bodies.items()}
        elements = {element.get("name"): element for element in env.model.worldbody.iter("body")}
        self.as_built = {name: _pose(elements[body]) for name, body in self.bodies.items()}

    @property
    def poses(self) -> dict[str, np.ndarray]:
        """Where each fixture stands."""
        return {name: np.concatenate([self._model.body_pos[i], self._model.body_quat[i]]) for name, i in self._ids.items()}

    def place(self, poses: Poses) -> None:
        """Move the fixtures that `poses` has.  Positions of bodies in the data follow with the next `forward`.

        Raises WorldError for a fixture that the scene does not have.
        """
        if unknown := poses.keys() - self._ids.keys():
            raise WorldError(f"no fixture {min(unknown)} in this scene, which has {', '.join(self._ids) or 'none'}")
        for name, pose in poses.items():
            self._model.body_pos[self._ids[name]] = pose[:3]
            self._model.body_quat[self._ids[name]] = pose[3:]


def _pose(element) -> np.ndarray:
    """The pose that MuJoCo gives a body of this MJCF element, whose default is the origin."""
    numbers = [float(number) for number in f"{element.get('pos', '0 0 0')} {element.get('quat', '1 0 0 0')}".split()]
    pose = np.array(numbers)
    pose[3:] /= np.linalg.norm(pose[3:])
    return pose
