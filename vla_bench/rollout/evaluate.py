"""`vla-bench eval`: which episodes, on what, into which folder; then the engine, the journal and the summary."""

from __future__ import annotations

import re
import time
from dataclasses import dataclass
from pathlib import Path

from vla_bench import environment
from vla_bench.errors import ExitCode, UsageError
from vla_bench.policies.base import Policy
from vla_bench.policies.registry import make_policy
from vla_bench.records import EpisodeKey, Run, config_hash
from vla_bench.report.summary import Summary, summarise
from vla_bench.report.tables import COLUMNS, markdown, result_rows
from vla_bench.rollout.engine import Engine, Event
from vla_bench.rollout.folder import RunFolder
from vla_bench.rollout.journal import Journal, Observer, timestamp
from vla_bench.rollout.selection import select
from vla_bench.rollout.worker import Settings
from vla_bench.suites import Suite, load_suites
from vla_bench.world.assets import AssetPack, resolve_assets
from vla_bench.world.gl import GL, choose_gl
from vla_bench.world.init_states import read_init_states
from vla_bench.world.libero import bddl_file, init_states_file

ERROR_BUDGET = 0.02  # share of episodes that may end in errors before a rate means nothing
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


@dataclass(frozen=True)
class Plan:
    """A request that was found possible: everything is known and at hand before the first episode."""

    request: Request
    suites: list[Suite]
    episodes: list[EpisodeKey]
    policy: Policy
    assets: AssetPack
    gl: GL
    workers: int

    @property
    def config(self) -> dict:
        """Everything that decides how an episode ends.  How many episodes, workers or videos is not part of it."""
        return {
            "model": self.request.model,
            "seed": self.request.seed,
            "suites": {suite.name: suite.sha256 for suite in self.suites},
            "assets": self.assets.identity,
            "gl_backend": self.gl.backend,
            "packages": environment.versions(environment.OUTCOME_PACKAGES),
        }

    @property
    def run_id(self) -> str:
        """The same for the same configuration, so that the same command finds its run again."""
        words = (self.request.model, self.request.suite, self.assets.name, config_hash(self.config)[:8])
        return re.sub(r"[^\w.-]+", "-", "-".join(words))

    def describe(self) -> Run:
        return Run(
            run_id=self.run_id,
            created=timestamp(time.time()),
            command=self.request.command,
            config=self.config,
            suites={suite.name: suite.protocol for suite in self.suites},
            assets=self.assets.identity,
            environment=environment.describe() | {"gl_backend": self.gl.backend, "gl_renderer": self.gl.renderer},
            git_commit=environment.git_commit(),
        )


def prepare(request: Request) -> Plan:
    """Check everything that can be checked without running.  Raises VlaBenchError."""
    if request.video not in VIDEO_MODES:
        raise UsageError(f'--video takes {", ".join(VIDEO_MODES)}, not "{request.video}"')
    suites = load_suites(request.suite)
    episodes = select(suites, request.tasks, request.init_states, request.trials)
    check_files(suites, episodes)
    policy = make_policy(request.model, request.seed)
    assets = resolve_assets(request.assets)
    return Plan(request, suites, episodes, policy, assets, choose_gl(), worker_count(request.workers, len(episodes), assets))


def evaluate(request: Request, observer: Observer | None = None) -> Result:
    """Run what was asked for and is not yet recorded.  Raises VlaBenchError; whatever was finished by then is recorded."""
    plan = prepare(request)
    folder = RunFolder(request.out or Path("results/runs") / plan.run_id, plan.describe(), request.fresh)
    observer = observer or Observer()
    try:
        return _run(plan, folder, observer)
    finally:
        observer.end()
        folder.close()


def _run(plan: Plan, folder: RunFolder, observer: Observer) -> Result:
    folder.forget_errors(plan.episodes)
    todo = [key for key in plan.episodes if key not in folder.done]
    suites, gl = {suite.name: suite for suite in plan.suites}, plan.gl
    tasks = {(suite.name, task.id): task for suite in plan.suites for task in suite.tasks}
    journal = Journal(folder, tasks, observer)

    def on_event(event: Event) -> None:
        journal.write(event)
        if journal.hopeless:
            engine.stop()

    settings = Settings(suites, plan.assets, gl.environment(), plan.policy.sight)
    engine = Engine(plan.policy, settings, plan.workers, on_event, plan.request.video, folder.path / "videos")
    what = f"{plan.policy.name}, assets {plan.assets.name}: {plan.assets.reason}; GL {gl.backend}, {gl.renderer}"
    message = f"{len(todo)} of {len(plan.episodes)} episodes to run ({what}; workers: {plan.workers}) -> {folder.path}"
    if folder.replaced:
        message += f"\nthe earlier run was set aside as {folder.replaced}"
    observer.begin(message, len(plan.episodes), [folder.done[key] for key in plan.episodes if key in folder.done])
    started = time.monotonic()
    complete = engine.run(todo) if todo else True
    seconds = time.monotonic() - started

    folder.set_status("complete" if complete else "interrupted")
    summary = summarise(folder.done.values())
    instructions = {key: task.language for key, task in tasks.items()}
    folder.write_text("summary.md", markdown(COLUMNS, result_rows(summary, instructions)))
    return Result(
        run_dir=folder.path,
        summary=summary,
        instructions=instructions,
        videos=[folder.path / episode.video for episode in folder.done.values() if episode.video],
        interrupted=not complete and journal.hopeless is None,
        stopped=journal.hopeless,
        ran=sum(key in folder.done for key in todo),
        seconds=seconds,
        command=plan.request.command,
    )
