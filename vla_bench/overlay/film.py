"""One overlay film: frames as H.264, key frames as PNG, and where it is asked for the contact sheet."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla_bench.errors import ExitCode, VlaBenchError
from vla_bench.overlay.key_frames import contact_sheet, key_steps
from vla_bench.overlay.layout import Frames
from vla_bench.overlay.recording import Recording
from vla_bench.overlay.replayed import replay
from vla_bench.records import EpisodeKey
from vla_bench.rollout.video import STRIDE, writer
from vla_bench.rollout.worker import RequestActions
from vla_bench.world.protocol import Simulator


@dataclass(frozen=True)
class Film:
    """What was made of an episode: files, and the film's frames; or why nothing was, with an exit code."""

    files: tuple[Path, ...] = ()
    frames: int = 0
    refused: str | None = None
    exit_code: int = ExitCode.DONE


@dataclass(frozen=True)
class FilmRunner:
    """Films recorded episodes in a worker's simulator.  sheet: whether with a contact sheet."""

    recordings: Mapping[EpisodeKey, Recording]
    folder: Path
    sheet: bool

    def run(self, simulator: Simulator, job: EpisodeKey, request_actions: RequestActions) -> Film:
        task = simulator.suite.task(job.task_id)
        simulator.start(task)
        try:
            return make_film(simulator, self.recordings[job], task.language, self.folder, self.sheet)
        except VlaBenchError as error:  # another attempt would end the same way
            return Film(refused=error.message, exit_code=error.exit_code)


def make_film(simulator: Simulator, recording: Recording, instruction: str, folder: Path, sheet: bool) -> Film:
    """Replay, draw, and write `NAME.mp4`, `NAME-stepSTEP.png`, and `NAME-sheet.png`.  Nothing is left of a film that is refused.

    Raises NotComparableError where the replay is not the recorded episode.
    """
    from PIL import Image

    cameras, end = simulator.suite.cameras, len(recording.actions)
    keys = key_steps(recording)
    filmed = {*range(0, end, STRIDE), end}
    drawing = Frames(recording, instruction, cameras)
    stills, moments = [], []
    folder.mkdir(parents=True, exist_ok=True)
    with _unfinished(folder / f"{recording.name}.mp4") as unfinished:
        with writer(unfinished, simulator.suite.control_hz / STRIDE) as video:
            for moment in replay(simulator, recording, filmed.union(keys)):
                frame = drawing.draw(moment)
                if moment.step in filmed:
                    video.append_data(frame)
                if moment.step in keys:
                    moments.append(moment)
                    stills.append((folder / f"{recording.name}-step{moment.step:03d}.png", frame))
    if sheet:
        stills.append((folder / f"{recording.name}-sheet.png", contact_sheet(moments, recording, instruction, cameras)))
    for path, picture in stills:
        Image.fromarray(np.ascontiguousarray(picture)).save(path)
    return Film((folder / f"{recording.name}.mp4", *(path for path, _ in stills)), len(filmed))


@contextmanager
def _unfinished(path: Path) -> Iterator[Path]:
    """A file beside `path`, which becomes it where no error is raised."""
    temporary = path.with_name(f".{os.getpid()}-{path.name}")
    try:
        yield temporary
        os.replace(temporary, path)
    finally:
        temporary.unlink(missing_ok=True)
