"""All that a run says of itself, as `vla-bench show` prints it: what ran and how far, what went wrong, and how to go on."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import cached_property
from pathlib import Path

from vla_bench.errors import RecordError, UsageError
from vla_bench.query_record import QueryRecord
from vla_bench.records import Episode, EpisodeKey, Run
from vla_bench.results.named_episodes import named_episodes
from vla_bench.results.resume import resume_command
from vla_bench.results.sources import Source, source
from vla_bench.results.summary import Summary, summarise
from vla_bench.results.sweep_file import is_sweep
from vla_bench.results.units import Key, planned_units
from vla_bench.suites import instruction_of


@dataclass(frozen=True)
class Cause:
    """Errors of one kind and with one message, and the episodes that ended in it."""

    type: str
    message: str
    episodes: list[EpisodeKey]

    def to_dict(self) -> dict[str, object]:
        return asdict(self) | {"episodes": list(map(str, self.episodes))}


@dataclass(frozen=True)
class WholeRun:
    """A run folder, or a summary, which knows of no errors' causes, films and times."""

    source: Source
    run: Run
    episodes: list[Episode]

    @cached_property
    def summary(self) -> Summary:
        return summarise(self.episodes)

    @property
    def planned(self) -> set[Key] | None:
        return planned_units(self.run.planned)

    @property
    def until(self) -> str:
        """When the last episode ended; empty where that is not recorded."""
        return max((episode.ended for episode in self.episodes), default="")

    @property
    def instructions(self) -> dict[tuple[str, int], str]:
        """By suite and task id."""
        return {(each.suite, each.task_id): instruction_of(each.suite, each.task_id, each.task) for each in self.episodes}

    @property
    def causes(self) -> list[Cause]:
        """The most frequent first."""
        found: dict[tuple[str, str], list[EpisodeKey]] = {}
        for episode in self.episodes:
            if episode.error is not None:
                found.setdefault((episode.error.get("type", ""), episode.error.get("message", "")), []).append(episode.key)
        return sorted((Cause(*cause, keys) for cause, keys in found.items()), key=lambda cause: -len(cause.episodes))

    @property
    def films(self) -> list[Path]:
        """Those of its episodes that are there."""
        return [film for each in self.episodes if (film := self.source.film(each)) is not None]

    @property
    def errors_log(self) -> Path | None:
        """The traces of its errors; None where there are none."""
        return next((path for folder in self.source.folders if (path := folder / "errors.log").is_file()), None)

    @property
    def resume(self) -> str | None:
        """The command that runs what is missing; None where nothing is, or for a summary."""
        missing = self.run.status != "complete" or any(episode.error is not None for episode in self.episodes)
        return resume_command(self.run, self.source.path) if self.source.folders and missing else None

    def episode(self, name: str) -> tuple[Episode, list[QueryRecord]]:
        """One by its name, such as `long-t8-i00`, with its queries.  Raises UsageError; DamagedRunError for the queries."""
        if not self.episodes:
            raise RecordError(f"{self.source.path} has no finished episode", self.resume)
        fix = f"vla-bench show {self.source.path} --episode {self.episodes[0].key}"
        (found,) = named_episodes(self.episodes, name, self.source.path, fix)[:1]
        return found, dict(self.source.queries()).get(found.key, [])

    def to_dict(self) -> dict[str, object]:
        about = asdict(self.run) | {"path": str(self.source.path), "until": self.until, "totals": self.summary.to_dict()}
        causes, films = [cause.to_dict() for cause in self.causes], list(map(str, self.films))
        return about | {"causes": causes, "films": films, "resume": self.resume}


def whole_run(path: Path) -> WholeRun:
    """Raises UsageError for a folder of several runs, RecordError for what is no run, DamagedRunError."""
    if is_sweep(path) and not (path / "run.json").exists():
        raise UsageError(f"{path} is a sweep, and `show` is of one run", f"vla-bench runs {path}")
    if path.is_dir() and not (path / "run.json").exists():
        raise RecordError(f"{path} holds no run", f"vla-bench runs {path}, which looks further down")
    found = source(path)
    return WholeRun(found, *found.read())
