"""Text for the terminal.  Other people's files may hold sequences that a terminal obeys: they are shown, not sent."""

from __future__ import annotations

import re
import sys
from typing import TextIO

# Control characters but for the end of a line and the tab; marks that turn the direction of text; halves of surrogate pairs.
_UNSAFE = re.compile("[\x00-\x08\x0b-\x1f\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\ud800-\udfff]")


def visible(text: object) -> str:
    r"""The text with such characters as they are written in Python: "\x1b[2J" for a sequence that would clear the screen."""
    return _UNSAFE.sub(lambda found: found[0].encode("unicode_escape").decode(), str(text))


def show(text: object = "", file: TextIO | None = None) -> None:
    """Print it so that only its own words are seen.  file: standard output where None."""
    print(visible(text), file=file or sys.stdout)
