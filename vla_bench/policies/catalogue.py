"""Lists every named model: bundled and public checkpoints, and policies of other packages, without importing them."""

from __future__ import annotations

from vla_bench.checkpoints.known import KnownModel, known_models
from vla_bench.policies.names import plug_ins


def models() -> list[KnownModel]:
    """The lines of `vla-bench models`."""
    return [*known_models(), *(KnownModel(name, "plug-in", at_hand=entry.value) for name, entry in sorted(plug_ins().items()))]
