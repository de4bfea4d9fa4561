"""The data of the page's episode browser: every episode of every run, with its film, its picture and the image tokens it kept."""

from __future__ import annotations

import base64
import os
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path
from urllib.parse import quote

from vla_bench.errors import VlaBenchError
from vla_bench.query_record import QueryRecord
from vla_bench.records import Episode, EpisodeKey
from vla_bench.report.page.thumbnails import thumbnail
from vla_bench.results.reported import ReportedRun, comparable_groups
from vla_bench.results.summary_check import episodes_of
from vla_bench.results.units import LETTERS
from vla_bench.suites import instruction_of

ROOM = 3_600_000  # bytes of the page for what is most of it: pictures and kept tokens of single queries
PICTURES = 0.6  # of the room


@dataclass
class Room:
    """Bytes that are left.  left_out: how many things had no room."""

    bytes: float
    left_out: int = 0

    def take(self, size: int) -> bool:
        if size > self.bytes:
            self.left_out += 1
            return False
        self.bytes -= size
        return True


@dataclass
class Browser:
    """As the page's script reads it.

    tasks: suite, number, instruction.  episodes: place of the task, init state, repeat; in the order of their keys.
    outcomes: of each run one entry an episode, [letter, control steps, queries, mean image tokens], or null.
    details: of each run by the episode's place, what only some have: film, picture, kept, at, error.
    groups: of each run the number of those that it can be compared with.  missing: what is not there, and why.
    """

    tasks: list[list[object]]
    episodes: list[list[int]]
    outcomes: list[list[list[object] | None]]
    details: list[dict[int, dict[str, object]]]
    groups: list[int]
    missing: list[str] = field(default_factory=list)


def browser(runs: Sequence[ReportedRun], folder: Path) -> Browser:
    """folder: of the page, from which films are linked.  Raises nothing that concerns one run alone: that is in `missing`."""
    missing: list[str] = []
    recorded = [{each.key: each for each in _episodes(run, missing)} for run in runs]
    keys = sorted({key for own in recorded for key in own})
    names = {(each.suite, each.task_id): each.task for own in recorded for each in own.values()}
    places = {task: place for place, task in enumerate(sorted(names))}
    tasks: list[list[object]] = [[suite, number, instruction_of(suite, number, names[suite, number])] for suite, number in places]
    outcomes = [[_outcome(own.get(key)) for key in keys] for own in recorded]
    details: list[dict[int, dict[str, object]]] = [{} for _ in runs]
    found = Browser(
        tasks, [[places[key[:2]], key.init_state, key.repeat] for key in keys], outcomes, details, _groups(runs), missing
    )
    _add_films(found, runs, keys, recorded, folder)
    _add_kept(found, runs, keys, recorded)
    return found


def _episodes(run: ReportedRun, missing: list[str]) -> list[Episode]:
    """From the folder, which tells of films and errors; else as far as the summary tells."""
    if run.folders:
        try:
            return run.source.read()[1]
        except VlaBenchError as error:  # changed since it was first read
            missing.append(f"{run.name}: {error.message}")
    else:
        missing.append(f"{run.name} is a summary: it has no films, and no image tokens of single queries")
    return episodes_of(run.summary)


def _outcome(episode: Episode | None) -> list[object] | None:
    if episode is None:
        return None
    kept = episode.metrics.get("kept_tokens_mean")
    return [LETTERS[episode.status], episode.steps, episode.queries, None if kept is None else round(kept, 1)]


def _groups(runs: Sequence[ReportedRun]) -> list[int]:
    numbers = {run.name: place for place, (group, _) in enumerate(comparable_groups(runs)) for run in group}
    return [numbers[run.name] for run in runs]


def _add_films(
    found: Browser,
    runs: Sequence[ReportedRun],
    keys: Sequence[EpisodeKey],
    recorded: Sequence[dict[EpisodeKey, Episode]],
    folder: Path,
) -> None:
    """Films are links, pictures are in the page; episode by episode, so that runs stand side by side to where the room ends."""
    room, gone = Room(PICTURES * ROOM), [0] * len(runs)
    for place, key in enumerate(keys):
        for number, (run, own) in enumerate(zip(runs, recorded, strict=True)):
            if not run.folders or (episode := own.get(key)) is None:
                continue
            detail: dict[str, object] = {}
            if episode.error is not None:
                detail["error"] = ": ".join(str(text)[:500] for text in episode.error.values())
            if episode.video is not None:
                if (film := run.source.film(episode)) is not None:
                    detail["film"] = link(film, folder)
                    _add_picture(detail, film.with_suffix(".png"), room)
                else:
                    gone[number] += 1
            if detail:
                found.details[number][place] = detail
    found.missing += [
        f"{run.name}, films that are not in their folder: {count}" for run, count in zip(runs, gone, strict=True) if count
    ]
    found.missing += [
        f"{run.name} has no films (vla-bench eval --video all)"
        for run, details in zip(runs, found.details, strict=True)
        if run.folders and not any("film" in detail for detail in details.values())
    ]
    if room.left_out:
        found.missing.append(f"{room.left_out} pictures, to keep the page small; their films are linked")


def _add_picture(detail: dict[str, object], path: Path, room: Room) -> None:
    # Without room nothing is read: pictures of thousands of episodes would take longer than all the rest.
    if not path.is_file():
        return
    if room.left_out:
        room.left_out += 1
    elif (picture := thumbnail(path)) is not None:
        text = base64.b64encode(picture).decode()
        if room.take(len(text)):
            detail["picture"] = text


def link(path: Path, folder: Path) -> str:
    """A relative address, which no name of a file can turn into another kind of address."""
    return "./" + quote(os.path.relpath(path.resolve(), folder.resolve()))


def _add_kept(
    found: Browser, runs: Sequence[ReportedRun], keys: Sequence[EpisodeKey], recorded: Sequence[dict[EpisodeKey, Episode]]
) -> None:
    """kept: image tokens of each query.  at: their control steps."""
    room, places = Room((1 - PICTURES) * ROOM), {key: place for place, key in enumerate(keys)}
    for number, (run, own) in enumerate(zip(runs, recorded, strict=True)):
        if not run.folders or run.pruner is None:
            continue
        try:
            queries = dict(run.source.queries())
        except VlaBenchError as error:
            found.missing.append(f"{run.name}, image tokens of single queries: {error.message}")
            continue
        for key in own:
            series = _series(queries.get(key, ()))
            if series is not None and room.take(sum(len(str(each)) for each in series.values())):
                found.details[number].setdefault(places[key], {}).update(series)
    if room.left_out:
        found.missing.append(f"image tokens of single queries of {room.left_out} episodes, to keep the page small")


def _series(queries: Sequence[QueryRecord]) -> dict[str, list[int]] | None:
    known = [query for query in queries if query.kept is not None]
    return {"at": [query.step for query in known], "kept": [sum(query.kept or ()) for query in known]} if known else None
