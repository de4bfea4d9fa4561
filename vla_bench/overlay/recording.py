"""What an overlay film is made of: an episode's actions, and which patches each of its queries kept, as its run recorded them."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla_bench.errors import DamagedRunError
from vla_bench.query_record import QueryRecord
from vla_bench.records import Episode, EpisodeKey, Status, read_actions
from vla_bench.trace import unpack

NOT_RECORDED = "which patches: not recorded"
NO_TOKENS = "no image tokens"


@dataclass(frozen=True)
class CameraPatches:
    """Of one camera and query, (side, side) bool each: patches that reached the end of the decoder; places of merged tokens."""

    kept: np.ndarray
    merged: np.ndarray


@dataclass(frozen=True)
class KeptTokens:
    """What one query kept.

    kept: image tokens at the end of the decoder, by camera of the model.
    patches: likewise; None where the run does not say which.
    cached: a cached action answered, and no image was read.
    reused: pruned tokens are still attended to, with keys and values of an earlier query.
    """

    step: int
    kept: tuple[int, ...]
    patches: tuple[CameraPatches, ...] | None
    cached: bool = False
    reused: bool = False


@dataclass(frozen=True)
class Recording:
    """An episode that can be filmed.

    actions: (T, 7).  queries: those that say how many image tokens were kept, by step; none for a policy without image tokens.
    cameras: how many the model has; 0 for such a policy.  side: patches in a row; None where unknown.
    camera_size: pixels of the frames that the model's pictures are made of; None for the suite's.  crop: whether it crops them.
    """

    key: EpisodeKey
    status: Status
    init_hash: str | None
    state_hash: str | None
    actions: np.ndarray
    queries: tuple[KeptTokens, ...]
    side: int | None
    camera_size: int | None
    crop: bool

    @property
    def name(self) -> str:
        return f"{self.key}-{self.status.value}"

    @property
    def cameras(self) -> int:
        return len(self.queries[0].kept) if self.queries else 0

    @property
    def missing(self) -> str | None:
        """What a film of it lacks, to be said to the user; None where it is whole."""
        if not self.queries:
            return f"{self.key}: {NO_TOKENS} in its record: the lower row stays empty"
        if any(query.patches is None for query in self.queries):
            return f"{self.key}: {NOT_RECORDED}: nothing is dimmed there"
        return None

    def query_at(self, step: int) -> KeptTokens | None:
        """The last query at or before `step`, whose choice stands until the next one."""
        return next((query for query in reversed(self.queries) if query.step <= step), None)


def read_recording(folder: Path, episode: Episode, queries: Sequence[QueryRecord], policy: Mapping[str, object]) -> Recording:
    """policy: as `run.json` has it.  Raises RecordError without recorded actions; DamagedRunError where parts do not fit."""
    actions = read_actions(folder, episode.key)
    fix = f"vla-bench doctor {folder} --repair"
    if len(actions) != episode.steps or not np.isfinite(actions).all():
        raise DamagedRunError(f"{episode.key} has {episode.steps} steps and {len(actions)} usable recorded actions", fix)
    counted = [query for query in queries if query.kept is not None]
    side = _side(policy.get("visual_tokens"), counted)
    try:
        kept = tuple(_kept_tokens(query, side) for query in counted)
    except (ValueError, IndexError) as error:
        raise DamagedRunError(f"{episode.key} has masks that do not fit its model: {error}", fix) from error
    ending = (episode.status, episode.init_hash, episode.state_hash)
    size, crop = policy.get("camera_size"), policy.get("center_crop") is True
    return Recording(episode.key, *ending, actions, kept, side, size if isinstance(size, int) else None, crop)


def _side(visual_tokens: object, queries: Sequence[QueryRecord]) -> int | None:
    if not isinstance(visual_tokens, int) or not queries:
        return None
    patches = visual_tokens // len(queries[0].kept)
    return side if (side := math.isqrt(patches)) ** 2 == patches else None


def _kept_tokens(query: QueryRecord, side: int | None) -> KeptTokens:
    cached = not any(query.kept) and query.trace is None
    reused = query.trace is not None and any(cut.reused for cut in query.trace.cuts)
    if side is None or (query.trace is None and not cached):
        return KeptTokens(query.step, query.kept, None, cached, reused)
    cameras, patches = len(query.kept), side * side
    kept = [[]] * cameras if cached else query.trace.kept_ids(cameras, patches)
    masks = () if query.trace is None else query.trace.merged or ()
    merged = [unpack(mask) for mask in masks] or [[]] * cameras
    both = zip(kept, merged, strict=True)
    return KeptTokens(
        query.step, query.kept, tuple(CameraPatches(_grid(k, side), _grid(m, side)) for k, m in both), cached, reused
    )


def _grid(ids: Sequence[int], side: int) -> np.ndarray:
    grid = np.zeros(side * side, bool)
    grid[ids] = True
    return grid.reshape(side, side)
