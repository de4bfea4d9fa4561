"""What is damaged or missing in a run folder, by file and line.  Reads everything and changes nothing.

Damage is what makes a number wrong, or cannot be used where it is needed.  What is merely missing, such as episodes that have not
run yet or a deleted video, is a note: no rate depends on it.
"""

from __future__ import annotations

import shlex
from dataclasses import dataclass, field
from pathlib import Path

from vla_bench.errors import DamagedRunError, ExitCode, RecordError
from vla_bench.lines import parse, split_lines
from vla_bench.queries import FILE as QUERIES
from vla_bench.queries import from_line
from vla_bench.records import EPISODES, Episode, EpisodeKey, Run, Status, actions_file, read_actions, read_run
from vla_bench.results.summary_check import episodes_of
from vla_bench.results.summary_file import read_summary

NOT_ONE = (KeyError, TypeError, ValueError, AttributeError)  # of a line that is no episode, or no queries
TORN, DAMAGED = ".torn", ".damaged"
FRESH = "vla-bench eval --fresh --out {} ..., which keeps what is there in a folder beside"


@dataclass(frozen=True)
class Damage:
    """One thing that is wrong.  file: relative to the run folder.  line: from 1; None for a whole file."""

    file: str
    line: int | None
    what: str

    def __str__(self) -> str:
        return f"{self.file}{'' if self.line is None else f':{self.line}'} {self.what}"


@dataclass
class Examination:
    """The state of a run folder.

    run: None where `run.json` cannot be read.
    episodes: by key; in the end those alone that are whole.
    lines: of each episode in `episodes.jsonl`.
    bad: lines that cannot stay, by file: damaged ones, and those of episodes whose queries or actions are lost.
    """

    folder: Path
    run: Run | None
    damage: list[Damage] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)
    episodes: dict[EpisodeKey, Episode] = field(default_factory=dict)
    lines: dict[EpisodeKey, list[int]] = field(default_factory=dict)
    bad: dict[str, set[int]] = field(default_factory=lambda: {EPISODES: set(), QUERIES: set()})

    @property
    def exit_code(self) -> int:
        return ExitCode.NOT_COMPARABLE if self.damage else ExitCode.DONE

    @property
    def fix(self) -> str | None:
        """The command that mends the damage; None where there is none."""
        if not self.damage:
            return None
        place = shlex.quote(str(self.folder))
        if self.folder.is_file():
            return f"vla-bench keep RUN {place}"
        return FRESH.format(place) if self.run is None else f"vla-bench doctor {place} --repair"

    def add(self, file: str, line: int | None, what: str, episode: EpisodeKey | None = None) -> None:
        """Note a damage.  episode: the one that must run again, if that is known."""
        self.damage.append(Damage(file, line, what))
        if line is not None:
            self.bad[file].add(line)
        if episode is not None:
            self.bad[EPISODES].update(self.lines[episode])

    def to_dict(self) -> dict[str, object]:
        damage = [vars(each) for each in self.damage]
        return {
            "run": str(self.folder),
            "whole_episodes": len(self.episodes),
            "damage": damage,
            "notes": self.notes,
            "fix": self.fix,
        }


def examine(folder: Path) -> Examination:
    """Look at every file of a run folder, or at a summary.  Raises RecordError where there is no run."""
    if folder.is_file():
        return _summary(folder)
    if not (folder / "run.json").exists():
        raise RecordError(f"{folder} holds no run", f"vla-bench eval --out {folder} ...")
    try:
        found = Examination(folder, read_run(folder))
    except RecordError as error:
        found = Examination(folder, None)
        found.add("run.json", None, error.message.removeprefix(f"{folder / 'run.json'} "))
    _episodes(found)
    _queries(found)
    _actions(found)
    found.episodes = {key: each for key, each in found.episodes.items() if not found.bad[EPISODES].intersection(found.lines[key])}
    _missing(found)
    return found


def _summary(path: Path) -> Examination:
    found = Examination(path, None)
    try:
        found.episodes = {episode.key: episode for episode in episodes_of(read_summary(path))}
    except DamagedRunError as error:
        found.add(path.name, None, error.message.removeprefix(f"{path} "))
    return found


def _lines(found: Examination, name: str) -> list[tuple[int, object]]:
    """The readable lines of a file, and notes of its half lines."""
    lines, half = split_lines(found.folder / name)
    tables = []
    for number, line in lines:
        try:
            tables.append((number, parse(line, found.run is not None and found.run.checksums)))
        except ValueError as error:
            found.add(name, number, f"is damaged: {error}")
    if half:
        found.notes.append(f"{name} ends in half a line, which a crash left; the next episode moves it to {name}{TORN}")
    for suffix, what in ((TORN, "half lines of crashes"), (DAMAGED, "lines that a repair set aside")):
        if (aside := found.folder / f"{name}{suffix}").exists():
            found.notes.append(f"{aside.name} has {what}: {len(aside.read_bytes().splitlines())}")
    return tables


def _episodes(found: Examination) -> None:
    planned = None if found.run is None or found.run.planned is None else {*found.run.planned_keys}
    contradicted: list[tuple[int, EpisodeKey]] = []
    for number, table in _lines(found, EPISODES):
        try:
            episode = Episode.from_dict(table)
        except NOT_ONE as error:
            found.add(EPISODES, number, f"is not an episode: {error}")
            continue
        key = episode.key
        if planned is not None and key not in planned:
            found.add(EPISODES, number, f"is an episode that was never planned: {key}")
            continue
        found.lines.setdefault(key, []).append(number)
        if found.episodes.setdefault(key, episode).ending != episode.ending:
            contradicted.append((number, key))
    for number, key in contradicted:
        found.add(EPISODES, number, f"is a second outcome of {key}: there is another in line {found.lines[key][0]}", key)


def _queries(found: Examination) -> None:
    counts: dict[EpisodeKey, int] = {}
    for number, table in _lines(found, QUERIES):
        try:
            key, queries = from_line(table)
        except NOT_ONE as error:
            found.add(QUERIES, number, f"is not an episode's queries: {error!r}")
        else:
            counts[key] = len(queries)
    if not (found.folder / QUERIES).exists():
        return
    for key, episode in found.episodes.items():
        if episode.status is not Status.ERROR and counts.get(key, 0) != episode.queries:
            what = f"is {key} with {episode.queries} queries, of which {QUERIES} has {counts.get(key, 0)}"
            found.add(EPISODES, found.lines[key][0], what, key)


def _actions(found: Examination) -> None:
    ended = {key: episode for key, episode in found.episodes.items() if episode.status is not Status.ERROR}
    if ended and not actions_file(found.folder, next(iter(ended))).parent.is_dir():
        found.notes.append("there are no actions: the run cannot be replayed")
        return
    for key, episode in ended.items():
        path = actions_file(found.folder, key)
        try:
            actions = read_actions(found.folder, key)
        except RecordError as error:
            what = f"cannot be read: {error.message}" if path.exists() else "is missing"
        else:
            if actions.dtype == "float64" and len(actions) == episode.steps:
                continue
            what = f"has {len(actions)} actions of type {actions.dtype}, and its episode {episode.steps} steps"
        found.add(path.relative_to(found.folder).as_posix(), None, what, key)


def _missing(found: Examination) -> None:
    episodes = found.episodes.values()
    if errors := sum(episode.status is Status.ERROR for episode in episodes):
        found.notes.append(f"{errors} episodes ended in errors: missing, not failures; the same command runs them again")
    films = [episode.video for episode in episodes if episode.video and not (found.folder / episode.video).is_file()]
    if films:
        found.notes.append(f"{len(films)} videos are named but not there, the first is {films[0]}")
    if found.run is not None and (missing := found.run.missing(found.episodes)):
        planned = len(found.run.planned_keys or ())
        found.notes.append(f"{len(missing)} of {planned} planned episodes are not there, the first is {missing[0]}")
