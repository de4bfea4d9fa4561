"""The layout of LIBERO's `TASK_demo.hdf5`, and a demonstration in memory.

    data                 attributes: env_name, problem_info, bddl_file_name, ..., num_demos, total
    data/demo_0          attributes: num_samples, model_file, init_state; vla-bench's also fixtures, seed, attempt and so on
    data/demo_0/...      the arrays of `LAYOUT`, one row a frame: the state before the action of that row

vla-bench adds two arrays under `obs`, which other readers ignore: see `Demo`.  A file of one demonstration has the same layout
as one of fifty, so merging files means copying groups.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field

import numpy as np

from vla_bench.demonstrations.opening import AGAIN, printable
from vla_bench.errors import RecordError
from vla_bench.world.starts import Start, poses_from_json

SUFFIX = "_demo.hdf5"

# Array -> shape of a row.  None: any length; images are (size, size, 3).
IMAGES = ("obs/agentview_rgb", "obs/eye_in_hand_rgb")
LAYOUT = {
    "actions": (7,),
    "states": (None,),
    "robot_states": (9,),
    "rewards": (),
    "dones": (),
    "obs/ee_states": (6,),
    "obs/ee_pos": (3,),
    "obs/ee_ori": (3,),
    "obs/gripper_states": (2,),
    "obs/joint_states": (7,),
    **dict.fromkeys(IMAGES, (None, None, 3)),
}
SEGMENT, OBJECT_POS = "obs/segment", "obs/object_pos"
OBJECT_NAMES = "names"  # attribute of OBJECT_POS


@dataclass(frozen=True)
class Demo:
    """One demonstration of T frames; row t is the state before action t.

    arrays: the arrays of `LAYOUT` by name; images, if they were read, upside down as rendered.
    instruction: lower case, see `vla_bench.demonstrations.instruction`.
    segment: (T,) int.  Neighbouring frames of one segment are consecutive in time; a new segment begins after a push, which
        must not be imitated.  All zeros in LIBERO's own files.
    object_pos: (T, n, 3) m, world frame, positions of `object_names`; n is 0 where the file has none.
    attributes: of the demonstration's group.
    """

    name: str
    instruction: str
    arrays: dict[str, np.ndarray]
    segment: np.ndarray
    object_pos: np.ndarray
    object_names: tuple[str, ...] = ()
    attributes: dict[str, object] = field(default_factory=dict)

    def __len__(self) -> int:
        return len(self.arrays["actions"])

    def __getitem__(self, name: str) -> np.ndarray:
        return self.arrays[name]

    @property
    def start(self) -> Start:
        """Where it began, for `begin` of the simulator.  Files of versions before 0.2 have no poses of fixtures.

        Raises RecordError.
        """
        try:
            state = np.asarray(self.attributes["init_state"], float)
            return Start(state, poses_from_json(str(self.attributes.get("fixtures", "{}"))))
        except (KeyError, TypeError, ValueError) as error:
            raise RecordError(f"{printable(self.name)} does not say where it began: {error}", AGAIN) from error

    def chunk_starts(self, length: int) -> np.ndarray:
        """Frames at which a chunk of `length` actions begins: all of one segment, none past the end."""
        return chunk_starts(self.segment, length)


def chunk_starts(segment: np.ndarray, length: int) -> np.ndarray:
    """Steps followed by `length - 1` more of the same segment; the reference does not pad the end of an episode."""
    starts = np.arange(max(0, len(segment) - length + 1))
    return starts[segment[starts] == segment[starts + length - 1]]


def demo_names(names: Iterable[str]) -> list[str]:
    """demo_0, demo_1, ..., demo_10: by number; numbers may be missing."""
    return sorted(names, key=lambda name: (len(name), name))
