"""The names of policies without a checkpoint, and where each is; imports nothing heavy, so that a shell can complete them."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

GROUP = "vla_bench.policies"
REPLAY = "replay"  # the only one with an argument: replay:RUN

_HERE = "vla_bench.policies."
SCRIPTS = {
    "expert": _HERE + "expert:Expert",
    "noop": _HERE + "simple:NoopPolicy",
    "random": _HERE + "simple:RandomPolicy",
    REPLAY: _HERE + "replay:Replay",
}


@cache
def plug_ins() -> dict[str, EntryPoint]:
    """Policies of other packages, by name; a built-in script has precedence."""
    return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in SCRIPTS}
