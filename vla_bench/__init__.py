"""vla-bench: does this token pruner help, by how much, and is it real?

The public names below are imported when they are first used, so that `import vla_bench` stays light.
"""

from __future__ import annotations

import importlib

from vla_bench import moved

__version__ = "0.2.0"

moved.install()

_PUBLIC = {
    "vla_bench.errors": ("VlaBenchError",),
    "vla_bench.suites": ("Suite", "Task", "load_suite", "load_suites"),
    "vla_bench.records": ("Episode", "EpisodeKey", "Run", "Status", "read_episodes", "read_run"),
    "vla_bench.stats": ("Rate", "wilson"),
    "vla_bench.world.assets": ("AssetPack", "resolve_assets"),
    "vla_bench.world.env": ("World",),
    "vla_bench.world.observation": ("Observation", "Sight"),
    "vla_bench.interface.config": ("VLAConfig",),
    "vla_bench.model.vla": ("VLA", "Inputs", "Output"),
    "vla_bench.interface.pruner": ("Pruner",),
    "vla_bench.interface.selection": ("Selection",),
    "vla_bench.interface.sites": ("LLM_INPUT", "VISION", "Site", "before_layer"),
    "vla_bench.interface.view": ("View",),
    "vla_bench.pruners.registry": ("make_pruner",),
    "vla_bench.policies.base": ("Chunk", "Policy"),
    "vla_bench.policies.registry": ("make_policy",),
    "vla_bench.rollout.evaluate": ("EvalRequest", "EvalResult", "evaluate"),
}
_HOME = {name: module for module, names in _PUBLIC.items() for name in names}

__all__ = ["__version__", *_HOME]


def __getattr__(name: str):
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(importlib.import_module(_HOME[name]), name)


def __dir__() -> list[str]:
    return sorted(__all__)
