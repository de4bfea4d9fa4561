"""The metrics of a query, declared once: source, unit, and aggregation over episodes, groups and tables.

A new metric is one entry in `METRICS`: the journal, `episodes.jsonl`, its JSON Schema, the totals of a run, the result table,
`compare` and docs/results-format.md follow.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from enum import Enum
from functools import cache
from typing import Optional

from msgspec import defstruct

from vla_bench.documents import Measure, typed
from vla_bench.query_record import QueryRecord

Values = Mapping[str, float | None]  # by key, such as "kept_tokens_mean"; unknown is None or absent


class Statistic(str, Enum):
    """Aggregation of many queries' values.  SD is the population's (divided by n)."""

    MEAN = "mean"
    SD = "sd"
    MIN = "min"
    MAX = "max"


MEAN, SD, MIN, MAX = Statistic


@dataclass(frozen=True)
class Metric:
    """One number of a query.

    name: its JSON keys are `name_mean`, `name_sd`, ...
    unit, about: for schema and docs.
    of: a query's value, None where the policy did not report it.
    episode: statistics in an episode's line.  group: statistics of many episodes, over all their queries.
    column: its heading in tables, None for no column.
    digits: decimals in tables, at most one above 100.
    beside: it has a column only where this other metric has a value.
    compared: it has a column in `compare`, too.
    decimals: rounding in JSON, None for none.
    """

    name: str
    unit: str
    about: str
    of: Callable[[QueryRecord], float | None]
    episode: tuple[Statistic, ...] = (MEAN,)
    group: tuple[Statistic, ...] = (MEAN,)
    column: str | None = None
    digits: int = 1
    beside: str | None = None
    compared: bool = False
    decimals: int | None = 3

    def key(self, statistic: Statistic) -> str:
        return f"{self.name}_{statistic.value}"

    def cell(self, values: Values) -> str:
        """As a table shows it: the mean, with the standard deviation where that is known."""
        mean, sd = values.get(self.key(MEAN)), values.get(self.key(SD))
        if mean is None:
            return "-"
        digits = min(self.digits, 1) if mean > 100 else self.digits
        return f"{mean:.{digits}f}" + ("" if sd is None else f" ± {sd:.{digits}f}")


def _stage(name: str) -> Callable[[QueryRecord], float | None]:
    return lambda query: query.stages_ms.get(name)


METRICS: tuple[Metric, ...] = (
    Metric(
        "kept_tokens",
        "tokens",
        "image tokens at the end of the decoder, of all cameras together",
        lambda query: None if query.kept is None else sum(query.kept),
        episode=(MEAN, SD, MIN, MAX),
        group=(MEAN, SD),
        column="tokens",
        compared=True,
        decimals=None,
    ),
    Metric(
        "gflops",
        "GFLOP",
        "cost in the scope `model`, one multiply-add being two FLOPs",
        lambda query: query.gflops,
        column="GFLOP",
        digits=3,
        compared=True,
        decimals=6,
    ),
    Metric(
        "policy_ms",
        "ms",
        "a query's share of its batch's time in the policy; not a benchmark",
        lambda query: query.policy_ms,
        column="ms",
        beside="kept_tokens",
    ),
    Metric("preprocess_ms", "ms", "preparing images and prompt, before the model", lambda query: query.preprocess_ms),
    Metric("model_ms", "ms", "all stages of the model together", lambda query: query.model_ms),
    Metric("vision_ms", "ms", "both vision towers and the projector", _stage("vision")),
    Metric("prune_ms", "ms", "the pruner, with the attention that it requests", _stage("prune")),
    Metric("decoder_ms", "ms", "the decoder's layers", _stage("decoder")),
    Metric("head_ms", "ms", "the action head", _stage("head")),
)


@cache
def _typed_values(keys: tuple[str, ...]) -> type:
    return defstruct("EpisodeValues", [(key, Optional[Measure], None) for key in keys])


def of_episode(queries: Sequence[QueryRecord]) -> dict[str, float | None]:
    """An episode's values from its queries."""
    values = {}
    for metric in METRICS:
        known = [value for query in queries if (value := metric.of(query)) is not None]
        for statistic in metric.episode:
            values[metric.key(statistic)] = _rounded(_statistic(statistic, known), metric.decimals)
    return values


def of_group(episodes: Iterable[tuple[int, Values]]) -> dict[str, float | None]:
    """Many episodes' values, over all their queries: of each episode the number of its queries, and its values."""
    episodes = list(episodes)
    return {metric.key(statistic): _pooled(metric, statistic, episodes) for metric in METRICS for statistic in metric.group}


def from_json(table: Mapping[str, object]) -> dict[str, float | None]:
    """An episode's values out of its JSON object; those that it does not hold are left out.  Raises ValueError."""
    keys = tuple(metric.key(statistic) for metric in METRICS for statistic in metric.episode)
    values = {key: table[key] for key in keys if key in table}
    typed(values, _typed_values(keys))
    return values


def group_keys() -> list[str]:
    """The keys of a group's values, such as the totals of a summary."""
    return [metric.key(statistic) for metric in METRICS for statistic in metric.group]


def group_values(table: Mapping[str, float | None]) -> dict[str, float | None]:
    """A group's values out of the totals of a summary that was read and checked."""
    return {key: table[key] for key in group_keys() if key in table}


def episode_keys() -> list[str]:
    """What a summary holds of every episode: enough for the columns of tables, of whichever episodes."""
    return [metric.key(statistic) for metric in METRICS if metric.column for statistic in metric.group]


def shown(groups: Sequence[Values], compared: bool = False) -> list[Metric]:
    """The metrics that have a column in a table of these groups; `compared`: in a table of runs."""
    known = {metric.name for metric in METRICS if any(group.get(metric.key(MEAN)) is not None for group in groups)}
    columns = [metric for metric in METRICS if metric.column and metric.name in known and (metric.compared or not compared)]
    return [metric for metric in columns if metric.beside is None or metric.beside in known]


def schema_properties() -> dict[str, dict]:
    """What an episode's JSON Schema says of them."""
    return {
        metric.key(statistic): {
            "type": ["number", "null"],
            "minimum": 0,
            "description": f"{statistic.value} over the episode's queries, in {metric.unit}: {metric.about}",
        }
        for metric in METRICS
        for statistic in metric.episode
    }


def reference() -> str:
    """The table of docs/results-format.md."""
    rows = [
        f"| `{metric.name}` | {metric.unit} | {', '.join(metric.episode)} | {', '.join(metric.group)} | {metric.about} |"
        for metric in METRICS
    ]
    return "\n".join(["| metric | unit | of an episode | of a group | |", "|---|---|---|---|---|", *rows]) + "\n"


def _statistic(statistic: Statistic, values: Sequence[float]) -> float | None:
    if not values:
        return None
    mean = sum(values) / len(values)
    if statistic is SD:
        return math.sqrt(sum((value - mean) ** 2 for value in values) / len(values))
    return {MEAN: mean, MIN: min(values), MAX: max(values)}[statistic]


def _pooled(metric: Metric, statistic: Statistic, episodes: Sequence[tuple[int, Values]]) -> float | None:
    """A statistic over all queries, from those of the episodes; None where an episode lacks the statistics that it needs."""
    means = [
        (queries, values[metric.key(MEAN)], values) for queries, values in episodes if values.get(metric.key(MEAN)) is not None
    ]
    total = sum(queries for queries, _, _ in means)
    if not total:
        return None
    if statistic in (MIN, MAX):
        known = [values.get(metric.key(statistic)) for _, _, values in means]
        return None if None in known else (min if statistic is MIN else max)(known)
    mean = sum(queries * value for queries, value, _ in means) / total
    if statistic is MEAN:
        return mean
    spreads = [values.get(metric.key(SD)) for _, _, values in means]
    if None in spreads:
        return None
    pairs = zip(means, spreads, strict=True)
    return math.sqrt(sum(queries * (sd**2 + (value - mean) ** 2) for (queries, value, _), sd in pairs) / total)


def _rounded(value: float | None, decimals: int | None) -> float | None:
    return value if value is None or decimals is None else round(value, decimals)
