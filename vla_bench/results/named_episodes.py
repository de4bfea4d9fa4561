"""Episodes of a run by the names that its films and tables have, such as `long-t8-i00`."""

from __future__ import annotations

import re
from collections.abc import Sequence
from pathlib import Path

from vla_bench.errors import UsageError, nearest
from vla_bench.records import Episode


def named_episodes(recorded: Sequence[Episode], names: str, run: Path, fix: str) -> list[Episode]:
    """names: with commas; a film's own name, `long-t8-i00-failure`, is the episode's, too.

    run, fix: for the UsageError that is raised for an episode that is not there.
    """
    by_name = {str(episode.key): episode for episode in recorded}
    asked = [re.sub(r"-(success|failure|error)$", "", name.strip()) for name in names.split(",")]
    if unknown := [name for name in asked if name not in by_name]:
        hint = nearest(unknown[0], list(by_name))
        raise UsageError(f'{run} has no finished episode "{unknown[0]}" of its {len(by_name)}.{hint}', fix)
    return [by_name[name] for name in dict.fromkeys(asked)]
