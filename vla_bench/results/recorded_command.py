"""The commands that made a run, as its record has them."""

from __future__ import annotations

import shlex
from pathlib import PurePath

AND = "&&"  # between those of a merged run


def commands(text: str) -> list[list[str]]:
    """The words of each command.  Raises ValueError for what no shell can read."""
    found: list[list[str]] = [[]]
    for word in shlex.split(text):
        if word == AND:
            found.append([])
        else:
            found[-1].append(word)
    return found


def joined(found: list[list[str]]) -> str:
    """The inverse of `commands`."""
    return f" {AND} ".join(map(shlex.join, found))


def without_folders(text: str) -> str:
    """The commands with the last part alone of every absolute path: where its folder was on one machine is nobody else's
    business.  What no shell can read stays as it is."""
    try:
        return joined([[_last_part(word) for word in command] for command in commands(text)])
    except ValueError:
        return text


def _last_part(word: str) -> str:
    option, equals, value = word.partition("=") if word.startswith("--") else ("", "", word)
    return f"{option}{equals}{PurePath(value).name or value}" if PurePath(value).is_absolute() else word
