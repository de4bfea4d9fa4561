"""The record of every query: `queries.jsonl` of a run folder, one line per episode.

The line is written before the episode's own, so that a recorded episode always has it.  An interrupted or repeated
episode leaves an earlier line; the last one of an episode counts.  A policy that reports nothing writes no file.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from pathlib import Path

from vla_bench.documents import Count, refuse_unknown, typed
from vla_bench.lines import append_line, damaged, read_lines, with_checksum
from vla_bench.query_record import QueryRecord
from vla_bench.records import EpisodeKey, has_checksums

FILE = "queries.jsonl"


def write_queries(folder: Path, key: EpisodeKey, queries: Sequence[QueryRecord]) -> None:
    """Append the episode's line, if the policy reported anything.  Raises RecordError."""
    if any(query.reported for query in queries):
        append_line(folder / FILE, queries_line(key, queries))


def queries_line(key: EpisodeKey, queries: Sequence[QueryRecord]) -> str:
    """A line of `queries.jsonl`."""
    line = {**key._asdict(), "queries": [query.to_dict() for query in queries]}
    return with_checksum(json.dumps(line, allow_nan=False, separators=(",", ":")))


def from_line(table: Mapping) -> tuple[EpisodeKey, list[QueryRecord]]:
    """The inverse of `queries_line`, from the line's JSON value.  Raises KeyError, TypeError, ValueError or AttributeError."""
    refuse_unknown(table, (*EpisodeKey._fields, "queries"))
    key = EpisodeKey(*typed([table[name] for name in EpisodeKey._fields], tuple[str, Count, Count, Count]))
    return key, [QueryRecord.from_dict(query) for query in table["queries"]]


def read_queries(folder: Path) -> dict[EpisodeKey, list[QueryRecord]]:
    """The queries of every episode that has a line, finished or not: `read_episodes` says which are.  Raises DamagedRunError."""
    path = folder / FILE
    by_episode: dict[EpisodeKey, list[QueryRecord]] = {}
    for number, table in read_lines(path, has_checksums(folder)):
        try:
            key, queries = from_line(table)
            by_episode[key] = queries
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(path, number, f"is not an episode's queries: {error!r}") from error
    return by_episode
