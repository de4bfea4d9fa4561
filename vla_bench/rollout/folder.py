"""A run folder: opened, resumed or started over; locked while it is written."""

from __future__ import annotations

import os
from collections.abc import Collection, Sequence
from pathlib import Path

from vla_bench.errors import NotComparableError, RecordError
from vla_bench.locks import lock
from vla_bench.queries import QueryRecord, write_queries
from vla_bench.records import (
    Episode,
    EpisodeKey,
    Run,
    Status,
    append_line,
    read_episodes,
    read_run,
    write_actions,
    write_atomically,
    write_run,
)


class RunFolder:
    """The folder of one run.  Only the process that holds its lock writes to it."""

    def __init__(self, path: Path, run: Run, fresh: bool = False):
        self.path = path
        self.run = run
        self.replaced: Path | None = None
        try:
            path.mkdir(parents=True, exist_ok=True)
            self._lock = lock(path)
            if fresh and (path / "run.json").exists():
                self.replaced = _set_aside(path)
                self.close()
                path.mkdir(exist_ok=True)
                self._lock = lock(path)
        except OSError as error:
            raise RecordError(f"cannot use run folder {path}: {error.strerror}", f"df -h {path.parent}") from error
        before = read_run(path)
        if before is not None:
            if before.config_hash != run.config_hash:
                self.close()
                raise NotComparableError(
                    f"{path} holds a run of another configuration:\n" + "\n".join(differences(before.config, run.config)),
                    "choose another folder with --out, or start over with --fresh",
                )
            # The run that began here goes on: its identity stays, so that a resumed run looks like any other.
            self.run = before
        self.done: dict[EpisodeKey, Episode] = {e.key: e for e in read_episodes(path)}
        self.set_status("started")

    def set_status(self, status: str) -> None:
        self.run.status = status
        write_run(self.path, self.run)

    def add(self, episode: Episode, actions=None, answers: Sequence[QueryRecord] = ()) -> None:
        """Record a finished episode; its actions and queries first, so that a recorded episode always has them."""
        if actions is not None:
            write_actions(self.path, episode.key, actions)
        write_queries(self.path, episode.key, answers)
        append_line(self.path / "episodes.jsonl", episode.to_json())
        self.done[episode.key] = episode

    def forget_errors(self, keys: Collection[EpisodeKey]) -> None:
        """Those of `keys` that ended in errors were never measured: drop them, to be run again.  Their causes stay in the log."""
        again = {key for key in keys if key in self.done and self.done[key].status is Status.ERROR}
        if again:
            self.done = {key: episode for key, episode in self.done.items() if key not in again}
            self.write_text("episodes.jsonl", "".join(episode.to_json() + "\n" for episode in self.done.values()))

    def log_error(self, text: str) -> None:
        """Full traces of what went wrong, for whoever looks into it."""
        append_line(self.path / "errors.log", text.rstrip())

    def write_text(self, name: str, text: str) -> None:
        write_atomically(self.path / name, text)

    def close(self) -> None:
        if self._lock is not None:
            os.close(self._lock)
            self._lock = None


def differences(before: dict, now: dict, prefix: str = "") -> list[str]:
    """One line per value in which two configurations differ."""
    lines = []
    for key in sorted({*before, *now}):
        old, new, name = before.get(key), now.get(key), f"{prefix}{key}"
        if isinstance(old, dict) and isinstance(new, dict):
            lines += differences(old, new, f"{name}.")
        elif old != new:
            lines.append(f"  {name}: {old!r} there, {new!r} now")
    return lines


def _set_aside(path: Path) -> Path:
    """Rename the folder: starting over loses nothing."""
    number = 1
    while (aside := path.with_name(f"{path.name}.old{number}")).exists():
        number += 1
    os.rename(path, aside)
    return aside
