"""Which way the demonstrations of a file command the gripper.

LIBERO's files say -1 open, +1 closed, for the simulator.  RLDS copies of them say 1 open, 0 closed; others 0 open, 1 closed.
Numbers alone do not tell which, but the fingers do: they part under the command that opens.
"""

from __future__ import annotations

import numpy as np

from vla_bench.errors import RecordError
from vla_bench.model.normalisation import GRIPPER

OPEN, CLOSED = -1.0, 1.0  # LIBERO's
WIDEST = 0.085  # m between the fingers of a Panda's gripper; it has 0.08, and gives a little
WIDE = 0.07  # m; fingers that stay further apart are open: closed ones hold something narrower, or nothing
TRAVEL = 0.003  # m in the mean of all demonstrations; less than that between the two commands tells nothing
FIX = "write actions[:, 6] as LIBERO does, -1 open and +1 closed"


class Gripper:
    """The convention of one file: `add` its demonstrations, then `convert` each."""

    def __init__(self) -> None:
        self._parted = {"signed": [], "binary": []}  # m by which the fingers parted under the higher command, less the lower

    def add(self, actions: np.ndarray, fingers: np.ndarray, segment: np.ndarray) -> None:
        """Take a demonstration as evidence.

        actions: (T, 7).  fingers: (T, 2) m, positions of the fingers before each action; neighbouring rows of one `segment`
        (T,) are consecutive in time.
        """
        width = np.asarray(fingers[:, 0] - fingers[:, 1], np.float64)
        if len(width) < 2 or width.min() < -0.005 or width.max() > WIDEST:
            return  # not the fingers of a Panda in metres
        high = _high(actions[:, GRIPPER])
        form = "signed" if actions[:, GRIPPER].min() < 0 else "binary"
        if high.all() or not high.any():
            if form == "binary" and width.min() > WIDE:
                self._parted[form].append(TRAVEL if high.all() else -TRAVEL)
            return
        moved, together = np.diff(width), np.diff(segment) == 0
        under_high, under_low = (float(moved[together & (high[:-1] == command)].sum()) for command in (True, False))
        self._parted[form].append(under_high - under_low)

    def convert(self, actions: np.ndarray, where: str) -> tuple[np.ndarray, str | None]:
        """The commands (T,) of a demonstration as LIBERO has them, and what was changed, or None.

        Raises RecordError where one cannot tell what they mean.
        """
        commands = np.asarray(actions[:, GRIPPER], np.float64)
        if (beyond := np.flatnonzero(np.abs(commands) > 1 + 1e-6)).size:
            row = int(beyond[0])
            raise RecordError(f"{where}: actions, row {row}: the gripper's command is {commands[row]:g}, outside of -1 to 1", FIX)
        high, least, most = _high(commands), commands.min(), commands.max()
        if least < 0:
            if self._high_opens("signed"):
                return np.where(high, OPEN, CLOSED), "gripper turned round: +1 opened it"
            plain = np.isin(commands, (OPEN, CLOSED)).all()
            return np.where(high, CLOSED, OPEN), None if plain else "gripper commands read by their sign, as the simulator does"
        if not np.isin(commands, (0, 1)).all() and (least > 0.1 or most < 0.9):
            raise RecordError(f"{where}: the gripper's commands lie between {least:g} and {most:g}, neither open nor closed", FIX)
        opens = self._high_opens("binary")
        if opens is None and not (commands == 1).all():
            raise RecordError(
                f"{where}: the gripper's commands are {least:g} to {most:g}, and its fingers do not tell which of them opens", FIX
            )
        if opens:
            return np.where(high, OPEN, CLOSED), "gripper from 1 open, 0 closed"
        # 1 all the time is LIBERO's own, closed.
        return np.where(high, CLOSED, OPEN), None if opens is None else "gripper from 0 open, 1 closed"

    def _high_opens(self, form: str) -> bool | None:
        """Whether the higher command opens the gripper; None where the fingers do not tell."""
        parted = self._parted[form]
        return None if not parted or abs(np.mean(parted)) < TRAVEL else bool(np.mean(parted) > 0)


def _high(commands: np.ndarray) -> np.ndarray:
    """Which of the commands are the higher one of two.  Among signed ones, 0 leaves the gripper as it was told before."""
    if commands.min() >= 0:
        return commands >= 0.5
    told = np.maximum.accumulate(np.where(commands != 0, np.arange(len(commands)), 0))
    return commands[told] > 0
