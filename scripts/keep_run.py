"""Keep a run small enough to commit: what was asked, with what, the totals, and how every single episode ended.

    python scripts/keep_run.py results/runs/ID results/baselines/NAME.json

Episodes are in the order of init states, so that two files can be paired.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

from vla_bench.records import Episode, Run, Status, read_episodes, read_run, write_atomically
from vla_bench.report.summary import summarise

LETTERS = {Status.SUCCESS: "s", Status.FAILURE: "f", Status.ERROR: "e"}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("run", type=Path)
    parser.add_argument("file", type=Path)
    asked = parser.parse_args()
    run = read_run(asked.run)
    if run is None:
        parser.error(f"{asked.run} holds no run")
    episodes = sorted(read_episodes(asked.run), key=lambda episode: episode.key)
    asked.file.parent.mkdir(parents=True, exist_ok=True)
    write_atomically(asked.file, as_text(compact(run, episodes)))
    print(f"{asked.file}: {len(episodes)} episodes, {asked.file.stat().st_size / 1e3:.0f} kB")


def compact(run: Run, episodes: list[Episode]) -> dict[str, object]:
    """Everything but times of single episodes and pictures."""
    tasks: dict[str, dict[str, object]] = {}
    for suite, task_id in dict.fromkeys((e.suite, e.task_id) for e in episodes):
        own = [e for e in episodes if (e.suite, e.task_id) == (suite, task_id)]
        tasks[f"{suite}/{task_id}"] = {
            "task": own[0].task,
            "init_states": [e.init_state for e in own],
            "outcomes": "".join(LETTERS[e.status] for e in own),
            "steps": [e.steps for e in own],
            "queries": [e.queries for e in own],
            "kept_tokens_mean": [None if e.kept_tokens_mean is None else round(e.kept_tokens_mean, 2) for e in own],
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


def as_text(table: dict[str, object]) -> str:
    """JSON with one line a task: short, and a change shows where it is."""
    tasks = ",\n".join(f"  {json.dumps(name)}: {json.dumps(task)}" for name, task in table["tasks"].items())
    rest = json.dumps({key: value for key, value in table.items() if key != "tasks"}, indent=1, allow_nan=False)
    return rest.removesuffix("\n}") + ',\n "tasks": {\n' + tasks + "\n }\n}\n"


if __name__ == "__main__":
    main()
