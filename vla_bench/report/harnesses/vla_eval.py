"""Aggregate files as `vla-eval` 0.8 writes them: one a suite, `NAME_aggregate.json`, with tasks and their episodes.

Source: allenai/vla-evaluation-harness, `vla_eval/results/export.py` and `collector.py`.  An episode that ended in an error has a
`failure_reason`, as there, but no `success`: vla-eval itself writes false, so that its errors count as failures.  Its means leave
out episodes without the value.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

from vla_bench.records import Episode, Status
from vla_bench.report.harnesses.source_run import SourceRun, mean
from vla_bench.suites import instruction_of

METRICS = {"success": "mean"}  # key of an episode's metrics -> how it is aggregated


def vla_eval_files(source: SourceRun) -> dict[str, object]:
    """The content of each file by its name: one a suite."""
    bodies = {f"{_name(source, suite)}_aggregate.json": _aggregate(source, suite) for suite in source.suites}
    return dict(bodies)


def _name(source: SourceRun, suite: str) -> str:
    return f"vla-bench_{source.libero_name(suite)}"


def _aggregate(source: SourceRun, suite: str) -> dict[str, object]:
    part, run = source.of_suite(suite), source.run
    tasks = _tasks(part.episodes)
    body: dict[str, object] = {
        "benchmark": _name(source, suite),
        "mode": "sync",
        "harness_version": f"vla-bench {(run.config.get('packages') or {}).get('vla-bench', 'unknown')}",
        "created_at": run.created,
        "tasks": tasks,
        "config": _config(source, suite),
        "eval_id": run.run_id,
        "metric_keys": METRICS,
        **_success(part.episodes),
        "num_episodes_total": len(part.episodes),
        "num_errors": len(part.episodes) - len(part.ended),
        "vla_bench": part.about(),
    }
    if isinstance(server := (run.config.get("policy") or {}).get("server"), Mapping):
        body["server_info"] = server
    if not source.complete:
        body["partial"] = True
    return body


def _config(source: SourceRun, suite: str) -> dict[str, object]:
    """The keys of vla-eval's configuration that a run of ours has: its benchmark's parameters as that of LIBERO names them."""
    about = source.run.suites.get(suite, {})
    named = {"num_steps_wait": "settle_steps", "env_seed": "env_seed"}
    params = {"suite": source.libero_name(suite)} | {key: about[own] for key, own in named.items() if own in about}
    return {
        "benchmark": "vla_bench",
        "name": _name(source, suite),
        "mode": "sync",
        "max_steps": about.get("horizon"),
        "params": params,
    }


def _tasks(episodes: Sequence[Episode]) -> list[dict[str, object]]:
    """By instruction, which is vla-eval's name of a task; in its order."""
    by_task: dict[str, list[Episode]] = {}
    for each in episodes:
        by_task.setdefault(instruction_of(each.suite, each.task_id, each.task), []).append(each)
    return [_task(name, by_task[name]) for name in sorted(by_task)]


def _task(name: str, episodes: Sequence[Episode]) -> dict[str, object]:
    errors = sum(each.status is Status.ERROR for each in episodes)
    return {
        "task": name,
        "episodes": [_episode(name, each) for each in episodes],
        "num_episodes": len(episodes),
        "avg_steps": mean([each.steps for each in episodes]),
        **({"num_errors": errors} if errors else {}),
        **_success(episodes),
    }


def _episode(task: str, episode: Episode) -> dict[str, object]:
    """episode_id: the init state, as there."""
    row: dict[str, object] = {"episode_id": episode.init_state, "repeat": episode.repeat, "steps": episode.steps}
    if episode.started:
        row["elapsed_sec"] = episode.wall_s
    row |= {"name": task, "suite": episode.suite, "task_id": episode.task_id, "task_idx": episode.task_id}
    if episode.status is not Status.ERROR:
        return row | {"metrics": {"success": episode.status is Status.SUCCESS}}
    error = episode.error or {}
    return row | {"metrics": {}, "failure_reason": error.get("type", "error"), "failure_detail": error.get("message", "")}


def _success(episodes: Sequence[Episode]) -> dict[str, float]:
    """To four decimals, as there; left out where all ended in errors."""
    rate = mean([float(each.status is Status.SUCCESS) for each in episodes if each.status is not Status.ERROR])
    return {} if rate is None else {"mean_success": round(rate, 4)}
