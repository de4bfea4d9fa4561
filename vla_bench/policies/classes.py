"""Policies without a checkpoint: the built-in scripts, and those of other packages, by name.

Packages add theirs through entry points of the group `vla_bench.policies`; names are listed without importing them.
"""

from __future__ import annotations

import importlib

from vla_bench.errors import UsageError
from vla_bench.policies.base import OPTIONS, Policy
from vla_bench.policies.names import SCRIPTS, plug_ins
from vla_bench.world.observation import Sight


def policy_class(name: str) -> type[Policy]:
    """The class behind the name of a script or a plug-in.  Raises UsageError for a plug-in that cannot be used."""
    if name in SCRIPTS:
        module, _, attribute = SCRIPTS[name].partition(":")
        return getattr(importlib.import_module(module), attribute)
    entry = plug_ins()[name]
    try:
        policy = entry.load()
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a foreign package raises while it is imported
        raise UsageError(f'policy "{name}" of {entry.value} cannot be imported: {error!r}', "vla-bench models") from error
    if not (isinstance(policy, type) and issubclass(policy, Policy)):
        raise UsageError(f'policy "{name}": {entry.value} is not a subclass of vla_bench.Policy')
    if wrong := [option for option in policy.takes if option not in OPTIONS]:
        raise UsageError(f'policy "{name}" takes the option {wrong[0]}: there are {", ".join(OPTIONS)}')
    return policy


def make_plug_in(name: str, options: dict[str, object]) -> Policy:
    """A policy of another package.  Raises UsageError where it cannot be made, or lacks `name` or `sight`."""
    kind = policy_class(name)
    try:
        policy = kind(**options)
    except (Exception, SystemExit) as error:  # noqa: BLE001  whatever a foreign class raises
        raise UsageError(f'policy "{name}" of {plug_ins()[name].value} cannot be made: {error!r}', "vla-bench models") from error
    if not isinstance(getattr(policy, "name", None), str) or not isinstance(getattr(policy, "sight", None), Sight):
        raise UsageError(f'policy "{name}" of {plug_ins()[name].value} must have a name, and a sight of vla_bench.Sight')
    return policy
