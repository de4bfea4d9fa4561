"""The simulator interface of rollouts.  Another simulator is a class with these members, and a function that makes it.

    simulator.start(task)                                   # builds the scene; seconds
    observation = simulator.reset(init_state, Sight.IMAGES)
    done, observation = simulator.step(action, Sight.IMAGES)    # until done, or suite.horizon steps were made

`vla_bench.world.env.World` is the one for LIBERO, and `make_simulator` makes it.  Workers import a simulator's module only when
they make one, so that the process that schedules and answers queries loads nothing heavy.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from vla_bench.records import EpisodeKey
from vla_bench.suites import Suite, Task
from vla_bench.world.observation import Observation, Sight

if TYPE_CHECKING:
    from vla_bench.world.assets import AssetPack
    from vla_bench.world.starts import Start

SAMPLED = -1  # `init_state` in the key of an episode from a sampled start, which has no official number


@runtime_checkable
class Simulator(Protocol):
    """A simulator of the tasks of one suite, as evaluation uses it.

    suite: its tasks and protocol: horizon, cameras, settling steps.
    image_size: pixels a side of camera images; may be set between two observations.
    """

    suite: Suite
    image_size: int

    def start(self, task: Task) -> None:
        """Load `task`.  Costs nothing if it is loaded already: workers stay with a task while it has episodes left."""

    def reset(self, init_state: int, sight: Sight = Sight.STATE, repeat: int = 0) -> Observation | None:
        """Begin the episode of official init state `init_state`, after the settling steps; the first observation.

        An episode depends on its init state, `repeat` and actions alone, not on earlier episodes.  `repeat` distinguishes
        episodes of one init state.  Raises WorldError for an init state that does not exist.
        """

    def step(self, action: np.ndarray, sight: Sight = Sight.NOTHING) -> tuple[bool, Observation | None]:
        """One control step with `action` (7,): whether the goal holds now, and the observation; None for Sight.NOTHING."""

    @property
    def state_hash(self) -> str:
        """16 hexadecimal digits: hash of the whole physical state.  Equal hashes at their ends mean equal episodes."""

    def init_hash(self, init_state: int) -> str:
        """16 hexadecimal digits: hash of an official init state, which shows whether two runs used the same files."""

    def close(self) -> None:
        """Free the simulator and its renderer; it is not used again."""


@runtime_checkable
class RecordingSimulator(Simulator, Protocol):
    """What recording demonstrations needs in addition: sampled start states, and attributes of HDF5 files.

    task: the loaded one.
    """

    task: Task

    def sample(self, seed: int) -> Start:
        """A random start, never an official init state; the same for the same seed."""

    def begin(self, key: EpisodeKey, start: Start, sight: Sight = Sight.STATE) -> Observation | None:
        """As `reset`, from any start; its observations carry `key`."""

    def is_sound(self, state: np.ndarray) -> bool:
        """Whether the episode that just began in `state` is valid: nothing fell, and the goal does not hold yet."""

    @property
    def state(self) -> np.ndarray:
        """The present physical state, in the form that `Start` has."""

    @property
    def model_xml(self) -> str:
        """The loaded task's scene as MJCF, with its fixtures where they stand."""

    def about(self) -> dict[str, str]:
        """The attributes by which LIBERO's demonstration files describe the loaded task."""


def make_simulator(suite: Suite, assets: AssetPack) -> RecordingSimulator:
    """LIBERO's simulator of `suite`, with the objects of `assets`.  Raises WorldError."""
    from vla_bench.world.env import World

    return World(suite, assets)
