"""`vla-bench eval`: which episodes, on what, into which folder; then the engine, the journal and the summary."""

from __future__ import annotations

import math
import time
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from vla_bench import environment
from vla_bench.errors import ExitCode, UsageError
from vla_bench.policies.registry import make_policy
from vla_bench.records import Episode, EpisodeKey, Run, Status, config_hash
from vla_bench.report.summary import Summary, summarise
from vla_bench.report.tables import COLUMNS, markdown, result_rows
from vla_bench.rollout.engine import Engine, Event, Finished, Retried
from vla_bench.rollout.folder import RunFolder
from vla_bench.rollout.selection import select
from vla_bench.rollout.worker import Outcome, Settings
from vla_bench.suites import Suite, load_suites
from vla_bench.world.assets import AssetPack, resolve
from vla_bench.world.gl import GL, choose_gl
from vla_bench.world.init_states import read_init_states
from vla_bench.world.libero import bddl_file, init_states_file

ERROR_BUDGET = 0.02  # share of episodes that may end in errors before a rate means nothing
ERRORS_IN_A_ROW = 10  # this many and the cause is not the episodes
WORKER_BYTES = 0.6e9  # resident size of a simulator, measured and rounded up: on the embedded pack
WORKER_BYTES_MESHES = 2.5e9  # and on meshes

VIDEO_MODES = ("failures", "all", "none")


@dataclass(frozen=True)
class Request:
    """What the user asked for, as the command line takes it."""

    suite: str = "all"
    model: str = "expert"
    trials: int | None = None
    tasks: str | None = None
    init_states: str | None = None
    workers: str = "auto"
    assets: str = "auto"
    video: str = "failures"
    out: Path | None = None
    fresh: bool = False
    seed: int = 0
    command: str = "vla-bench eval"


@dataclass(frozen=True)
class Result:
    """What came of it."""

    run_dir: Path
    summary: Summary
    instructions: dict[tuple[str, int], str]
    videos: list[Path]
    interrupted: bool
    stopped: str | None
    ran: int
    seconds: float
    command: str

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return ExitCode.INTERRUPTED
        total = self.summary.total
        if self.stopped or total.errors > ERROR_BUDGET * total.episodes:
            return ExitCode.ERROR_BUDGET
        return ExitCode.DONE

    def to_dict(self) -> dict[str, object]:
        per_hour = 3600 * self.ran / self.seconds if self.ran and self.seconds > 0 else None
        return {"run_dir": str(self.run_dir), "episodes_per_hour": per_hour, **self.summary.to_dict()}


class Observer:
    """Is told what happens; the progress display is one."""

    def begin(self, message: str, total: int, done: list[Episode]) -> None: ...
    def event(self, event: Event, episode: Episode | None) -> None: ...
    def end(self) -> None: ...


def check_files(suites: list[Suite], keys: list[EpisodeKey]) -> None:
    """Whatever is wrong with LIBERO's files shows before the first episode.  Raises WorldError."""
    wanted = {key[:2] for key in keys}
    for suite in suites:
        for task in suite.tasks:
            if (suite.name, task.id) in wanted:
                read_init_states(init_states_file(suite, task))
                bddl_file(suite, task)


def worker_count(text: str, episodes: int, assets: AssetPack) -> int:
    """ "auto": one simulator a core, as far as memory goes."""
    if text == "auto":
        count = environment.cpu_count()
        memory = environment.available_memory()
        if memory is not None:
            count = min(count, int(memory // (WORKER_BYTES if assets.embedded else WORKER_BYTES_MESHES)))
    elif text.isdigit() and int(text) > 0:
        count = int(text)
    else:
        raise UsageError(f'--workers takes "auto" or a number above 0, not "{text}"')
    return max(1, min(count, episodes))


def configuration(request: Request, suites: list[Suite], assets: AssetPack, gl: GL) -> dict:
    """Everything that decides how an episode ends.  How many episodes, workers or videos is not part of it."""
    return {
        "model": request.model,
        "seed": request.seed,
        "suites": {suite.name: suite.sha256 for suite in suites},
        "assets": assets.identity,
        "gl_backend": gl.backend,
        "packages": environment.versions(environment.OUTCOME_PACKAGES),
    }


def evaluate(request: Request, observer: Observer | None = None) -> Result:
    """Run what was asked for and is not yet recorded.  Raises VlaBenchError before the first episode, never after
    one without having recorded it."""
    observer = observer or Observer()
    if request.video not in VIDEO_MODES:
        raise UsageError(f'--video takes {", ".join(VIDEO_MODES)}, not "{request.video}"')
    suites = load_suites(request.suite)
    keys = select(suites, request.tasks, request.init_states, request.trials)
    check_files(suites, keys)
    policy = make_policy(request.model, request.seed)
    assets = resolve(request.assets)
    gl = choose_gl()
    workers = worker_count(request.workers, len(keys), assets)

    config = configuration(request, suites, assets, gl)
    run = Run(
        run_id=f"{request.model.replace(':', '-').replace('/', '-')}-{request.suite}-{assets.name}-{config_hash(config)[:8]}",
        created=_now(),
        command=request.command,
        config=config,
        suites={suite.name: suite.protocol for suite in suites},
        assets=assets.identity,
        environment=environment.describe() | {"gl_backend": gl.backend, "gl_renderer": gl.renderer},
        git_commit=environment.git_commit(),
    )
    folder = RunFolder(request.out or Path("results/runs") / run.run_id, run, request.fresh)
    try:
        return _run(request, policy, suites, keys, assets, gl, workers, folder, observer)
    finally:
        observer.end()
        folder.close()


def _run(request, policy, suites, keys, assets, gl, workers, folder: RunFolder, observer: Observer) -> Result:
    folder.forget_errors()
    todo = [key for key in keys if key not in folder.done]
    names = {(suite.name, task.id): task for suite in suites for task in suite.tasks}
    settings = Settings(
        suites={suite.name: suite for suite in suites},
        assets=assets,
        environment=gl.environment(),
        sight=policy.sight,
    )
    stopped: str | None = None
    errors_in_a_row = 0

    def on_event(event: Event) -> None:
        nonlocal stopped, errors_in_a_row
        episode = None
        if isinstance(event, Retried):
            folder.log_error(
                f"{event.attempt.episode} attempt {event.attempt.number}: {event.trouble.message}\n{event.trouble.trace}"
            )
        if isinstance(event, Finished):
            episode = _episode(event, names[event.attempt.episode[:2]].name)
            actions = event.result.actions if isinstance(event.result, Outcome) else None
            folder.add(episode, actions)
            failed = episode.status is Status.ERROR
            if failed:
                folder.log_error(f"{episode.key} attempt {episode.attempts}: {event.result.message}\n{event.result.trace}")
            errors_in_a_row = errors_in_a_row + 1 if failed else 0
            if errors_in_a_row >= ERRORS_IN_A_ROW:
                stopped = f"{errors_in_a_row} episodes in a row ended in errors, the last one: {episode.error['message']}"
                engine.stop()
        observer.event(event, episode)

    message = (
        f"{len(todo)} of {len(keys)} episodes to run ({policy.name}, assets {assets.name}: {assets.reason}; "
        f"GL {gl.backend}, {gl.renderer}; {workers} worker{'s' * (workers > 1)}) -> {folder.path}"
    )
    observer.begin(message, len(keys), [folder.done[key] for key in keys if key in folder.done])
    engine = Engine(policy, settings, workers, on_event, request.video, folder.path / "videos")
    started = time.monotonic()
    complete = engine.run(todo) if todo else True
    seconds = time.monotonic() - started

    interrupted = not complete and stopped is None
    folder.set_status("complete" if complete else "interrupted")
    summary = summarise(folder.done.values())
    instructions = {key: task.language for key, task in names.items()}
    folder.write_text("summary.md", markdown(COLUMNS, result_rows(summary, instructions)))
    videos = [folder.path / episode.video for episode in folder.done.values() if episode.video]
    return Result(
        run_dir=folder.path,
        summary=summary,
        instructions=instructions,
        videos=videos,
        interrupted=interrupted,
        stopped=stopped,
        ran=len([key for key in todo if key in folder.done]),
        seconds=seconds,
        command=request.command,
    )


def _episode(event: Finished, task: str) -> Episode:
    attempt, result = event.attempt, event.result
    key = attempt.episode
    ended = isinstance(result, Outcome)
    policy_ms = 1000 * attempt.policy_s / attempt.queries if attempt.queries else None
    return Episode(
        suite=key.suite,
        task_id=key.task_id,
        task=task,
        init_state=key.init_state,
        repeat=key.repeat,
        init_hash=result.init_hash if ended else None,
        status=(Status.SUCCESS if result.success else Status.FAILURE) if ended else Status.ERROR,
        steps=len(result.actions) if ended else 0,
        queries=attempt.queries,
        kept_tokens_mean=sum(attempt.kept_tokens) / len(attempt.kept_tokens) if attempt.kept_tokens else None,
        attempts=attempt.number,
        wall_s=round(result.wall_s if ended else time.time() - attempt.started, 3),
        policy_ms_mean=None if policy_ms is None or not math.isfinite(policy_ms) else round(policy_ms, 3),
        error=None if ended else {"type": result.type, "message": result.message},
        video=f"videos/{result.video}" if ended and result.video else None,
        state_hash=result.state_hash if ended else None,
        started=datetime.fromtimestamp(attempt.started, timezone.utc).isoformat(timespec="seconds"),
        ended=_now(),
    )


def _now() -> str:
    return datetime.now(timezone.utc).isoformat(timespec="seconds")
