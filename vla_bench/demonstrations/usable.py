"""The usable demonstrations of a file or LeRobot task, brought to LIBERO's conventions; what was converted and left out there."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import replace
from itertools import islice
from pathlib import Path

import numpy as np

from vla_bench.demonstrations.gripper import Gripper
from vla_bench.demonstrations.layout import IMAGES, Demo
from vla_bench.demonstrations.motion import libero_motion
from vla_bench.demonstrations.noops import kept_actions
from vla_bench.demonstrations.orientation import as_rendered, order_by, signs
from vla_bench.demonstrations.sources import DemoFile, DemoSource, LeRobotFile, open_demos
from vla_bench.errors import RecordError
from vla_bench.values import ImageOrder

TRIED = 5  # demonstrations of a file whose images are looked at, at most, to find out which way up they are


class UsableDemos:
    """The demonstrations of one file, or one task of a LeRobot data set, without those that cannot be used.

    order: how its images are stored.
    count: demonstrations in the file.  instruction: lower case.
    left_out: name of each demonstration left out -> why.  Grows while images are read, which may be damaged.
    steps: number of steps that are not no-ops, of all that were usable before images were read.
    Raises RecordError for a file that cannot be read, or of which nothing can be used.
    """

    def __init__(self, path: DemoSource, order: ImageOrder = ImageOrder.AUTO):
        self.path = path
        self.left_out: dict[str, str] = {}
        self._order = order
        self._actions: dict[str, np.ndarray] = {}
        self._notes: dict[str, list[str]] = {}
        self._about_file: list[str] = []
        with open_demos(path) as file:
            self.count, self.instruction = len(file.names), file.instruction
            self._survey(file)
            if not self._actions:
                self._refuse_empty()
            if order is ImageOrder.AUTO and file.certain_order is not None:
                self._order = file.certain_order
            if file.about_instruction:
                self._about_file.append(file.about_instruction)
        self.steps = sum(int(kept_actions(actions).sum()) for actions in self._actions.values())

    @property
    def converted(self) -> dict[str, int]:
        """What was converted -> in how many demonstrations."""
        used = [name for name in self._actions if name not in self.left_out]
        counts = Counter(note for name in used for note in self._notes[name])
        return dict(counts) | dict.fromkeys(self._about_file, len(used))

    def read(self, images: bool = True) -> Iterator[Demo]:
        """The demonstrations, one at a time, by number.  Raises RecordError as the class does."""
        with open_demos(self.path) as file:
            if images and self._order is ImageOrder.AUTO:
                self._order = self._find_order(file)
            for name, actions in self._actions.items():
                try:
                    demo = file.read(name, images)
                except RecordError as error:
                    self._leave_out(name, error)
                    continue
                turned = {array: as_rendered(demo[array], self._order) for array in IMAGES if images}
                yield replace(demo, arrays=demo.arrays | turned | {"actions": actions})
        if len(self.left_out) == self.count:
            self._refuse_empty()

    def _survey(self, file: DemoFile | LeRobotFile) -> None:
        """Convert the actions of every demonstration; the gripper's convention is that of all."""
        gripper, read = Gripper(), {}
        for name in file.names:
            try:
                demo = read[name] = file.read(name, images=False)
            except RecordError as error:
                self._leave_out(name, error)
                continue
            gripper.add(demo["actions"], demo["obs/gripper_states"], demo.segment)
        for name, demo in read.items():
            try:
                if not kept_actions(demo["actions"]).any():
                    raise RecordError(f"{file.where(name)}: all of its {len(demo)} steps are no-ops")
                commands, about_gripper = gripper.convert(demo["actions"], file.where(name))
                motion, about_motion = libero_motion(demo["actions"], demo["obs/ee_pos"], demo.segment, file.where(name))
            except RecordError as error:
                self._leave_out(name, error)
                continue
            self._actions[name] = np.column_stack([motion, commands])
            self._notes[name] = [note for note in (about_gripper, about_motion) if note]

    def _find_order(self, file: DemoFile | LeRobotFile) -> ImageOrder:
        """By the images of the first demonstrations, else by the file's attribute.  Raises RecordError where neither tells."""
        found = []
        for name in islice(self._actions, TRIED):
            try:
                demo = file.read(name)
            except RecordError:
                continue  # left out when it is read
            found.append(signs(*(demo[array] for array in (*IMAGES, "obs/ee_pos", "obs/gripper_states"))))
        order = order_by(found, str(self.path)) or file.fallback_order
        if order is None:
            what = f"{self.path}: neither the data set nor its images tell which way up they are stored"
            raise RecordError(what, "vla-bench train --images rotated, opencv or opengl, whichever they are")
        if order is not ImageOrder.OPENGL:
            about = "upright" if order is ImageOrder.OPENCV else "turned by 180 degrees"
            self._about_file.append(f"images {about}, turned upside down as LIBERO's")
        return order

    def _leave_out(self, name: str, error: RecordError) -> None:
        self.left_out[name] = error.message.removeprefix(f"{self.path}: ")
        self._fix = error.fix

    def _refuse_empty(self) -> None:
        if not self.count:
            raise RecordError(f"{self.path} holds no demonstrations: its group `data` is empty")
        first = next(iter(self.left_out.values()))
        what = "its one demonstration" if self.count == 1 else f"any of its {self.count} demonstrations"
        unused = f"mv {self.path} {self.path}.unused" if isinstance(self.path, Path) else None
        raise RecordError(f"{self.path}: cannot use {what}: {first}", self._fix or unused)
