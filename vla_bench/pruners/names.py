"""The names of pruners, and where each is; imports nothing heavy, so that a shell can complete them."""

from __future__ import annotations

from functools import cache
from importlib.metadata import EntryPoint, entry_points

GROUP = "vla_bench.pruners"
NONE = "none"  # keep every image token

_HERE = "vla_bench.pruners."
BUILT_IN = {
    "lightvla": _HERE + "lightvla:LightVLA",
    "lightvla-star-vision": _HERE + "lightvla_star:LightVLAStarVision",
    "lightvla-star-llm1": _HERE + "lightvla_star:LightVLAStarLLM1",
    "lightvla-star-llm2": _HERE + "lightvla_star:LightVLAStarLLM2",
    "lightvla-star-llm3": _HERE + "lightvla_star:LightVLAStarLLM3",
    "random": _HERE + "scored:RandomTokens",
    "grid": _HERE + "grid:Grid",
    "pool": _HERE + "grid:Pool",
    "score-norm": _HERE + "scored:ScoreNorm",
    "score-text": _HERE + "scored:ScoreText",
    "score-siglip": _HERE + "scored:ScoreSiglip",
    "score-lightvla": _HERE + "scored:ScoreLightVLA",
    "blind": _HERE + "grid:Blind",
    "fastv": _HERE + "fastv:FastV",
    "sparsevlm": _HERE + "sparsevlm:SparseVLM",
    "divprune": _HERE + "divprune:DivPrune",
    "vla-cache": _HERE + "vla_cache:VLACache",
    "flashvla-ics": _HERE + "flashvla:FlashVLA",
    "spvla": _HERE + "spvla:SPVLA",
    "efficientvla-tokens": _HERE + "efficientvla:EfficientVLATokens",
    "vla-adp": _HERE + "vla_adp:VLAADP",
    "vla-pruner": _HERE + "vla_pruner:VLAPruner",
    "safe-pruner": _HERE + "safe_pruner:SAFEPruner",
    "team-vla": _HERE + "team_vla:TEAMVLA",
    "grid-sampler": _HERE + "grid_sampler:GridSampler",
    "inverse": _HERE + "wrappers:Inverse",
    "plus-random": _HERE + "wrappers:PlusRandom",
    "drop-random": _HERE + "wrappers:DropRandom",
}

LEARNING = (*(name for name in BUILT_IN if name.startswith("lightvla")), "grid-sampler")  # those that a training changes


@cache
def plug_ins() -> dict[str, EntryPoint]:
    """Pruners of other packages, by name; built-in names win."""
    return {entry.name: entry for entry in entry_points(group=GROUP) if entry.name not in BUILT_IN and entry.name != NONE}


def names() -> list[str]:
    """Every name that `--pruner` takes."""
    return [NONE, *BUILT_IN, *sorted(plug_ins())]
