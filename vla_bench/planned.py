"""The planned episodes of a run in short: init states by task, as {"object/0": "0-49,0-1r1"} with repeat 1 of the first two."""

from __future__ import annotations

import re
from collections.abc import Iterable, Mapping
from itertools import groupby

Key = tuple[str, int, int, int]  # suite, task id, init state, repeat

MOST = 1_000_000  # episodes of a run; all suites with all init states have 2,000
_TASK = re.compile(r"(.+)/([0-9]{1,6})", re.DOTALL)
_ITEM = re.compile(r"([0-9]{1,6})(?:-([0-9]{1,6}))?(?:r([1-9][0-9]{0,5}))?")


def pack(keys: Iterable[Key]) -> dict[str, str]:
    """Tasks in the order in which they first occur; per task ranges of init states, each with `rN` behind it for repeat N."""
    by_task: dict[str, set[tuple[int, int]]] = {}
    for suite, task_id, init_state, repeat in keys:
        by_task.setdefault(f"{suite}/{task_id}", set()).add((repeat, init_state))
    return {task: ",".join(_ranges(sorted(own))) for task, own in by_task.items()}


def _ranges(starts: list[tuple[int, int]]) -> list[str]:
    """Of (repeat, init state) in order."""
    items = []
    for (repeat, _), run in groupby(enumerate(starts), lambda each: (each[1][0], each[1][1] - each[0])):
        states = [state for _, (_, state) in run]
        text = f"{states[0]}" if len(states) == 1 else f"{states[0]}-{states[-1]}"
        items.append(f"{text}r{repeat}" if repeat else text)
    return items


def unpack(table: Mapping[str, str]) -> list[Key]:
    """The inverse of `pack`.  Raises ValueError, also for more than a million episodes."""
    keys: list[Key] = []
    for task, text in table.items():
        name = _TASK.fullmatch(task)
        if name is None or not isinstance(text, str):
            raise ValueError(f"planned {task!r:.60}: {text!r:.60} is not a task with its init states")
        for item in text.split(","):
            if (match := _ITEM.fullmatch(item)) is None:
                raise ValueError(f"planned {task!r:.60}: {item!r:.60} is not a range of init states such as 0-49")
            first, last, repeat = int(match[1]), int(match[2] or match[1]), int(match[3] or 0)
            if len(keys) + last - first >= MOST:
                raise ValueError(f"planned {task!r:.60}: more than {MOST:,} episodes")
            keys += [(name[1], int(name[2]), state, repeat) for state in range(first, last + 1)]
    return keys
