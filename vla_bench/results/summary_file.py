"""The summary of a run: a JSON file with the command, the configuration, the totals and the outcome of every episode."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from vla_bench.documents import LARGEST, read_object
from vla_bench.errors import DamagedRunError, RecordError, UsageError, nearest
from vla_bench.lines import CHECKSUM
from vla_bench.metrics import episode_keys
from vla_bench.planned import pack, unpack
from vla_bench.records import Episode, EpisodeKey, Run, make_room, read_episodes, read_run, write_atomically
from vla_bench.results.recorded_command import without_folders
from vla_bench.results.summary import summarise
from vla_bench.results.summary_check import content_checksum, contradiction, episodes_of
from vla_bench.results.summary_types import check_types
from vla_bench.results.units import LETTERS


def read_summary(path: Path) -> dict:
    """The summary of a run, from its folder or from a summary file.

    Raises RecordError; DamagedRunError for a file whose parts contradict each other, or its checksum.
    """
    if path.is_dir():
        return summary_of(*read_folder(path))
    if not path.exists():
        near = nearest(path.name, [each.name for each in path.parent.glob("*")])
        beside = next(folder for folder in path.absolute().parents if folder.is_dir())
        raise RecordError(f"{path} does not exist: it is neither a run folder nor a summary.{near}", f"ls {beside}")
    try:
        table = read_object(path, LARGEST)
        written = table.pop(CHECKSUM, None)
        check_types(table)
        unpack(table.get("planned") or {})
        episodes = episodes_of(table)
    except OSError as error:
        raise RecordError(f"{path} is not the summary of a run: {error.strerror}", f"vla-bench keep RUN {path}") from error
    except (ValueError, KeyError, TypeError, AttributeError) as error:
        raise RecordError(f"{path} is not the summary of a run: {error!r}", f"vla-bench keep RUN {path}") from error
    if (wrong := contradiction(table, episodes, written)) is not None:
        raise DamagedRunError(f"{path} is damaged: {wrong}", f"vla-bench keep RUN {path}")
    return table


def read_folder(folder: Path) -> tuple[Run, list[Episode]]:
    """A run and its episodes, in the order of their keys.  A run that lacks planned episodes is not complete, whatever it says.

    Raises RecordError; DamagedRunError for episodes that were never planned.
    """
    if not folder.is_dir():
        raise RecordError(f"{folder} is not a run folder", "vla-bench keep results/runs/ID FILE.json")
    if (run := read_run(folder)) is None:
        raise RecordError(f"{folder} holds no run", f"vla-bench eval --out {folder} ...")
    episodes = sorted(read_episodes(folder), key=lambda episode: episode.key)
    planned, recorded = run.planned_keys, {episode.key for episode in episodes}
    if planned is not None and (strange := sorted(recorded.difference(planned))):
        raise DamagedRunError(
            f"{folder} has an episode that was never planned: {strange[0]} ({len(strange)} in all)",
            f"vla-bench eval --fresh --out {folder} ...",
        )
    if run.status == "complete" and run.missing(recorded):
        run = replace(run, status="interrupted")
    return run, episodes


def part_of(run: Run, episodes: Sequence[Episode], keys: Sequence[EpisodeKey], every: bool = True) -> tuple[Run, list[Episode]]:
    """The run of the episodes with these keys: an episode depends on its own key only.  Raises RecordError.

    every: the run must have each of the keys; otherwise take all episodes that it has of their tasks, with repeats.
    """
    by_key = {episode.key: episode for episode in episodes}
    if not every:
        tasks = {(key.suite, key.task_id) for key in keys}
        keys = [key for key in by_key if (key.suite, key.task_id) in tasks] or keys
    if missing := [key for key in keys if key not in by_key]:
        raise RecordError(
            f"{run.run_id} lacks {len(missing)} of these {len(keys)} episodes; the first is {missing[0]}",
            "vla-bench eval with the run's own options and --out, and with these --suite, --tasks and --init-states",
        )
    planned = run.planned_keys
    if planned is not None:
        tasks = {(key.suite, key.task_id) for key in keys}
        planned = keys if every else [key for key in planned if (key.suite, key.task_id) in tasks]
        run = replace(run, planned=pack(planned))
    return run, [by_key[key] for key in keys]


def summary_of(run: Run, episodes: Sequence[Episode]) -> dict:
    """The summary as JSON: everything but the times of single episodes, the videos, and the machine's folders in the command."""
    tasks: dict[str, dict[str, object]] = {}
    for suite, task_id in dict.fromkeys((e.suite, e.task_id) for e in episodes):
        own = [e for e in episodes if (e.suite, e.task_id) == (suite, task_id)]
        tasks[f"{suite}/{task_id}"] = {
            "task": own[0].task,
            "init_states": [e.init_state for e in own],
            "init_hash": [e.init_hash for e in own],
            "repeats": [e.repeat for e in own],
            "outcomes": "".join(LETTERS[e.status] for e in own),
            "steps": [e.steps for e in own],
            "queries": [e.queries for e in own],
            "kept_tokens_mean": [_rounded(e.metrics.get("kept_tokens_mean")) for e in own],
        }
        for key in episode_keys():
            values = [_rounded(e.metrics.get(key)) for e in own]
            if any(value is not None for value in values):
                tasks[f"{suite}/{task_id}"][key] = values
        if any(e.repeat for e in own):  # which repeats are one episode
            tasks[f"{suite}/{task_id}"]["state_hash"] = [e.state_hash for e in own]
    stop = {"stop_rule": run.stop_rule, "stopped": run.stopped} if run.stop_rule else {}
    return {
        "command": without_folders(run.command),
        "created": run.created,
        "status": run.status,
        "git_commit": run.git_commit,
        "config_hash": run.config_hash,
        "config": run.config,
        "suites": run.suites,
        "assets": run.assets,
        "environment": run.environment,
        "planned": run.planned,
        **stop,
        "totals": summarise(episodes).to_dict(),
        "tasks": tasks,
    }


def _rounded(value: float | None) -> float | None:
    return None if value is None else round(value, 6)


def summary_text(table: dict) -> str:
    """JSON text with one line a task, short and easy to diff, and with a checksum."""
    table = table | {CHECKSUM: content_checksum(table)}
    tasks = ",\n".join(f"  {json.dumps(name)}: {json.dumps(task)}" for name, task in table["tasks"].items())
    rest = json.dumps({key: value for key, value in table.items() if key != "tasks"}, indent=1, allow_nan=False)
    return rest.removesuffix("\n}") + ',\n "tasks": {\n' + tasks + "\n }\n}\n"


def write_summary(path: Path, table: dict) -> None:
    """Replace `path` in one step.  Raises UsageError for a folder, RecordError where it cannot be written."""
    if path.is_dir():
        raise UsageError(f"{path} is a folder; the last argument must be the file to write", f"vla-bench keep {path} FILE.json")
    make_room(path)
    write_atomically(path, summary_text(table))
