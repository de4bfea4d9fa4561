"""`vla-bench overlay`: films of a run's episodes in which one sees what its pruner kept, from the record alone."""

from __future__ import annotations

import time
from dataclasses import dataclass, field
from pathlib import Path

from vla_bench.errors import ExitCode
from vla_bench.overlay.film import Film, FilmRunner
from vla_bench.overlay.same import AUTO, world_of
from vla_bench.overlay.selected import Selected, select_recordings
from vla_bench.progress import Bar
from vla_bench.records import EpisodeKey, make_room
from vla_bench.rollout.plan import worker_count
from vla_bench.rollout.pool import Event, Finished, WorkerPool
from vla_bench.rollout.schedule import Schedule
from vla_bench.rollout.worker import ErrorReport
from vla_bench.values import Video

FOLDER = Path("videos/overlay")  # in the run folder


@dataclass(frozen=True, kw_only=True)
class OverlayRequest:
    """The user's request.

    episodes: "all", "failures", or names as `long-t8-i00`, with commas.
    out: folder of the films; None for `videos/overlay` in the run folder.
    anew: make films again that are there already.
    """

    run: Path
    episodes: str = Video.ALL.value
    contact_sheet: bool = False
    workers: str = AUTO
    assets: str = AUTO
    out: Path | None = None
    anew: bool = True


@dataclass
class OverlayResult:
    """files: what was written.  frames: of all films.  notes: what is missing.  seconds: the whole of it."""

    folder: Path
    notes: list[str]
    exit_code: int
    films: int = 0
    frames: int = 0
    files: list[Path] = field(default_factory=list)
    seconds: float = 0.0


def overlay(request: OverlayRequest) -> OverlayResult:
    """Replay and film the episodes; no policy is queried.  Raises VlaBenchError where nothing at all can be filmed."""
    started = time.monotonic()
    folder = request.out or request.run / FOLDER
    made = () if request.anew else [path.stem for path in folder.glob("*.mp4")]
    found = select_recordings(request.run, request.episodes, made)
    result = OverlayResult(folder, found.notes, found.exit_code)
    if found.recordings:
        _film(request, found, result)
    result.seconds = time.monotonic() - started
    return result


def _film(request: OverlayRequest, found: Selected, result: OverlayResult) -> None:
    keys = list(found.recordings)
    setup, notes = world_of(request.run, found.run, keys, request.assets)
    found.notes += notes
    make_room(result.folder / "film")
    bar = Bar("films")

    def on_event(event: Event) -> None:
        if isinstance(event, Finished):
            _add(found, result, event.attempt.job, event.result)
            bar.update(result.films, "films")

    horizons = {name: suite.horizon for name, suite in setup.simulators.suites.items()}
    schedule = Schedule(keys, horizons)
    runner = FilmRunner(found.recordings, result.folder, request.contact_sheet)
    pool = WorkerPool(setup.simulators, runner, workers=worker_count(request.workers, len(keys), setup.assets), on_event=on_event)
    bar.begin(f"{len(keys)} episodes to film -> {result.folder}", len(keys), 0)
    try:
        whole = pool.run(schedule) and len(schedule) == 0
    finally:
        bar.end()
    result.exit_code = found.exit_code if whole else ExitCode.INTERRUPTED


def _add(found: Selected, result: OverlayResult, key: EpisodeKey, film: Film | ErrorReport) -> None:
    if isinstance(film, ErrorReport):
        found.lacks(f"{key} could not be filmed: {film.type}: {film.message}", ExitCode.STARTUP)
    elif film.refused is not None:
        found.lacks(film.refused, film.exit_code)
    else:
        result.films += 1
        result.frames += film.frames
        result.files += film.files
