"""Runs on disk as `vla-bench eval` leaves them, made of numbers."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vla_bench.lines import append_line
from vla_bench.queries import write_queries
from vla_bench.query_record import QueryRecord
from vla_bench.records import Episode, EpisodeKey, Run, Status, write_episode, write_run

SHA = "0" * 64
ENDINGS = {"s": Status.SUCCESS, "f": Status.FAILURE, "e": Status.ERROR}


def episode(init_state=0, status=Status.SUCCESS, **more) -> Episode:
    ended = status is not Status.ERROR
    values = {
        "suite": "object",
        "task_id": 3,
        "task": "pick_up_the_bbq_sauce",
        "init_state": init_state,
        "repeat": 0,
        "status": status,
    }
    values |= {"init_hash": "0" * 16 if ended else None, "state_hash": "1" * 16 if ended else None}
    values |= {"steps": 120 if ended else 0, "queries": 15, "attempts": 1 if ended else 2}
    metrics = {key: more.pop(key) for key in [*more] if key.endswith(("_mean", "_sd", "_min", "_max"))}
    values["metrics"] = {"kept_tokens_mean": None, "policy_ms_mean": 0.1} | metrics
    values |= {"wall_s": 3.5, "error": None if ended else {"type": "Crash", "message": "SIGSEGV"}}
    values |= {"started": "2026-01-01T00:00:00+00:00", "ended": "2026-01-01T00:00:04+00:00"}
    return Episode(**values | more)


def run(**config) -> Run:
    assets = {"name": "primitive", "sha256": SHA}
    packages = {"mujoco": "3.3.3", "robosuite": "1.4.0", "hf-libero": "0.1.4"}
    always = {"model": "noop", "seed": 0, "suites": {"object": SHA}, "assets": assets, "packages": packages}
    always |= {"gl_backend": "egl", "drawn_by": "cpu"}
    suite = {
        "name": "object",
        "libero_name": "libero_object",
        "horizon": 280,
        "settle_steps": 10,
        "control_hz": 20,
        "env_seed": 0,
    }
    suite |= {"chunk": 8, "image_size": 256, "sha256": SHA, "cameras": ["agentview"]}
    environment = {"python": "3.11", "platform": "Linux", "cpu": "x", "cores": 2, "gpu": None, "packages": {}}
    environment |= {"gl_backend": "egl", "gl_renderer": "llvmpipe"}
    created = "2026-01-01T00:00:00+00:00"
    return Run("id", created, "vla-bench eval", always | config, {"object": suite}, assets, environment, None, "complete")


def a_run(folder, outcomes, tokens=None, gflops=None, **config):
    """Episodes of one task, of init states from 0 up."""
    folder.mkdir()
    write_run(folder, run(**config))
    for i, outcome in reversed(list(enumerate(outcomes))):
        write_episode(folder, episode(i, ENDINGS[outcome], kept_tokens_mean=tokens, gflops_mean=gflops))
    return folder


def with_tasks(folder, tasks, status="complete", about=None, config=None, **metrics):
    """A run with these outcomes by suite and task id, of init states from 0 up.

    about: what the run says of a suite.  config: more of its configuration.  metrics: the same of every episode.
    """
    folder.mkdir()
    about = about or {}
    suites = dict.fromkeys(suite for suite, _ in tasks)
    said = {suite: about.get(suite, {}) for suite in suites}
    write_run(folder, replace(run(suites=dict.fromkeys(suites, SHA), **(config or {})), suites=said, status=status))
    for (suite, task_id), outcomes in tasks.items():
        for i, outcome in enumerate(outcomes):
            known = {"init_hash": about[suite]["init_hash"]} if outcome != "e" and "init_hash" in about.get(suite, {}) else {}
            one = episode(i, ENDINGS[outcome], suite=suite, task_id=task_id, task=f"{suite}_{task_id}", **known, **metrics)
            append_line(folder / "episodes.jsonl", one.to_json())
    return folder


def record(
    folder: Path,
    episodes: Mapping[int, Sequence[QueryRecord]],
    cut_off: Mapping[int, Sequence[QueryRecord]] = {},
    failed: Mapping[int, Sequence[QueryRecord]] = {},
    model: str = "nano",
    **policy: object,
) -> Path:
    """A run folder with these queries, by the episodes' init states: that ended, that never did, that ended in an error."""
    folder.mkdir()
    identity = {"pruner": "lightvla", "decoding": "l1", "visual_tokens": 128, **policy}
    config = {"model": model, "policy": identity}
    write_run(folder, Run("a-run", "2026-01-01T00:00:00", "vla-bench eval", config, {}, {}, {}, None))
    for status, found in ((Status.SUCCESS, episodes), (None, cut_off), (Status.ERROR, failed)):
        for init, queries in found.items():
            key = EpisodeKey("object", 0, init)
            write_queries(folder, key, queries)
            if status is not None:
                numbers = {"steps": 8, "queries": len(queries), "attempts": 1, "wall_s": 1.0}
                digest = None if status is Status.ERROR else "0" * 16
                where = {**key._asdict(), "task": "a_task", "init_hash": digest, "state_hash": digest}
                error = {"type": "SimulatorError", "message": "it fell"} if status is Status.ERROR else None
                write_episode(folder, Episode(**where, **numbers, status=status, error=error))
    return folder
