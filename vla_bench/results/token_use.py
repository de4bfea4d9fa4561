"""Which image tokens a run kept: by query of an episode, and by patch of each camera, from the traces in `queries.jsonl`."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field

from vla_bench.query_record import QueryRecord
from vla_bench.results.sources import Source


@dataclass
class TokenUse:
    """Of the queries of all episodes that ended without an error.

    queries: their number.  passes: those whose image tokens are known.
    kept: by number of the query in its episode, from 0, the image tokens kept, one entry an episode.
    counts: image tokens of a query -> queries.
    traced: queries that recorded which patches.  used: for each camera, of each patch the queries that kept it.
    kept_by_camera: for each camera the patches that each traced query kept.
    """

    queries: int = 0
    passes: int = 0
    kept: list[list[int]] = field(default_factory=list)
    counts: Counter[int] = field(default_factory=Counter)
    traced: int = 0
    used: list[list[int]] = field(default_factory=list)
    kept_by_camera: list[list[int]] = field(default_factory=list)


def token_use(source: Source, visual_tokens: int | None) -> TokenUse:
    """visual_tokens: image tokens before pruning, of all cameras; None leaves out where the patches were.

    Raises RecordError; DamagedRunError for lines that are no queries.
    """
    found = TokenUse()
    for _, queries in source.queries():
        _count(found, queries, visual_tokens)
    return found


def camera_names(suite: Mapping, count: int) -> list[str]:
    """Of the `count` cameras that a model saw: those of the suite, as `run.json` has it, where it has as many."""
    names = suite.get("cameras") or []
    known = isinstance(names, (list, tuple)) and len(names) == count
    return list(map(str, names)) if known else [f"camera {place}" for place in range(count)]


def _count(found: TokenUse, queries: Sequence[QueryRecord], visual_tokens: int | None) -> None:
    for place, query in enumerate(queries):
        found.queries += 1
        if query.kept is None:
            continue
        found.passes += 1
        while place >= len(found.kept):
            found.kept.append([])
        found.kept[place].append(sum(query.kept))
        found.counts[sum(query.kept)] += 1
        if query.trace is not None and visual_tokens:
            cameras = len(query.kept)
            _mark(found, query.trace.kept_ids(cameras, visual_tokens // cameras), visual_tokens // cameras)


def _mark(found: TokenUse, ids: Sequence[Sequence[int]], patches: int) -> None:
    if not found.used:
        found.used, found.kept_by_camera = [[0] * patches for _ in ids], [[] for _ in ids]
    found.traced += 1
    for used, kept, own in zip(found.used, found.kept_by_camera, ids, strict=True):
        kept.append(len(own))
        for patch in own:
            used[patch] += 1
