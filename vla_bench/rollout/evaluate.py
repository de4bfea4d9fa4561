"""`vla-bench eval`: plan, run and record episodes, and summarise the results."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from vla_bench.errors import ExitCode
from vla_bench.results.about_run import about_run
from vla_bench.results.early_stop import EarlyStop, EarlyVerdict
from vla_bench.results.result_table import result_notes, result_table
from vla_bench.results.summary import Summary, summarise
from vla_bench.results.units import Key, planned_units
from vla_bench.rollout.engine import Engine, LocalEngine
from vla_bench.rollout.folder import RunFolder
from vla_bench.rollout.journal import Journal, Observer, timestamp
from vla_bench.rollout.plan import Plan, complete, outline
from vla_bench.rollout.pool import Event
from vla_bench.rollout.request import EvalRequest, Outline
from vla_bench.signals import Interruptible
from vla_bench.tables import markdown
from vla_bench.values import Population

ERROR_BUDGET = 0.02  # largest share of episodes in error with which a success rate is reported as valid


@dataclass(frozen=True, kw_only=True)
class EvalResult:
    """The result of an evaluation: the run's summary, and where its files are.

    planned: the init states that were ever asked of this folder; None where unknown.
    stopped: the errors for which the run was broken off; None where it was not.  ran: episodes of this call.
    verdict: of a run that may be stopped early, what its pairs with the baseline say; None for others.
    """

    run_dir: Path
    summary: Summary
    instructions: dict[tuple[str, int], str]
    videos: list[Path]
    interrupted: bool
    stopped: str | None
    ran: int
    seconds: float
    command: str
    planned: set[Key] | None = None
    against: Path | None = None
    early: EarlyStop | None = None
    verdict: EarlyVerdict | None = None
    visual_tokens: int | None = None  # image tokens before pruning, all cameras

    @property
    def exit_code(self) -> int:
        if self.interrupted:
            return ExitCode.INTERRUPTED
        total = self.summary.total
        if self.stopped or total.errors > ERROR_BUDGET * total.episodes:
            return ExitCode.ERROR_BUDGET
        return ExitCode.DONE if self.verdict is None else self.verdict.exit_code

    def to_dict(self) -> dict[str, object]:
        per_hour = 3600 * self.ran / self.seconds if self.ran and self.seconds > 0 else None
        about = {"run_dir": str(self.run_dir), "episodes_per_hour": per_hour, "visual_tokens": self.visual_tokens}
        counts = {"init_states": self.summary.total.rate.n, "planned": None if self.planned is None else len(self.planned)}
        if self.early is not None and self.verdict is not None:
            about |= {"stop_rule": self.early.rule.to_dict(), "verdict": self.verdict.to_dict()}
        return about | counts | {"population": Population.INIT_STATES.words} | self.summary.to_dict()


def evaluate(request: EvalRequest, observer: Observer | None = None) -> EvalResult:
    """Run the requested episodes that are not recorded yet.  Raises VlaBenchError; episodes finished by then are recorded.

    Ctrl-C, SIGTERM and SIGHUP end it with a result, once there is a run folder.
    """
    observer = observer or Observer()
    outlined = outline(request)
    observer.say(loading_line(outlined))
    plan = complete(outlined)
    try:
        with Interruptible(grace_s=None, say="interrupted: the summary is written") as ending:
            folder = RunFolder(plan.out, plan.describe(), request.fresh)
            try:
                observer.opened(folder.run)
                return _run(plan, folder, observer, ending)
            finally:
                observer.end()
                folder.close()
    finally:
        plan.close()


def _run(plan: Plan, folder: RunFolder, observer: Observer, ending: Interruptible) -> EvalResult:
    early = plan.early
    verdict = None if early is None or folder.run.stopped is None else EarlyVerdict.from_dict(folder.run.stopped)
    if verdict is None:  # a run that was stopped early keeps its verdict
        folder.forget_errors(plan.episodes)
    order = plan.episodes if early is None else early.order
    todo = [key for key in order if key not in folder.done and verdict is None]
    tasks = {(suite.name, task.id): task for suite in plan.suites for task in suite.tasks}
    journal = Journal(folder, tasks, observer, plan.workers)

    def on_event(event: Event) -> None:
        journal.write(event)
        if journal.stop_reason or (early is not None and early.look(folder.done).decided):
            engine.stop()

    engine = make_engine(plan, on_event, folder.path / "videos")
    done = [folder.done[key] for key in plan.episodes if key in folder.done]
    observer.begin(opening_lines(plan, folder, len(todo)), len(plan.episodes), done)
    started = time.monotonic()
    finished = engine.run(todo, in_order=early is not None) if todo else True
    seconds = time.monotonic() - started

    if early is not None and verdict is None:
        verdict = early.look(folder.done)
    decided = verdict is not None and verdict.decided
    folder.end(finished, verdict.to_dict() if decided else None)
    summary = summarise(folder.done.values())
    instructions = {key: task.language for key, task in tasks.items()}
    planned = planned_units(folder.run.planned)
    notes = "".join(f"\n{line}\n" for line in result_notes(summary, planned))
    about = about_run(folder.run, summary, planned, timestamp(time.time())) | {"command": f"`{folder.run.command}`"}
    head = markdown(("run", folder.run.run_id), [list(row) for row in about.items()])
    folder.write_text("summary.md", f"{head}\n{markdown(*result_table(summary, instructions, planned))}{notes}")
    return EvalResult(
        run_dir=folder.path,
        summary=summary,
        instructions=instructions,
        videos=[folder.path / episode.video for episode in folder.done.values() if episode.video],
        interrupted=ending.asked > 0 or (not finished and journal.stop_reason is None and not decided),
        stopped=journal.stop_reason,
        ran=sum(key in folder.done for key in todo),
        seconds=seconds,
        command=plan.request.command,
        planned=planned,
        against=plan.request.against,
        early=early,
        verdict=verdict,
        visual_tokens=plan.policy.visual_tokens,
    )


def make_engine(plan: Plan, on_event: Callable[[Event], None], video_folder: Path) -> Engine:
    films = {"video": plan.request.video, "video_folder": video_folder}
    if plan.cluster is None:
        return LocalEngine(plan.policy, plan.setup.simulators, workers=plan.workers, on_event=on_event, **films)
    from vla_bench.rollout.ray_engine import RayEngine

    return RayEngine(plan.cluster, on_event=on_event, **films)


def loading_line(outlined: Outline) -> str:
    """What the seconds before the first episode are for."""
    model = outlined.model
    return f"loading {model.name}{f' ({model.reason})' if model.reason else ''}, and testing OpenGL"


def opening_lines(plan: Plan, folder: RunFolder, todo: int) -> str:
    """Configuration and model card, printed before the first episode."""
    what = f"{plan.policy.name}, assets {plan.assets.name}: {plan.assets.reason}; GL {plan.gl.backend}, {plan.gl.renderer}"
    lines = [f"{todo} of {len(plan.episodes)} episodes to run ({what}; workers: {plan.workers}) -> {folder.path}"]
    if plan.cluster is not None:
        lines.append("ray {version}: {nodes} nodes, {cpus} CPUs, {gpus} GPUs".format(**plan.cluster.describe()))
    width = max((len(name) for name, _ in plan.policy.card), default=0)
    lines += [f"  {name:{width}}  {value}" for name, value in plan.policy.card]
    if plan.early is not None:
        lines.append(f"stops early, by {plan.early.pairs} pairs with {plan.early.rule.base}: {plan.early.outlook}")
    if folder.replaced:
        lines.append(f"the earlier run was moved to {folder.replaced}")
    return "\n".join(lines)
