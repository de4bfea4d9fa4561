"""An evaluation log of Inspect AI (`EvalLog`, version 2, JSON): a sample an episode, the scorer `success` with mean and stderr.

Source: UKGovernmentBEIS/inspect_ai 0.3, `inspect_ai/log/_log.py`.  An episode that ended in an error is a sample with an `error`
and without a score, and no part of the mean, as Inspect itself has it.  What Inspect records of language models, as messages and
tokens, a run does not have: these fields are left out, and get their defaults when the log is read.
"""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from vla_bench.records import Episode, EpisodeKey, Status
from vla_bench.report.harnesses.source_run import SourceRun, mean
from vla_bench.suites import instruction_of

VERSION = 2  # of the log's form
SCORER = "success"
GOAL = "the task's goal predicates hold after a control step"
STATUSES = {"complete": "success"}  # of a run -> of a log; every other one is "cancelled"


def inspect_files(source: SourceRun) -> dict[str, object]:
    """The content of each file by its name: one for the whole run, named as Inspect names logs."""
    created = source.run.created.replace(":", "-")
    return {f"{created}_{_task(source).replace('_', '-')}_{_id(source)}.json": _log(source)}


def _log(source: SourceRun) -> dict[str, object]:
    run = source.run
    return {
        "version": VERSION,
        "status": STATUSES.get(run.status, "cancelled"),
        "eval": _spec(source),
        "results": _results(source),
        "stats": _stats(source),
        "samples": [_sample(source, each) for each in source.episodes],
    }


def _task(source: SourceRun) -> str:
    return source.libero_name(source.suites[0]) if len(source.suites) == 1 else "libero"


def _id(source: SourceRun) -> str:
    """The same for the same configuration; without the characters that separate parts of a log's name."""
    return source.run.config_hash[:22]


def _spec(source: SourceRun) -> dict[str, object]:
    run, epochs = source.run, 1 + max(each.repeat for each in source.episodes)
    ids = list(dict.fromkeys(map(_sample_id, source.episodes)))
    packages = {name: str(version) for name, version in (run.environment.get("packages") or {}).items()}
    return {
        "created": run.created,
        "run_id": run.run_id,
        "eval_id": _id(source),
        "task": _task(source),
        "task_id": _id(source),
        "task_args": {"suites": source.suites},
        "dataset": {"name": "LIBERO", "samples": len(ids), "sample_ids": ids, "shuffled": False},
        "model": f"vla-bench/{run.model}",
        "model_args": run.config.get("policy") or {},
        "config": {"epochs": epochs, "epochs_reducer": ["mean"]},
        "packages": packages,
        "scorers": [{"name": SCORER, "metrics": [{"name": "inspect_ai/mean"}, {"name": "inspect_ai/stderr"}]}],
        "metadata": source.about(),
    }


def _sample(source: SourceRun, episode: Episode) -> dict[str, object]:
    """epoch: the repeat, counted from 1."""
    ended = episode.status is not Status.ERROR
    about = {"suite": episode.suite, "task_id": episode.task_id, "task": episode.task, "init_state": episode.init_state}
    about |= {"steps": episode.steps, "queries": episode.queries, "attempts": episode.attempts, "state_hash": episode.state_hash}
    about |= {key: value for key, value in episode.metrics.items() if value is not None}
    if (film := source.films.get(episode.key)) is not None:
        about["video"] = str(film)
    sample: dict[str, object] = {
        "id": _sample_id(episode),
        "epoch": episode.repeat + 1,
        "input": instruction_of(episode.suite, episode.task_id, episode.task),
        "target": GOAL,
        "metadata": about,
    }
    if episode.started:
        sample |= {"started_at": episode.started, "completed_at": episode.ended, "total_time": episode.wall_s}
    if ended:
        return sample | {"scores": {SCORER: {"value": _value(episode), "answer": episode.status.value}}}
    error = episode.error or {}
    message = f"{error.get('type', 'error')}: {error.get('message', '')}"
    return sample | {"error": {"message": message, "traceback": "", "traceback_ansi": ""}}


def _sample_id(episode: Episode) -> str:
    """That of the init state, which its repeats share, as `object-t3-i00`."""
    return str(EpisodeKey(episode.suite, episode.task_id, episode.init_state))


def _value(episode: Episode) -> float:
    return float(episode.status is Status.SUCCESS)


def _results(source: SourceRun) -> dict[str, object]:
    """Mean and standard error of the mean over samples, repeats averaged, as Inspect works them out of the samples."""
    by_id: dict[str, list[float]] = {}
    for each in source.ended:
        by_id.setdefault(_sample_id(each), []).append(_value(each))
    shares = [sum(values) / len(values) for values in by_id.values()]
    score: dict[str, object] = {"name": SCORER, "scorer": SCORER, "reducer": "mean", "metrics": _metrics(shares)}
    score |= {"scored_samples": len(shares), "unscored_samples": 0}
    return {"total_samples": len(source.episodes), "completed_samples": len(source.ended), "scores": [score]}


def _metrics(shares: Sequence[float]) -> dict[str, object]:
    """None without an outcome: a value is a number there."""
    if (rate := mean(shares)) is None:
        return {}
    stderr = statistics.stdev(shares) / len(shares) ** 0.5 if len(shares) > 1 else 0.0
    return {"mean": {"name": "mean", "value": rate}, "stderr": {"name": "stderr", "value": stderr}}


def _stats(source: SourceRun) -> dict[str, object]:
    """Of the first and the last episode; nothing where times are not known."""
    if not source.timed:
        return {}
    return {
        "started_at": min(each.started for each in source.episodes),
        "completed_at": max(each.ended for each in source.episodes),
    }
