"""`vla-bench demos`: records demonstrations of the scripted expert in LIBERO's HDF5 layout."""

from __future__ import annotations

import time
from collections.abc import Sequence
from dataclasses import dataclass, replace
from functools import partial
from pathlib import Path

from vla_bench import environment
from vla_bench.checkpoints.config_file import read_config_file
from vla_bench.checkpoints.hub import local_folder
from vla_bench.checkpoints.identity import identity
from vla_bench.demonstrations.attempts import AttemptRecord, TaskProgress
from vla_bench.demonstrations.folder import DemoFolder
from vla_bench.demonstrations.recording import Ending
from vla_bench.demonstrations.report import DemoReport
from vla_bench.demonstrations.runner import DemoRunner
from vla_bench.demonstrations.schedule import DemoSchedule
from vla_bench.errors import UsageError
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.registry import resolve_choice
from vla_bench.policies.resolve import ModelKind, ResolvedModel
from vla_bench.rollout.plan import worker_count
from vla_bench.rollout.pool import ErrorStreak, Event, Finished, Retried, WorkerPool
from vla_bench.rollout.selection import chosen_tasks
from vla_bench.rollout.worker import ErrorReport, Simulators
from vla_bench.suites import Suite, Task, load_suites, suite_names
from vla_bench.world.assets import AssetPack, resolve_assets
from vla_bench.world.gl import GL, choose_gl
from vla_bench.world.protocol import make_simulator

IMAGE_SIZES = (128, 256)  # LIBERO's files, and those rendered again for the public checkpoints


@dataclass(frozen=True, kw_only=True)
class DemoRequest:
    """The user's request, as the command line takes it.

    disturb: share of episodes with noise on the commands and pushes of the arm.
    learner: learner policy of DAgger rollouts; None for none.
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
    """Receives finished attempts, as the progress display does.  This one ignores them."""

    def begin(self, message: str, tasks: Sequence[TaskProgress]) -> None: ...
    def attempt(self, attempt: AttemptRecord, tasks: Sequence[TaskProgress]) -> None: ...
    def end(self) -> None: ...


def make_demos(request: DemoRequest, observer: DemoObserver | None = None) -> DemoReport:
    """Make the requested demonstrations that are missing.  Raises VlaBenchError; demonstrations finished by then are kept."""
    check(request)
    chosen = chosen_tasks(load_suites(request.suite), request.tasks)
    suites = list({suite.name: suite for suite, _ in chosen}.values())
    assets, gl = resolve_assets(request.assets, suites), choose_gl()
    learner = None
    if request.learner is not None:
        choice = ModelChoice(request.learner, suites=tuple(suite.name for suite in suites))
        learner = resolve_choice(choice, "--learner")
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
    """Everything that determines a demonstration; not the numbers of demonstrations, tasks or workers."""
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
    """The learner policy and hashes of its weights.  Raises UsageError for one trained on another image size."""
    if model is None:
        return {}
    if model.kind is ModelKind.REMOTE:
        raise UsageError(f"--learner {model.name}: a learner acts in the recording's own workers", "vla-bench models")
    if model.kind is not ModelKind.CHECKPOINT:
        return {"learner": model.name, "learner_weights": None}
    weights = {}
    for suite in suites:
        folder = local_folder(model.checkpoint([suite.name]))
        size = read_config_file(folder).config.camera_size
        if size != image_size:
            raise UsageError(
                f"{model.name} takes images of {size} pixels, the demonstrations would have {image_size}", f"--image-size {size}"
            )
        weights[suite.name] = identity(folder)
    return {"learner": model.name, "learner_weights": weights}


def _run(
    request: DemoRequest,
    chosen: list[tuple[Suite, Task]],
    assets: AssetPack,
    gl: GL,
    folder: DemoFolder,
    observer: DemoObserver,
    learner: ResolvedModel | None,
) -> DemoReport:
    tasks = [TaskProgress(suite, task, request.per_task) for suite, task in chosen]
    folder.resume(tasks)
    left = sum(max(0, progress.wanted - len(progress.successes)) for progress in tasks if not progress.done)
    workers = worker_count(request.workers, max(1, left), assets)
    schedule = DemoSchedule(tasks, request.seed, folder.path)
    streak = ErrorStreak("attempts")
    by_key = {progress.key: progress for progress in tasks}
    ran = 0

    def on_event(event: Event) -> None:
        nonlocal ran
        if isinstance(event, Retried):
            job = event.attempt.job
            folder.log_error(f"{job.suite} {job.task_id} attempt {job.number}, retried: {_text(event.error)}")
        if not isinstance(event, Finished):
            return
        attempt = as_record(event)
        schedule.ended(event.attempt.job)
        folder.add(attempt, by_key[attempt.suite, attempt.task_id])
        ran += 1
        streak.add(attempt.error and attempt.error.splitlines()[0])
        if streak.stop_reason:
            pool.stop()
        observer.attempt(attempt, tasks)

    suites = {suite.name: replace(suite, image_size=request.image_size) for suite, _ in chosen}
    simulators = Simulators(suites, partial(make_simulator, assets=assets), gl.environment())
    pool = WorkerPool(simulators, DemoRunner(request.disturb, learner), workers=workers, on_event=on_event)
    wanted = sum(progress.wanted for progress in tasks)
    observer.begin(
        f"{left} of {wanted} demonstrations to make (expert, {request.image_size} px, assets {assets.name}: {assets.reason}; "
        f"GL {gl.backend}, {gl.renderer}; workers: {workers}) -> {folder.path}",
        tasks,
    )
    started = time.monotonic()
    pool.run(schedule)
    seconds = time.monotonic() - started
    report = DemoReport(
        folder=folder.path,
        tasks=tasks,
        # A stop after the last attempt interrupted nothing.
        interrupted=streak.stop_reason is None and not all(progress.done for progress in tasks),
        stopped=streak.stop_reason,
        seconds=seconds,
        ran=ran,
        command=request.command,
    )
    everything, order = [*tasks, *folder.others(tasks)], suite_names()
    everything.sort(key=lambda progress: (order.index(progress.suite.name), progress.task.id))
    folder.write_text("report.md", replace(report, tasks=everything).to_markdown())
    return report


def as_record(event: Finished) -> AttemptRecord:
    """The line of `attempts.jsonl` for a finished attempt."""
    job, wall_s = event.attempt.job, round(time.time() - event.attempt.started, 3)
    if isinstance(event.result, ErrorReport):
        return AttemptRecord(job.suite, job.task_id, job.number, job.seed, Ending.ERROR, wall_s=wall_s, error=_text(event.result))
    return replace(event.result, wall_s=wall_s)


def _text(error: ErrorReport) -> str:
    return f"{error.type}: {error.message}\n{error.trace}".rstrip()
