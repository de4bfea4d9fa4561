"""The result schema: one `run.json` per run, one JSON line per finished episode, read back and checked.

A run folder holds

    run.json        command, configuration, suites, environment; status started | complete | interrupted
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
from collections.abc import Iterator
from dataclasses import asdict, dataclass, field, fields
from enum import Enum
from pathlib import Path
from typing import NamedTuple

from vla_bench.errors import RecordError
from vla_bench.metrics import from_json

SCHEMA_VERSION = 1


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
    task_id: int
    task: str
    init_state: int
    repeat: int
    init_hash: str | None
    status: Status
    steps: int  # control steps after settling
    queries: int
    attempts: int  # more than 1 when earlier ones ended in errors
    wall_s: float
    error: dict[str, str] | None = None  # {"type", "message"}
    video: str | None = None  # relative to the run folder
    state_hash: str | None = None  # of the last simulator state: equal hashes mean equal episodes
    started: str = ""
    ended: str = ""
    kept_tokens_by_camera: list[float] | None = None  # means over the queries; null for a policy without image tokens
    metrics: dict[str, float | None] = field(default_factory=dict)  # over the queries, by key as in `vla_bench.metrics`

    @property
    def key(self) -> EpisodeKey:
        return EpisodeKey(self.suite, self.task_id, self.init_state, self.repeat)

    def to_json(self) -> str:
        table = {f.name: getattr(self, f.name) for f in fields(self) if f.name != "metrics"}
        return json.dumps({**table, "status": self.status.value, **self.metrics}, allow_nan=False)

    @classmethod
    def from_json(cls, line: str) -> Episode:
        table = json.loads(line)
        names = {f.name for f in fields(cls)} - {"metrics"}
        known = {key: value for key, value in table.items() if key in names}
        return cls(**known | {"status": Status(table["status"]), "metrics": from_json(table)})


def config_hash(config: dict) -> str:
    """Hash of a configuration: two runs with equal hashes may share a folder."""
    return hashlib.sha256(json.dumps(config, sort_keys=True, allow_nan=False).encode()).hexdigest()


@dataclass
class Run:
    """`run.json`.  `config` has everything that decides an episode's outcome; the rest says where and when it ran."""

    run_id: str
    created: str
    command: str
    config: dict
    suites: dict[str, dict]
    assets: dict
    environment: dict
    git_commit: str | None
    status: str = "started"
    schema_version: int = SCHEMA_VERSION
    config_hash: str = field(init=False)

    def __post_init__(self):
        self.config_hash = config_hash(self.config)


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
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        with open(temporary, "w", encoding="utf-8") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RecordError(f"cannot write {path}: {error.strerror}", f"df -h {path.parent}") from error


def append_line(path: Path, line: str) -> None:
    """Append one line and wait until it is on the disk.

    A crash can leave half a line at the end of the file; the next append starts on a line of its own, and readers
    skip the half line.
    """
    try:
        with open(path, "ab+") as file:
            file.seek(0, os.SEEK_END)
            if file.tell():
                file.seek(-1, os.SEEK_END)
                if file.read(1) != b"\n":
                    file.write(b"\n")
            file.write(line.encode() + b"\n")
            file.flush()
            os.fsync(file.fileno())
    except OSError as error:
        raise RecordError(f"cannot record an episode in {path}: {error.strerror}", f"df -h {path.parent}") from error


def read_episodes(folder: Path) -> Iterator[Episode]:
    """The finished episodes of a run, in the order in which they ended; each key once.  Raises RecordError."""
    path = folder / "episodes.jsonl"
    if not path.exists():
        return
    seen: set[EpisodeKey] = set()
    lines = path.read_bytes().split(b"\n")
    for number, line in enumerate(lines, 1):
        if not line.strip():
            continue
        try:
            episode = Episode.from_json(line.decode())
        except (UnicodeDecodeError, json.JSONDecodeError):
            continue  # the half line of a crash: that episode was never finished
        except (KeyError, TypeError, ValueError, AttributeError) as error:
            raise RecordError(
                f"{path}:{number} is not an episode: {error}", f"vla-bench eval --fresh --out {folder} ..."
            ) from error
        if episode.key not in seen:
            seen.add(episode.key)
            yield episode


def read_run(folder: Path) -> Run | None:
    """`run.json` of a folder, or None where there is none.  Raises RecordError."""
    path = folder / "run.json"
    try:
        table = json.loads(path.read_text(encoding="utf-8"))
        recorded = table.pop("config_hash")
        run = Run(**table)
    except FileNotFoundError:
        return None
    except (OSError, ValueError, TypeError, KeyError, AttributeError) as error:
        raise RecordError(f"{path} cannot be read: {error}", f"vla-bench eval --fresh --out {folder} ...") from error
    if run.schema_version != SCHEMA_VERSION:
        raise RecordError(f"{path} has schema version {run.schema_version}; this vla-bench reads {SCHEMA_VERSION}")
    if recorded != run.config_hash:
        raise RecordError(
            f"{path} was changed by hand: its configuration does not match its hash", f"vla-bench eval --fresh --out {folder} ..."
        )
    return run


def write_run(folder: Path, run: Run) -> None:
    write_atomically(folder / "run.json", json.dumps(asdict(run), indent=2, allow_nan=False) + "\n")


def actions_file(folder: Path, key: EpisodeKey) -> Path:
    return folder / "actions" / f"{key}.npy"


def write_actions(folder: Path, key: EpisodeKey, actions) -> None:
    """Write the actions (T, 7) of an episode as float64: replaying them repeats it bit for bit.  Raises RecordError."""
    import numpy as np

    path = actions_file(folder, key)
    temporary = path.with_name(f".{path.name}.{os.getpid()}")
    try:
        path.parent.mkdir(exist_ok=True)
        with open(temporary, "wb") as file:
            np.save(file, np.asarray(actions, np.float64).reshape(-1, 7), allow_pickle=False)
        os.replace(temporary, path)
    except OSError as error:
        temporary.unlink(missing_ok=True)
        raise RecordError(f"cannot write {path}: {error.strerror}", f"df -h {folder}") from error


def read_actions(folder: Path, key: EpisodeKey):
    """The actions (T, 7) of a recorded episode.  Raises RecordError."""
    import numpy as np

    path = actions_file(folder, key)
    try:
        actions = np.load(path, allow_pickle=False)
    except (OSError, ValueError) as error:
        raise RecordError(f"no recorded actions of episode {key} in {folder}: {error}") from error
    if actions.ndim != 2 or actions.shape[1] != 7:
        raise RecordError(f"{path} has no actions: shape {actions.shape}")
    return actions
