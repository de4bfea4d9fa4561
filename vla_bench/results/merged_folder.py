"""`vla-bench merge`: the folder of a run made of the folders of its parts."""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from vla_bench.documents import read_bytes
from vla_bench.errors import RecordError, UsageError
from vla_bench.files import discard, sweep, temporary_for
from vla_bench.folders import ERRORS
from vla_bench.queries import FILE as QUERIES
from vla_bench.queries import queries_line, read_queries
from vla_bench.records import EPISODES, Episode, EpisodeKey, actions_file, make_room, read_episodes, write_atomically, write_run
from vla_bench.results.merge import Recorded, merge, refuse_gaps


def merge_folders(folders: Sequence[Path], out: Path, partial: bool = False) -> Recorded:
    """Write the run of all these parts into the folder `out`, which must be new or empty: it appears whole or not at all.

    Episodes and queries stand in the order of their keys; actions and videos are hard links where the file system has them.
    partial: planned episodes may be missing; the run can be resumed.  Raises RecordError, NotComparableError, UsageError.
    """
    whole, episodes = merge(folders)
    if not partial:
        refuse_gaps(whole, episodes)
    if out.exists() and not (out.is_dir() and not any(out.iterdir())):
        raise UsageError(f"{out} exists", f"vla-bench merge {' '.join(map(str, folders))} OTHER_FOLDER")
    make_room(out)
    temporary = temporary_for(out)
    sweep(out.parent, re.escape(out.name))
    try:
        temporary.mkdir()
        _write_lines(folders, episodes, temporary)
        _link_files(folders, temporary)
        write_run(temporary, replace(whole, checksums=True))
        os.rename(temporary, out)
    except OSError as error:
        raise RecordError(f"cannot write {out}: {error}", f"df -h {out.parent}") from error
    finally:
        discard(temporary)  # there only after an error
    return whole, episodes


def _write_lines(folders: Sequence[Path], episodes: Sequence[Episode], out: Path) -> None:
    queries: dict[EpisodeKey, str] = {}
    for folder in folders:
        ended = {episode.key for episode in read_episodes(folder)}
        queries |= {key: queries_line(key, own) for key, own in read_queries(folder).items() if key in ended}
    write_atomically(out / EPISODES, "".join(episode.to_json() + "\n" for episode in episodes))
    if queries:
        write_atomically(out / QUERIES, "".join(queries[key] + "\n" for key in sorted(queries)))
    logs = [read_bytes(log).decode(errors="backslashreplace") for folder in folders if (log := folder / ERRORS).exists()]
    if logs:
        write_atomically(out / ERRORS, "".join(logs))


def _link_files(folders: Sequence[Path], out: Path) -> None:
    files: Mapping[Path, Path] = {
        new: file
        for folder in folders
        for episode in read_episodes(folder)
        for file, new in _files_of(folder, episode, out)
        if file.exists()
    }
    for new, file in files.items():
        new.parent.mkdir(exist_ok=True)
        try:
            os.link(file, new)
        except OSError:  # another file system, or one without links
            shutil.copy2(file, new)


def _files_of(folder: Path, episode: Episode, out: Path) -> list[tuple[Path, Path]]:
    """Actions, video and poster of an episode, and where they go."""
    files = [(actions_file(folder, episode.key), actions_file(out, episode.key))]
    if episode.video:
        films = [(folder / episode.video, out / episode.video)]
        files += films + [(old.with_suffix(".png"), new.with_suffix(".png")) for old, new in films]
    return files
