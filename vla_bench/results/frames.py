"""Runs as tidy tables for pandas: one row an episode, and one row a query.

The columns are listed in docs/analysis.md.  pandas is imported when `load` is called, and is an extra: `vla-bench[analysis]`.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path
from typing import TYPE_CHECKING

from vla_bench.errors import UsageError, VlaBenchError
from vla_bench.metrics import METRICS
from vla_bench.query_record import QueryRecord
from vla_bench.records import Episode, EpisodeKey, Run, Status
from vla_bench.results.comparison import run_names
from vla_bench.results.sources import Source, sources_in
from vla_bench.results.token_use import camera_names
from vla_bench.suites import instruction_of

if TYPE_CHECKING:
    from pandas import DataFrame

KEY = ("run", "suite", "task_id", "init_state", "repeat")  # of an episode in both tables
EPISODE = (*KEY, "model", "pruner", "instruction", "status", "success", "steps", "queries")
TEXTS = ("model", "pruner", "error_type", "error_message", "film")  # of which whole columns may be missing
RECORDED = ("attempts", "wall_s", "error_type", "error_message", "film", "started", "ended")  # unknown in summaries
KEPT = "kept_tokens"  # beside it one column a camera, such as kept_tokens_agentview
QUERY = (*KEY, "query", "step", "prompt_tokens", *(metric.name for metric in METRICS))


@dataclass(frozen=True)
class Frames:
    """runs: name, source, run and episodes of each.  The tables are made when they are first asked for."""

    runs: list[tuple[str, Source, Run, list[Episode]]]

    @cached_property
    def episodes(self) -> DataFrame:
        """One row an episode, those that ended in errors, too; their `success` is missing, not False."""
        import pandas as pd

        rows = [_episode(name, *about, each) for name, *about, episodes in self.runs for each in episodes]
        metrics = [metric.key(statistic) for metric in METRICS for statistic in metric.episode]
        table = pd.DataFrame(rows, columns=[*EPISODE, *RECORDED, *metrics])
        for name in ("started", "ended"):
            table[name] = pd.to_datetime(table[name], utc=True, format="ISO8601").dt.as_unit("us")
        kinds = {"success": "boolean", "attempts": "Int64", "wall_s": float} | dict.fromkeys(TEXTS, "string")
        return table.astype(kinds | dict.fromkeys(metrics, float))

    @cached_property
    def queries(self) -> DataFrame:
        """One row a query of every episode that ended without an error; of run folders alone, whose queries are recorded.

        Raises RecordError, DamagedRunError.
        """
        import pandas as pd

        rows = [row for name, source, run, _ in self.runs for row in _queries(name, source, run)]
        cameras = dict.fromkeys(column for row in rows for column in row if column not in QUERY)
        table = pd.DataFrame(rows, columns=[*QUERY, *cameras])
        counts = dict.fromkeys(("prompt_tokens", KEPT, *cameras), "Int64")
        return table.astype(dict.fromkeys((metric.name for metric in METRICS), float) | counts)


def load(*runs: str | os.PathLike[str]) -> Frames:
    """Run folders, summaries, folders of runs and of sweeps, read as strictly as by every command.

    A run's name is the last part of its path, or the whole path where two are the same.  Raises VlaBenchError without pandas,
    UsageError without a run, RecordError, DamagedRunError, NotComparableError.
    """
    try:
        import pandas  # noqa: F401
    except ImportError as error:
        raise VlaBenchError("tables of runs need pandas, which is not installed", "pip install 'vla-bench[analysis]'") from error
    if not runs:
        raise UsageError("load takes a run", 'vla_bench.results.load("results/runs/ID")')
    sources = list(dict.fromkeys(source for path in runs for source in sources_in(Path(path))))
    names = run_names([source.path for source in sources])
    return Frames([(name, source, *source.read()) for name, source in zip(names, sources, strict=True)])


def _episode(name: str, source: Source, run: Run, episode: Episode) -> dict[str, object]:
    ended = episode.status is not Status.ERROR
    row: dict[str, object] = {"run": name, **episode.key._asdict(), "model": run.model, "pruner": run.pruner}
    row |= {
        "instruction": instruction_of(episode.suite, episode.task_id, episode.task),
        "status": episode.status.value,
        "steps": episode.steps,
    }
    row |= {"success": episode.status is Status.SUCCESS if ended else None, "queries": episode.queries, **episode.metrics}
    if source.folders:
        error, film = episode.error or {}, source.film(episode)
        row |= {"attempts": episode.attempts, "wall_s": episode.wall_s, "film": film and str(film)}
        row |= {"error_type": error.get("type"), "error_message": error.get("message")}
        row |= {"started": episode.started or None, "ended": episode.ended or None}
    return row


def _queries(name: str, source: Source, run: Run) -> Iterator[dict[str, object]]:
    for key, queries in source.queries():
        for place, query in enumerate(queries):
            yield {"run": name, **key._asdict(), "query": place, **_query(query, run, key)}


def _query(query: QueryRecord, run: Run, key: EpisodeKey) -> dict[str, object]:
    row: dict[str, object] = {"step": query.step, "prompt_tokens": query.prompt_tokens}
    row |= {metric.name: metric.of(query) for metric in METRICS}
    kept = query.kept or ()
    names = camera_names(run.suites.get(key.suite, {}), len(kept))
    return row | {f"{KEPT}_{camera.replace(' ', '_')}": count for camera, count in zip(names, kept, strict=True)}
