"""Which episodes of a run are filmed, and what is said of those that cannot be."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from vla_bench.errors import ExitCode, RecordError, VlaBenchError
from vla_bench.overlay.recording import Recording, read_recording
from vla_bench.queries import read_queries
from vla_bench.records import Episode, EpisodeKey, Run, Status
from vla_bench.results.named_episodes import named_episodes
from vla_bench.results.summary_file import read_folder
from vla_bench.values import Video


@dataclass
class Selected:
    """recordings: of the episodes to film.  notes: what is missing, to be said to the user.  exit_code: the first reason's."""

    run: Run
    recordings: dict[EpisodeKey, Recording] = field(default_factory=dict)
    notes: list[str] = field(default_factory=list)
    exit_code: int = ExitCode.DONE

    def lacks(self, what: str, exit_code: int) -> None:
        self.notes.append(what)
        self.exit_code = self.exit_code or exit_code


def select_recordings(folder: Path, episodes: str, leave_out: Collection[str] = ()) -> Selected:
    """episodes: "all", "failures", or names as `long-t8-i00`, with commas.  leave_out: names of films that are made already.

    Raises RecordError for what is no run, DamagedRunError, and UsageError for episodes that it does not have.
    """
    run, recorded = read_folder(folder)
    if not recorded:
        raise RecordError(f"{folder} has no finished episode", f"vla-bench eval --out {folder} with the run's own options")
    found = Selected(run)
    queries = read_queries(folder)
    by_name = episodes not in (Video.ALL, Video.FAILURES)
    for episode in _chosen(recorded, episodes, folder):
        if episode.status is Status.ERROR:
            code = ExitCode.ERROR_BUDGET if by_name else ExitCode.DONE
            found.lacks(f"{episode.key} ended in an error ({_error(episode)}): there is nothing to replay", code)
            continue
        try:
            recording = read_recording(folder, episode, queries.get(episode.key, ()), run.config.get("policy") or {})
        except VlaBenchError as error:
            found.lacks(error.message, error.exit_code)
            continue
        if recording.name not in leave_out:
            found.recordings[episode.key] = recording
            found.notes += [recording.missing] if recording.missing else []
    if all(episode.status is Status.ERROR for episode in recorded):
        found.exit_code = ExitCode.ERROR_BUDGET
    if missing := run.missing({episode.key for episode in recorded}):
        found.notes.append(f"{len(missing)} planned episodes have not run yet, the first is {missing[0]}")
    return found


def _chosen(recorded: Sequence[Episode], text: str, folder: Path) -> list[Episode]:
    if text == Video.ALL:
        return list(recorded)
    if text == Video.FAILURES:
        return [episode for episode in recorded if episode.status is Status.FAILURE]
    return named_episodes(recorded, text, folder, f"vla-bench overlay {folder} --episodes {recorded[0].key}")


def _error(episode: Episode) -> str:
    error = episode.error or {}
    return f"{error.get('type')}: {error.get('message')}"
