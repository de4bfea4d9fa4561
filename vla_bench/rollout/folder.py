"""A run folder: opened, resumed or started over; locked while it is written."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from pathlib import Path

from vla_bench.errors import NotComparableError, VlaBenchError
from vla_bench.files import sweep
from vla_bench.folders import DEMOS, KINDS, RUN, OutputFolder
from vla_bench.planned import pack, unpack
from vla_bench.queries import write_queries
from vla_bench.query_record import QueryRecord
from vla_bench.records import (
    EPISODES,
    Episode,
    EpisodeKey,
    Run,
    Status,
    read_episodes,
    read_run,
    write_actions,
    write_episode,
    write_run,
)
from vla_bench.results.stopped import STOPPED

OTHER_FOLDER = "choose another folder with --out, or start over with --fresh"


class RunFolder(OutputFolder):
    """The folder of one run.  Only the process that holds its lock writes to it.

    done: the finished episodes.  replaced: where `fresh` moved the earlier run; None where there was none.
    Raises RecordError, NotComparableError.
    """

    def __init__(self, path: Path, run: Run, fresh: bool = False):
        super().__init__(path)
        try:
            self.replaced = self.set_aside() if fresh and self._holds_run() else None
            self.refuse_foreign(RUN, OTHER_FOLDER)
            for own in ("actions", "videos"):
                sweep(path / own, age_s=0)
            before = read_run(path)
            if before is not None:
                self.refuse_other("a run", before.config, run.config, OTHER_FOLDER)
                self._refuse_other_shard(before, run)
                self._refuse_other_stop_rule(before, run)
            self.done: dict[EpisodeKey, Episode] = {e.key: e for e in read_episodes(path)}
            # A resumed run keeps its run.json; what is asked for is added to its plan.
            self.run = before or run
            self.run.planned, self.run.shard = self._planned(before, run), self._shard(before, run)
            self.run.stop_rule = run.stop_rule or self.run.stop_rule
            self.set_status("started")
        except VlaBenchError:
            self.close()
            raise

    def _holds_run(self) -> bool:
        """Whether there is anything of a run, and nothing else: demonstrations are never moved."""
        there = {about: any((self.path / name).exists() for name in (about, *own)) for about, (_, own) in KINDS.items()}
        return there[RUN] and not there[DEMOS]

    def _refuse_other_shard(self, before: Run, now: Run) -> None:
        if before.shard and now.shard and (there := before.shard["number"]) != (asked := now.shard["number"]):
            raise NotComparableError(
                f"{self.path} holds shard {there}, not {asked}", "choose another folder with --out, or leave --shard out"
            )

    def _refuse_other_stop_rule(self, before: Run, now: Run) -> None:
        """A rule that is changed after looking, or an order that is, promises nothing."""
        if before.stop_rule and now.stop_rule:
            rules = [{key: value for key, value in run.stop_rule.items() if key != "base"} for run in (before, now)]
            fix = "give the run's own --against, --alpha, --must-see and episodes, or choose another folder with --out"
            self.refuse_other("a run with a stop rule", *rules, fix)

    @staticmethod
    def _shard(before: Run | None, now: Run) -> dict | None:
        """A folder stays a shard while nothing else is asked of it."""
        if before is None or before.shard is None or now.shard is None:
            return now.shard if before is None else None
        wholes = (unpack(run.shard["whole"]) for run in (before, now))
        return {"number": now.shard["number"], "whole": pack(sorted({key for keys in wholes for key in keys}))}

    def _planned(self, before: Run | None, now: Run) -> dict[str, str] | None:
        if before is None or now.planned is None:
            return now.planned
        earlier = self.done if before.planned_keys is None else before.planned_keys
        return pack(sorted({*earlier, *now.planned_keys}))

    def end(self, complete: bool, stopped: dict | None = None) -> None:
        """Record how this call ended.  complete: all of its episodes ended; a complete run has all that were ever planned.

        stopped: the verdict by which the run was stopped early.
        """
        self.run.stopped = stopped or self.run.stopped
        whole = complete and not self.run.missing(self.done)
        self.set_status("complete" if whole else STOPPED if stopped else "interrupted")

    def set_status(self, status: str) -> None:
        self.run.status = status
        write_run(self.path, self.run)

    def add(self, episode: Episode, actions=None, queries: Sequence[QueryRecord] = ()) -> None:
        """Record a finished episode; its actions and queries first, so that a recorded episode always has them."""
        if actions is not None:
            write_actions(self.path, episode.key, actions)
        write_queries(self.path, episode.key, queries)
        write_episode(self.path, episode)
        self.done[episode.key] = episode

    def forget_errors(self, keys: Collection[EpisodeKey]) -> None:
        """Drop the episodes among `keys` that ended in errors, to run them again.  Their errors stay in the log."""
        again = {key for key in keys if key in self.done and self.done[key].status is Status.ERROR}
        if again:
            self.done = {key: episode for key, episode in self.done.items() if key not in again}
            self.write_text(EPISODES, "".join(episode.to_json() + "\n" for episode in self.done.values()))
