"""Policies by name, as `--model` takes them."""

from __future__ import annotations

from pathlib import Path

from vla_bench.errors import UsageError, nearest
from vla_bench.policies.base import Policy

NAMES = ("expert", "noop", "random", "replay:DIR")


def make_policy(model: str, seed: int = 0) -> Policy:
    """The policy called `model`.  Raises UsageError for a name that is not known."""
    if model == "expert":
        from vla_bench.policies.expert import Expert

        return Expert()
    if model == "noop":
        from vla_bench.policies.simple import Noop

        return Noop()
    if model == "random":
        from vla_bench.policies.simple import Random

        return Random(seed)
    if model.startswith("replay:"):
        from vla_bench.policies.replay import Replay

        return Replay(Path(model.removeprefix("replay:")))
    raise UsageError(
        f'unknown model "{model}".{nearest(model, list(NAMES))} Models: {", ".join(NAMES)}', "vla-bench eval --model expert"
    )
