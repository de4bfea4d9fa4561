"""What rollouts need of a simulator.  A second simulator is a second class with these members, and a function that makes it.

    simulator.start(task)                                   # builds the scene; seconds
    observation = simulator.reset(init_state, Sight.IMAGES)
    done, observation = simulator.step(action, Sight.IMAGES)    # until done, or suite.horizon steps were made

`vla_bench.world.env.World` is the one for LIBERO, and `make_simulator` makes it.  Workers import a simulator's module only when
they make one, so that nothing heavy is loaded in the process that schedules and answers.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Protocol, runtime_checkable

import numpy as np

from vla_bench.records import EpisodeKey
from vla_bench.suites import Suite, Task
from vla_bench.world.observation import Observation, Sight

if TYPE_CHECKING:
    from vla_bench.world.assets import AssetPack

SAMPLED = -1  # `init_state` in the key of an episode from a sampled start: it has no official number


@runtime_checkable
class Simulator(Protocol):
    """A simulator of the tasks of one suite, as evaluation uses it.

    suite: the tasks, and the protocol: horizon, cameras, settling steps.
    image_size: pixels a side of what it renders; may be set between two observations.
    """

    suite: Suite
    image_size: int

    def start(self, task: Task) -> None:
        """Load `task`.  Free where it is the one already loaded: workers stay with a task while it has episodes left."""

    def reset(self, init_state: int, sight: Sight = Sight.STATE, repeat: int = 0) -> Observation | None:
        """Begin the episode of official init state `init_state`, after the settling steps; the first observation.

        What follows depends on the init state and the actions alone, not on what was simulated before.  `repeat` only tells
        episodes of one init state apart.  Raises WorldError for an init state that does not exist.
        """

    def step(self, action: np.ndarray, sight: Sight = Sight.NOTHING) -> tuple[bool, Observation | None]:
        """One control step with `action` (7,): whether the goal holds now, and the observation; None for Sight.NOTHING."""

    @property
    def state_hash(self) -> str:
        """16 hexadecimal digits, of the whole physical state: equal hashes at their ends mean equal episodes."""

    def init_hash(self, init_state: int) -> str:
        """16 hexadecimal digits, of an official init state: tells runs apart that began from other files."""

    def close(self) -> None:
        """Free the simulator and what it renders with; it is not used again."""


@runtime_checkable
class RecordingSimulator(Simulator, Protocol):
    """What recording demonstrations needs beyond that: starts that are no official ones, and what HDF5 files hold.

    task: the one that is loaded.
    """

    task: Task

    def sample(self, seed: int) -> np.ndarray:
        """A random start state, never an official init state; the same for the same seed."""

    def begin(self, key: EpisodeKey, state: np.ndarray, sight: Sight = Sight.STATE) -> Observation | None:
        """As `reset`, from any start state; `key` is what its observations carry."""

    def is_sound(self, start: np.ndarray) -> bool:
        """Whether the episode that just began from `start` can be recorded: nothing fell, and the goal does not hold."""

    @property
    def state(self) -> np.ndarray:
        """The physical state of this moment; `begin` takes one."""

    @property
    def model_xml(self) -> str:
        """The loaded task's scene as MJCF."""

    def about(self) -> dict[str, str]:
        """The attributes by which LIBERO's demonstration files describe the loaded task."""


def make_simulator(suite: Suite, assets: AssetPack) -> RecordingSimulator:
    """LIBERO's simulator of `suite`, with the objects of `assets`.  Raises WorldError."""
    from vla_bench.world.env import World

    return World(suite, assets)
