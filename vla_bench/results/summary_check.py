"""Whether a summary file is whole: its checksum, its totals against its episodes, its configuration against its hash."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping, Sequence
from itertools import zip_longest

from vla_bench.lines import checksum
from vla_bench.metrics import episode_keys, from_json
from vla_bench.planned import unpack
from vla_bench.records import Episode, EpisodeKey, config_hash
from vla_bench.results.summary import summarise
from vla_bench.results.units import OUTCOMES

# What of a group's totals follows from the episodes in the file, and how far the two may be apart: episodes' metrics are rounded,
# and in older files only the tokens are there, to two decimals.
EXACT, ROUNDED, TOKENS = 1e-9, 1e-4, 0.0051
RECOMPUTED = dict.fromkeys(("episodes", "successes", "failures", "errors", "rate", "interval", "steps_mean"), EXACT)


def content_checksum(table: Mapping) -> str:
    """Of a summary's content, however it is laid out in a file."""
    return checksum(json.dumps(table, sort_keys=True, allow_nan=False))


def episodes_of(table: Mapping) -> list[Episode]:
    """The episodes of a summary, as far as it tells.  Raises KeyError, TypeError or ValueError for what cannot be."""
    found: dict[EpisodeKey, Episode] = {}
    for name, task in table["tasks"].items():
        suite, _, task_id = name.rpartition("/")
        count = len(task["outcomes"])
        columns = {key: task[key] for key in ("init_states", "repeats", "outcomes", "steps", "queries")}
        metrics = {key: task.get(key, [None] * count) for key in episode_keys()}
        columns |= {key: task.get(key, [None] * count) for key in ("state_hash", "init_hash")} | metrics
        if wrong := [key for key, column in columns.items() if len(column) != count]:
            raise ValueError(f"{name}: {len(columns[wrong[0]])} {wrong[0]} of {count} episodes")
        for init_state, repeat, letter, steps, queries, state_hash, init_hash, *values in zip(*columns.values(), strict=True):
            if letter not in OUTCOMES:
                raise ValueError(f"{name}: outcomes {task['outcomes']!r}")
            counts = (init_state, repeat, steps, queries)
            if any(type(number) is not int or number < 0 for number in counts) or not (steps or letter == "e"):
                raise ValueError(f"{name}: an episode with init state, repeat, steps, queries {counts}")
            where = {"suite": suite, "task_id": int(task_id), "task": task["task"], "init_state": init_state, "repeat": repeat}
            how = {"status": OUTCOMES[letter], "steps": steps, "queries": queries, "attempts": 1, "wall_s": 0.0}
            how |= {
                "init_hash": init_hash,
                "state_hash": state_hash,
                "metrics": from_json(dict(zip(metrics, values, strict=True))),
            }
            episode = Episode(**where, **how)
            if episode.key in found:
                raise ValueError(f"{name}: two episodes {episode.key}")
            found[episode.key] = episode
    return list(found.values())


def contradiction(table: Mapping, episodes: Sequence[Episode], written: str | None) -> str | None:
    """What in a summary contradicts the rest of it; None where nothing does.

    episodes: from `episodes_of`.  written: its checksum; None in files from before there was one.
    """
    if written is not None and written != content_checksum(table):
        return "its checksum does not match"
    if table["config_hash"] != config_hash(table["config"]):
        return "config_hash is not that of its config"
    if table["status"] == "complete" and table.get("planned") is not None:
        keys = {episode.key for episode in episodes}
        if missing := [key for key in unpack(table["planned"]) if key not in keys]:
            return f"it says complete, and lacks {EpisodeKey(*missing[0])}"
    return _other_totals(summarise(episodes).to_dict(), table["totals"], "totals")


def _other_totals(found: Mapping, said: Mapping, place: str) -> str | None:
    """The first of the totals, as "totals.suites.object.successes", that is not what follows from the episodes."""
    apart_at_most = RECOMPUTED | {key: ROUNDED for key in episode_keys() if found[key] is not None} | {"kept_tokens_mean": TOKENS}
    for key, apart in apart_at_most.items():
        if not _equal(found[key], said.get(key), apart):
            return f"{place}.{key} is {said.get(key)}, and {found[key]} by its episodes"
    for level in ("suites", "tasks"):
        if level in found:
            if found[level].keys() != said.get(level, {}).keys():
                return f"{place}.{level} are {sorted(said.get(level, {}))}, and {sorted(found[level])} by its episodes"
            for name, group in found[level].items():
                if (other := _other_totals(group, said[level][name], f"{place}.{level}.{name}")) is not None:
                    return other
    return None


def _equal(found: object, said: object, apart: float) -> bool:
    if isinstance(found, list):
        return isinstance(said, list) and all(_equal(one, two, apart) for one, two in zip_longest(found, said))
    if isinstance(found, (int, float)) and isinstance(said, (int, float)):
        return math.isclose(found, said, rel_tol=0, abs_tol=apart)
    return found == said
