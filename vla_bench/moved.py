"""Modules of version 0.1 under the names that they had, for scripts and plug-ins written then.  Goes with version 0.3.

An old name imports the module that holds its content now, with a DeprecationWarning that says which.
"""

from __future__ import annotations

import importlib
import sys
import warnings
from collections.abc import Sequence
from importlib.abc import Loader, MetaPathFinder
from importlib.machinery import ModuleSpec
from types import ModuleType

ROOMS = {
    ("model", "interface"): "config presets layout",
    ("model", "checkpoints"): "adapter card checkpoint choices config_file files hub known public_format saving weights",
    ("outcomes", "results"): "comparison gate result_table summary",
    ("training", "demonstrations"): "attempts demos disturbance noops recording",
}
MOVED = {
    f"vla_bench.{old}.{name}": f"vla_bench.{new}.{name}" for (old, new), names in ROOMS.items() for name in names.split()
} | {
    "vla_bench.outcomes": "vla_bench.results",
    "vla_bench.outcomes.joined": "vla_bench.results.merge",
    "vla_bench.outcomes.kept": "vla_bench.results.summary_file",
    "vla_bench.measure.spread": "vla_bench.spread",
    "vla_bench.training.demo_file": "vla_bench.demonstrations.hdf5",
    "vla_bench.pruners.base": "vla_bench.interface.everything",
}


class _Finder(MetaPathFinder, Loader):
    """Finds the old names, and loads the module that each stands for."""

    def find_spec(self, name: str, path: Sequence[str] | None = None, target: ModuleType | None = None) -> ModuleSpec | None:
        return ModuleSpec(name, self, is_package=name == "vla_bench.outcomes") if name in MOVED else None

    def create_module(self, spec: ModuleSpec) -> ModuleType:
        new = MOVED[spec.name]
        warnings.warn(f"{spec.name} is {new} since vla-bench 0.2", DeprecationWarning, stacklevel=2)
        module = importlib.import_module(new)
        self._own = module.__spec__
        return module

    def exec_module(self, module: ModuleType) -> None:
        module.__spec__ = self._own  # the import system has just given it the old name's


def install() -> None:
    """From now on the old names can be imported."""
    if not any(isinstance(finder, _Finder) for finder in sys.meta_path):
        sys.meta_path.insert(0, _Finder())  # before Python looks for vla_bench.outcomes.gate in the folder of results
