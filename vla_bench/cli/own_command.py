"""The command that the user typed, with other options: for the fix of an error, and for repeating it."""

from __future__ import annotations

import shlex
import sys
from collections.abc import Mapping, Sequence


def own_command(instead: Mapping[str, str | None] | None = None, arguments: Sequence[str] | None = None) -> str:
    """The running command as one types it.

    instead: values by option as "--device"; "" for an option without a value, None to leave the option out.
    arguments: those after `vla-bench`; None for the running command's.
    """
    words = list(sys.argv[1:] if arguments is None else arguments)
    for option, value in (instead or {}).items():
        words = [word for word in words if word != option] if value == "" else _without(words, option)
        if value is not None:
            words += [option, value] if value else [option]
    return shlex.join(["vla-bench", *words])


def values_of(option: str, words: Sequence[str]) -> list[str]:
    """The values that an option with one value is given."""
    pairs = zip(words, [*words[1:], ""], strict=True)
    return [word.partition("=")[2] if "=" in word else after for word, after in pairs if word.partition("=")[0] == option]


def _without(words: Sequence[str], option: str) -> list[str]:
    """Without the option and its value, and without the `--no-` form of a switch."""
    kept: list[str] = []
    is_value = False
    for word in words:
        if is_value and not word.startswith("--"):
            is_value = False
            continue
        is_value = word in (option, option.replace("--", "--no-", 1))
        if not is_value and not word.startswith(f"{option}="):
            kept.append(word)
    return kept
