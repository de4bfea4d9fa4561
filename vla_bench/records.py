"""The result schema: one `run.json` per run, one JSON line per finished episode, read back and checked.

A run folder holds

    run.json        command, configuration, suites, environment; status started | complete | interrupted | stopped
    episodes.jsonl  append-only, one line per finished episode: the only source of truth
    queries.jsonl   the queries of every episode (`vla_bench.queries`)
    actions/        the actions of every episode, for `replay` and for videos
    videos/         recordings and their poster images

Aggregates are never stored here: they are recomputed from the episodes.
"""

from __future__ import annotations

import hashlib
import json
import os
import re
from collections.abc import Collection, Iterator, Mapping
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import Any, Literal, NamedTuple, TypedDict

from msgspec import Struct

from vla_bench.documents import AtLeastOne, Count, Measure, read_object, refuse_unknown, typed
from vla_bench.errors import DamagedRunError, RecordError
from vla_bench.files import discard, temporary_for
from vla_bench.lines import append_line, damaged, parse, read_lines, with_checksum
from vla_bench.metrics import from_json
from vla_bench.planned import unpack
from vla_bench.suites import NAME

SCHEMA_VERSION = 1
EPISODES = "episodes.jsonl"
VIDEO = re.compile(r"videos/[^/]+\.mp4")


class Status(str, Enum):
    """How an episode ended.  An `error` says nothing about the policy and never counts as a failure."""

    SUCCESS = "success"
    FAILURE = "failure"
    ERROR = "error"


class EpisodeKey(NamedTuple):
    """Identity of an episode: equal keys are paired in comparisons.  `suite` is its short name."""

    suite: str
    task_id: int
    init_state: int
    repeat: int = 0

    def __str__(self) -> str:
        tail = f"-r{self.repeat}" if self.repeat else ""
        return f"{self.suite}-t{self.task_id}-i{self.init_state:02d}{tail}"


@dataclass(frozen=True)
class Episode:
    """One finished episode: a line of `episodes.jsonl`.  Units are in the names; unknown is null, never NaN."""

    suite: str
    task_id: Count
    task: str
    init_state: Count
    repeat: Count
    init_hash: str | None
    status: Status
    steps: Count  # control steps after settling
    queries: Count
    attempts: AtLeastOne  # more than 1 when earlier ones ended in errors
    wall_s: Measure
    error: dict[str, str] | None = None  # {"type", "message"}
    video: str | None = None  # relative to the run folder
    state_hash: str | None = None  # of the last simulator state: equal hashes mean equal episodes
    started: str = ""
    ended: str = ""
    kept_tokens_by_camera: list[Measure] | None = None  # means over the queries; null for a policy without image tokens
    metrics: dict[str, Measure | None] = field(default_factory=dict)  # over the queries, by key as in `vla_bench.metrics`

    @property
    def key(self) -> EpisodeKey:
        return EpisodeKey(self.suite, self.task_id, self.init_state, self.repeat)

    def to_json(self) -> str:
        table = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "metrics"}
        return with_checksum(json.dumps({**table, "status": self.status.value, **self.metrics}, allow_nan=False))

    @property
    def ending(self) -> tuple[str, int, str | None]:
        """How it ended: status, steps, hash of the last state."""
        return self.status.value, self.steps, self.state_hash

    @classmethod
    def from_json(cls, line: str) -> Episode:
        """The inverse of `to_json`.  Raises KeyError, TypeError or ValueError for what cannot be an episode."""
        return cls.from_dict(parse(line))

    @classmethod
    def from_dict(cls, table: Mapping) -> Episode:
        names, metrics = {f.name for f in fields(cls)} - {"metrics"}, from_json(table)
        refuse_unknown(table, names | metrics.keys())
        known = {key: value for key, value in table.items() if key in names}
        episode = typed(known | {"metrics": metrics}, cls)
        episode._check()
        return episode

    def _check(self) -> None:
        """Raises ValueError for values that no episode has."""
        ended = self.status is not Status.ERROR
        wrong = ["steps"] if ended and not self.steps else []
        wrong += [] if NAME.fullmatch(self.suite) else ["suite"]
        wrong += [] if self.task else ["task"]
        wrong += [] if self.video is None or VIDEO.fullmatch(self.video) else ["video"]
        wrong += ["error"] if (self.error is None) != ended else []
        if ended:
            hashes = ("init_hash", "state_hash")
            wrong += [name for name in hashes if not re.fullmatch("[0-9a-f]{16}", str(getattr(self, name)))]
        if wrong:
            raise ValueError(f"{wrong[0]} is {getattr(self, wrong[0])!r:.60} in an episode with status {self.status.value}")


class _Policy(Struct):
    visual_tokens: AtLeastOne | None = None
    unnorm_keys: dict[str, str | None] | None = None


class _Config(Struct):
    """What is read out of a configuration, beside what is merely compared."""

    model: str = ""
    suites: dict[str, str] = {}
    init_states: dict[str, str] = {}
    policy: _Policy | None = None


def check_config(config: Mapping[str, object]) -> None:
    """Raises ValueError for a configuration whose values are not of the types that readers take them for."""
    typed(config, _Config)


def config_hash(config: dict) -> str:
    """Hash of a configuration: two runs with equal hashes may share a folder."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, allow_nan=False).encode()).hexdigest()


class Shard(TypedDict):
    """Which part of a run, as "2/8", and the plan of the whole."""

    number: str
    whole: dict[str, str]


@dataclass
class Run:
    """`run.json`.  `config` has everything that decides an episode's outcome; the rest says where and when it ran.

    planned: every episode that was ever asked of this folder, as `vla_bench.planned` writes them; None in runs from
        before it was recorded: unknown.
    checksums: whether every line of its files has one; not in runs from before there were any.
    shard: {"number": "2/8", "whole": what is planned for all shards together}; None for a run that is no shard.
    parts: where each part of a merged run comes from.
    stop_rule, stopped: of a run that may be stopped early, what decides; and how it did (`vla_bench.results.early_stop`).
    """

    run_id: str
    created: str
    command: str
    config: dict[str, Any]
    suites: dict[str, dict[str, Any]]
    assets: dict[str, Any]
    environment: dict[str, Any]
    git_commit: str | None
    status: Literal["started", "complete", "interrupted", "stopped"] = "started"
    schema_version: int = SCHEMA_VERSION
    planned: dict[str, str] | None = None
    shard: Shard | None = None
    parts: list[dict[str, Any]] | None = None
    checksums: bool = True
    stop_rule: dict | None = None
    stopped: dict | None = None
    config_hash: str = field(init=False)

    def __post_init__(self):
        self.config_hash = config_hash(self.config)

    @property
    def model(self) -> str:
        return str(self.config.get("model", ""))

    @property
    def pruner(self) -> str | None:
        """As its policy named it, "none" for the dense model; None for a script, which has no image tokens."""
        return (self.config.get("policy") or {}).get("pruner")

    @property
    def planned_keys(self) -> list[EpisodeKey] | None:
        """None where unknown.  Raises ValueError."""
        return None if self.planned is None else [EpisodeKey(*key) for key in unpack(self.planned)]

    @property
    def whole_keys(self) -> list[EpisodeKey] | None:
        """What is planned for this run, or for the whole of which it is a shard.  Raises ValueError."""
        if self.planned is None or self.shard is None:
            return self.planned_keys
        return sorted({*self.planned_keys, *(EpisodeKey(*key) for key in unpack(self.shard["whole"]))})

    def missing(self, recorded: Collection[EpisodeKey]) -> list[EpisodeKey]:
        """The planned episodes that are not among those recorded; none where the plan is unknown."""
        return [key for key in self.planned_keys or () if key not in recorded]


def make_room(path: Path | None) -> None:
    """Create the folder of an output file, before anything is measured.  Raises RecordError."""
    if path is None:
        return
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
    except OSError as error:
        raise RecordError(f"cannot create {path.parent}: {error.strerror}", f"ls -ld {path.parent}") from error


def write_atomically(path: Path, text: str) -> None:
    """Replace `path` in one step: a reader sees the old text or the new one, also after a crash.  Raises RecordError."""
    temporary = temporary_for(path)
    try:
        with open(temporary, "w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        discard(temporary)
        raise RecordError(f"cannot write {path}: {error.strerror}", f"df -h {path.parent}") from error


def write_episode(folder: Path, episode: Episode) -> None:
    """Append the episode's line.  Raises RecordError."""
    append_line(folder / EPISODES, episode.to_json())


def read_episodes(folder: Path) -> Iterator[Episode]:
    """The finished episodes of a run, in the order in which they ended; each key once.

    Raises DamagedRunError for a line that is no episode, or a second one of an episode that ended otherwise.
    """
    path = folder / EPISODES
    seen: dict[EpisodeKey, tuple[int, tuple]] = {}
    for number, table in read_lines(path, has_checksums(folder)):
        try:
            episode = Episode.from_dict(table)
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise damaged(path, number, f"is not an episode: {error}") from error
        first, ending = seen.setdefault(episode.key, (number, episode.ending))
        if ending != episode.ending:
            what = f"is a second outcome of {episode.key}: {episode.ending}, but {ending} in line {first}"
            raise damaged(path, number, what)
        if first == number:
            yield episode


def read_run(folder: Path) -> Run | None:
    """`run.json` of a folder, or None where there is none.  Raises DamagedRunError, and RecordError for another version."""
    path = folder / "run.json"
    try:
        table = {"checksums": False} | read_object(path)
        refuse_unknown(table, Run.__dataclass_fields__)
        recorded = table["config_hash"]
        run = typed(table, Run)
        check_config(run.config)
        run.whole_keys  # noqa: B018  raises for what is no plan
        if not all(table is None or isinstance(table, dict) for table in (run.stop_rule, run.stopped)):
            raise ValueError(f"stop rule {run.stop_rule!r}, stopped {run.stopped!r}")
    except FileNotFoundError:
        return None
    except OSError as error:
        raise RecordError(f"cannot read {path}: {error.strerror}", f"ls -l {path}") from error
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise DamagedRunError(f"{path} cannot be read: {error}", f"vla-bench eval --fresh --out {folder} ...") from error
    if run.schema_version != SCHEMA_VERSION:
        raise RecordError(f"{path} has schema version {run.schema_version}; this vla-bench reads {SCHEMA_VERSION}")
    if recorded != run.config_hash:
        raise DamagedRunError(
            f"{path} was changed by hand: its configuration does not match its hash", f"vla-bench eval --fresh --out {folder} ..."
        )
    return run


def has_checksums(folder: Path) -> bool:
    """Whether every line of the run's files has a checksum; not known without a `run.json`.  Raises RecordError."""
    run = read_run(folder)
    return run is not None and run.checksums


def write_run(folder: Path, run: Run) -> None:
    write_atomically(folder / "run.json", json.dumps(asdict(run), indent=2, allow_nan=False) + "\n")


def actions_file(folder: Path, key: EpisodeKey) -> Path:
    return folder / "actions" / f"{key}.npy"


def write_actions(folder: Path, key: EpisodeKey, actions) -> None:
    """Write the actions (T, 7) of an episode as float64: replaying them repeats it bit for bit.  Raises RecordError."""
    import numpy as np

    path = actions_file(folder, key)
    temporary = temporary_for(path)
    try:
        path.parent.mkdir(exist_ok=True)
        with open(temporary, "wb") as file:
            np.save(file, np.asarray(actions, np.float64).reshape(-1, 7), allow_pickle=False)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        discard(temporary)
        raise RecordError(f"cannot write {path}: {error.strerror}", f"df -h {folder}") from error


def read_actions(folder: Path, key: EpisodeKey):
    """The actions (T, 7) of a recorded episode.  Raises RecordError."""
    import numpy as np

    from vla_bench.arrays import read_array

    path = actions_file(folder, key)
    try:
        actions = read_array(path)
    except (OSError, ValueError) as error:
        raise RecordError(f"no recorded actions of episode {key} in {folder}: {error}") from error
    if actions.ndim != 2 or actions.shape[1] != 7 or actions.dtype.kind != "f":
        raise RecordError(f"{path} has no actions: shape {actions.shape}, {actions.dtype}")
    if not np.isfinite(actions).all():
        raise RecordError(f"{path} has an action that is not finite")
    return actions
