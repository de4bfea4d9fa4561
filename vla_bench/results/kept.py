"""A run made small enough to commit: what was asked, with what, the totals, and how every single episode ended."""

from __future__ import annotations

import json
from pathlib import Path

from vla_bench.errors import RecordError
from vla_bench.metrics import group_values
from vla_bench.records import Episode, Run, Status, read_episodes, read_run
from vla_bench.results.summary import summarise

LETTERS = {Status.SUCCESS: "s", Status.FAILURE: "f", Status.ERROR: "e"}


def kept(path: Path) -> dict:
    """The small form of a run, of its folder or of the JSON file that it was kept in.  Raises RecordError."""
    if path.is_dir():
        return compact(*recorded(path))
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        for task in table["tasks"].values():
            if len(task["init_states"]) != len(task["outcomes"]) or set(task["outcomes"]) - set(LETTERS.values()):
                raise ValueError(f"outcomes {task['outcomes']!r}")
            if len(task["repeats"]) != len(task["outcomes"]):
                raise ValueError(f"repeats {task['repeats']!r}")
        table["suites"], table["config"]["suites"], table["status"]
        for group in (table["totals"], *table["totals"]["suites"].values()):
            group["successes"] + group["failures"], group["kept_tokens_mean"], group_values(group)
    except (OSError, ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{path} is not a kept run: {error!r}", f"python scripts/keep_run.py RUN {path}") from error
    return table


def recorded(folder: Path) -> tuple[Run, list[Episode]]:
    """A run and its episodes, in the order of their keys.  Raises RecordError."""
    if (run := read_run(folder)) is None:
        raise RecordError(f"{folder} holds no run", f"vla-bench eval --out {folder} ...")
    return run, sorted(read_episodes(folder), key=lambda episode: episode.key)


def compact(run: Run, episodes: list[Episode]) -> dict:
    """Everything but times of single episodes and pictures."""
    tasks: dict[str, dict[str, object]] = {}
    for suite, task_id in dict.fromkeys((e.suite, e.task_id) for e in episodes):
        own = [e for e in episodes if (e.suite, e.task_id) == (suite, task_id)]
        tasks[f"{suite}/{task_id}"] = {
            "task": own[0].task,
            "init_states": [e.init_state for e in own],
            "repeats": [e.repeat for e in own],
            "outcomes": "".join(LETTERS[e.status] for e in own),
            "steps": [e.steps for e in own],
            "queries": [e.queries for e in own],
            "kept_tokens_mean": [_hundredths(e.metrics.get("kept_tokens_mean")) for e in own],
        }
    return {
        "command": run.command,
        "created": run.created,
        "status": run.status,
        "git_commit": run.git_commit,
        "config_hash": run.config_hash,
        "config": run.config,
        "suites": run.suites,
        "assets": run.assets,
        "environment": run.environment,
        "totals": summarise(episodes).to_dict(),
        "tasks": tasks,
    }


def _hundredths(value: float | None) -> float | None:
    return None if value is None else round(value, 2)


def as_text(table: dict) -> str:
    """JSON with one line a task: short, and a change shows where it is."""
    tasks = ",\n".join(f"  {json.dumps(name)}: {json.dumps(task)}" for name, task in table["tasks"].items())
    rest = json.dumps({key: value for key, value in table.items() if key != "tasks"}, indent=1, allow_nan=False)
    return rest.removesuffix("\n}") + ',\n "tasks": {\n' + tasks + "\n }\n}\n"
