"""The types of a summary file: what is read out of it, and within which bounds.  Fields that nothing reads are not named."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any, Literal, Optional

from msgspec import Struct, defstruct

from vla_bench.documents import Count, Measure, typed
from vla_bench.metrics import episode_keys, group_keys
from vla_bench.records import check_config
from vla_bench.suites import NAME

_TASK = re.compile(rf"({NAME.pattern})/(0|[1-9][0-9]{{0,5}})")

# Mean successes of repeats are fractions.  A metric may be missing in files of earlier versions.
_Group = defstruct(
    "_Group",
    [("successes", Measure), ("failures", Measure), ("kept_tokens_mean", Optional[Measure])]
    + [(key, Optional[Measure], None) for key in group_keys() if key != "kept_tokens_mean"],
)
_SuiteTotals = defstruct("_SuiteTotals", [("tasks", dict[str, _Group])], bases=(_Group,), kw_only=True)
_Totals = defstruct("_Totals", [("suites", dict[str, _SuiteTotals])], bases=(_Group,), kw_only=True)
_Task = defstruct(
    "_Task",
    [("task", str), ("outcomes", str)]
    + [(column, list[Count]) for column in ("init_states", "repeats", "steps", "queries")]
    + [(column, Optional[list[Optional[str]]], None) for column in ("init_hash", "state_hash")]
    + [(key, Optional[list[Optional[Measure]]], None) for key in episode_keys()],
)


class _Summary(Struct):
    command: str
    status: Literal["started", "complete", "interrupted", "stopped"]
    config_hash: str
    config: dict[str, Any]
    suites: dict[str, dict[str, Any]]
    totals: _Totals
    tasks: dict[str, _Task]
    planned: dict[str, str] | None = None


def check_types(table: Mapping[str, object]) -> None:
    """Raises ValueError for what is no summary."""
    checked = typed(table, _Summary)
    check_config(checked.config)
    for name, task in checked.tasks.items():
        if _TASK.fullmatch(name) is None:
            raise ValueError(f"{name!r:.60} is no task such as object/3")
        if task.outcomes == "":
            raise ValueError(f"{name} has no episodes")
