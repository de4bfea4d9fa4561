"""Pairs the episodes that vla-eval recorded with those of a run.

python paired.py pack FOLDER                # writes the embedded asset pack to a folder
python paired.py pairs VLA_EVAL_OUT RUN     # outcomes side by side, and how far the first chunks are apart
"""

from __future__ import annotations

import json
import sqlite3
import sys
from pathlib import Path

import numpy as np

from vla_bench.records import EpisodeKey, Status, read_actions, read_episodes
from vla_bench.world.primitives import files

CHUNK = 8
CLOSE = 1e-6
# vla-eval rounds the axis-angle to float32, which alone moves an action of nano by up to 2e-6.
TOLERANCE = 5e-6


def recorded(folder: Path) -> dict[tuple[int, int], tuple[bool, np.ndarray]]:
    """By task and init state: whether it was a success, and the actions (T, 7) float32.  Errors are left out."""
    found = {}
    for path in sorted(folder.glob("recording-*.sqlite")):
        store = sqlite3.connect(f"file:{path}?mode=ro", uri=True)
        for eid, status, context in store.execute("SELECT eid, status, context FROM episode_results").fetchall():
            if status != "error":
                rows = store.execute("SELECT fields FROM step_rows WHERE eid = ? ORDER BY step_id", (eid,)).fetchall()
                about = json.loads(context)
                actions = np.array([json.loads(fields)["action"] for (fields,) in rows])
                found[about["task_id"], about["episode_idx"]] = status == "success", actions
        store.close()
    return found


def pairs(there: Path, run: Path) -> None:
    theirs, apart, table = recorded(there), [], {}
    for episode in read_episodes(run):
        key = episode.task_id, episode.init_state
        if key in theirs and episode.status in (Status.SUCCESS, Status.FAILURE):
            success, actions = theirs[key]
            own = read_actions(run, EpisodeKey(episode.suite, *key, episode.repeat))
            apart.append(float(np.abs(own[:CHUNK] - actions[:CHUNK]).max()))
            ended = (episode.status is Status.SUCCESS, success)
            table[ended] = table.get(ended, 0) + 1
            ends = f"here {ended[0]} in {len(own)} steps, vla-eval {success} in {len(actions)}"
            print(f"task {key[0]} init state {key[1]}: {ends}, first chunks {apart[-1]:.1e} apart")
    for (own, other), count in sorted(table.items()):
        print(f"{count:3} episodes: here {'success' if own else 'failure'}, vla-eval {'success' if other else 'failure'}")
    print(f"first chunks within {CLOSE:g}: {sum(each <= CLOSE for each in apart)} of {len(apart)}")
    assert apart and max(apart) <= TOLERANCE, f"first chunks are {max(apart, default=np.nan):.1e} apart"


def main() -> None:
    what, first, *rest = sys.argv[1:]
    if what == "pairs":
        return pairs(Path(first), Path(rest[0]))
    for name, content in files().items():
        path = Path(first) / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(content)


if __name__ == "__main__":
    main()
