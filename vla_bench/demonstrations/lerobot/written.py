"""What a LeRobot data set was made of, and how that is said."""

from __future__ import annotations

import sys
from dataclasses import asdict, dataclass, field
from pathlib import Path

from vla_bench.terminal import show

SHOWN = 5  # lines about what was left out


@dataclass
class Written:
    """A data set that was written.

    left_out: name of a file or demonstration -> why it is not in it.
    converted: what was converted -> in how many demonstrations.
    """

    folder: Path
    episodes: int = 0
    frames: int = 0
    demonstrations: int = 0
    left_out: dict[str, str] = field(default_factory=dict)
    converted: dict[str, int] = field(default_factory=dict)

    def to_dict(self) -> dict[str, object]:
        return asdict(self) | {"folder": str(self.folder)}


def print_written(written: Written) -> None:
    """The counts on standard output; what was converted and left out on standard error."""
    for note, count in written.converted.items():
        show(f"converted: {note} ({count} demonstrations)", file=sys.stderr)
    for name, why in list(written.left_out.items())[:SHOWN]:
        show(f"left out: {why if name in why else f'{name}: {why}'}", file=sys.stderr)
    if len(written.left_out) > SHOWN:
        show(f"left out: {len(written.left_out) - SHOWN} more", file=sys.stderr)
    what = f"{written.episodes} episodes of {written.demonstrations} demonstrations, {written.frames:,} frames"
    show(f"{written.folder}: {what}, LeRobotDataset v3.0")
