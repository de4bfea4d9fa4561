"""`vla-bench demos`: demonstrations of the scripted expert, as many a task as asked for, in LIBERO's HDF5 layout."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

from vla_bench import environment
from vla_bench.checkpoints.config_file import read_config_file
from vla_bench.checkpoints.files import identity
from vla_bench.checkpoints.hub import find
from vla_bench.demonstrations.attempts import Attempt, TaskBook, attempt_seed
from vla_bench.demonstrations.crew import Crew
from vla_bench.demonstrations.demo_folder import DemoFolder
from vla_bench.demonstrations.demo_report import DemoReport
from vla_bench.demonstrations.demo_worker import Job, Settings
from vla_bench.demonstrations.recording import Ending
from vla_bench.errors import UsageError
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.registry import settle
from vla_bench.policies.resolve import ModelKind, ResolvedModel
from vla_bench.rollout.plan import worker_count
from vla_bench.rollout.selection import chosen_tasks
from vla_bench.suites import Suite, Task, load_suites, suite_names
from vla_bench.world.assets import AssetPack, resolve_assets
from vla_bench.world.gl import GL, choose_gl

IMAGE_SIZES = (128, 256)  # LIBERO's files, and those that were drawn again for the public checkpoints
ERRORS_IN_A_ROW = 10  # this many and the cause is not the attempts


@dataclass(frozen=True)
class DemoRequest:
    """What the user asked for, as the command line takes it.

    disturb: share of episodes in which the arm trembles and is pushed.
    learner: a policy that acts first in every episode, until the expert takes over; None for none.
    """

    suite: str = "all"
    per_task: int = 50
    out: Path = Path("results/demos")
    tasks: str | None = None
    image_size: int = 128
    disturb: float = 0.6
    workers: str = "auto"
    assets: str = "auto"
    seed: int = 0
    learner: str | None = None
    command: str = "vla-bench demos"


class DemoObserver:
    """Is told what happens; the progress display is one."""

    def begin(self, message: str, books: Sequence[TaskBook]) -> None: ...
    def attempt(self, attempt: Attempt, books: Sequence[TaskBook]) -> None: ...
    def end(self) -> None: ...


def make_demos(request: DemoRequest, observer: DemoObserver | None = None) -> DemoReport:
    """Make what was asked for and is not there yet.  Raises VlaBenchError; whatever was finished by then is kept."""
    check(request)
    chosen = chosen_tasks(load_suites(request.suite), request.tasks)
    suites = list({suite.name: suite for suite, _ in chosen}.values())
    assets, gl = resolve_assets(request.assets, suites), choose_gl()
    learner = None
    if request.learner is not None:
        choice = ModelChoice(request.learner, suites=tuple(suite.name for suite in suites))
        learner = settle(choice, "vla-bench demos")
    folder = DemoFolder(request.out, configuration(request, suites, assets, gl, learner), request.command)
    observer = observer or DemoObserver()
    try:
        return _run(request, chosen, assets, gl, folder, observer, learner)
    finally:
        observer.end()
        folder.close()


def check(request: DemoRequest) -> None:
    """Raises UsageError for a value that cannot be used."""
    if request.per_task < 1:
        raise UsageError(f"--per-task must be at least 1, not {request.per_task}")
    if request.image_size not in IMAGE_SIZES:
        raise UsageError(f"--image-size takes {' or '.join(map(str, IMAGE_SIZES))}, not {request.image_size}")
    if not 0.0 <= request.disturb <= 1.0:
        raise UsageError(f"--disturb is a share of episodes from 0 to 1, not {request.disturb}")
    if request.seed < 0:
        raise UsageError(f"--seed must not be negative, not {request.seed}")


def configuration(
    request: DemoRequest, suites: Sequence[Suite], assets: AssetPack, gl: GL, learner: ResolvedModel | None
) -> dict[str, object]:
    """Everything that decides a demonstration.  How many there are, of which tasks, by how many workers is not part of it."""
    return {
        **_learner(learner, suites, request.image_size),
        "policy": "expert",
        "seed": request.seed,
        "image_size": request.image_size,
        "disturb": request.disturb,
        "suites": {suite.name: suite.sha256 for suite in load_suites()},
        "assets": assets.identity,
        "gl_backend": gl.backend,
        "drawn_by": gl.drawn_by,
        "packages": environment.versions(environment.OUTCOME_PACKAGES),
    }


def _learner(model: ResolvedModel | None, suites: Sequence[Suite], image_size: int) -> dict[str, object]:
    """Who acts first, if anybody does, and with which weights.  Raises UsageError for one used to other pictures."""
    if model is None:
        return {}
    if model.kind is not ModelKind.CHECKPOINT:
        return {"learner": model.name, "learner_weights": None}
    weights = {}
    for suite in suites:
        folder = find(model.checkpoint([suite.name], "vla-bench demos"))
        seen = read_config_file(folder).config.camera_size
        if seen != image_size:
            raise UsageError(
                f"{model.name} sees pictures of {seen} pixels, the demonstrations would have {image_size}", f"--image-size {seen}"
            )
        weights[suite.name] = identity(folder)
    return {"learner": model.name, "learner_weights": weights}


class Assignments:
    """Which attempt comes next, and which are being made."""

    def __init__(self, books: Sequence[TaskBook], seed: int, folder: Path):
        self._books = books
        self._seed = seed
        self._folder = folder
        self._in_flight: dict[tuple[str, int], set[int]] = {book.key: set() for book in books}

    def next(self, current: tuple[str, int] | None) -> Job | None:
        """A process stays with its task (starting one takes seconds), then opens the longest that nobody has, then helps."""
        for book in sorted(self._books, key=lambda book: self._rank(book, current)):
            number = book.next(self._in_flight[book.key])
            if number is not None:
                self._in_flight[book.key].add(number)
                seed = attempt_seed(self._seed, *book.key, number)
                return Job(*book.key, number, seed, self._folder / book.part(number))
        return None

    def ended(self, attempt: Attempt) -> None:
        self._in_flight[attempt.suite, attempt.task_id].remove(attempt.number)

    def _rank(self, book: TaskBook, current: tuple[str, int] | None) -> tuple:
        work = (book.wanted - len(book.kept)) * book.suite.horizon
        return (book.key != current, len(self._in_flight[book.key]), -work, book.key)


def _run(
    request: DemoRequest,
    chosen: list[tuple[Suite, Task]],
    assets: AssetPack,
    gl: GL,
    folder: DemoFolder,
    observer: DemoObserver,
    learner: ResolvedModel | None,
) -> DemoReport:
    books = [TaskBook(suite, task, request.per_task) for suite, task in chosen]
    folder.resume(books)
    left = sum(max(0, book.wanted - len(book.kept)) for book in books if not book.done)
    workers = worker_count(request.workers, max(1, left), assets)
    assignments = Assignments(books, request.seed, folder.path)
    by_key = {book.key: book for book in books}
    ran, in_a_row, stopped = 0, 0, None

    def on_attempt(attempt: Attempt) -> None:
        nonlocal ran, in_a_row, stopped
        assignments.ended(attempt)
        folder.add(attempt, by_key[attempt.suite, attempt.task_id])
        ran += 1
        in_a_row = in_a_row + 1 if attempt.ending is Ending.ERROR else 0
        if in_a_row >= ERRORS_IN_A_ROW:
            stopped = f"{in_a_row} attempts in a row ended in errors, the last one: {attempt.error.splitlines()[0]}"
            crew.stop()
        observer.attempt(attempt, books)

    suites = {suite.name: replace(suite, image_size=request.image_size) for suite, _ in chosen}
    settings = Settings(suites, assets, gl.environment(), request.disturb, learner)
    crew = Crew(settings, workers, assignments.next, on_attempt)
    wanted = sum(book.wanted for book in books)
    observer.begin(
        f"{left} of {wanted} demonstrations to make (expert, {request.image_size} px, assets {assets.name}: {assets.reason}; "
        f"GL {gl.backend}, {gl.renderer}; workers: {workers}) -> {folder.path}",
        books,
    )
    started = time.monotonic()
    crew.run()
    seconds = time.monotonic() - started
    # A stop that came when nothing was left to do interrupted nothing.
    interrupted = stopped is None and not all(book.done for book in books)
    report = DemoReport(folder.path, books, interrupted, stopped, seconds, ran, request.command)
    everything = sorted([*books, *folder.others(books)], key=lambda book: (suite_names().index(book.suite.name), book.task.id))
    folder.write_report(replace(report, books=everything).to_markdown())
    return report
