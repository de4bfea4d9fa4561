"""`utils*.npz`: the arithmetic around the model."""

from __future__ import annotations

from collections.abc import Iterator

from vla_bench.demonstrations.noops import kept_actions
from vla_bench.model.action_tokens import decode, encode
from vla_bench.model.normalisation import axis_angle, env_actions
from vla_bench.verify.compare import EXACT, MATHS, Computed
from vla_bench.verify.fixture import Fixture
from vla_bench.world.env import DUMMY_ACTION


def computed(given: Fixture) -> Iterator[Computed]:
    """Inputs: tok.actions, quat.xyzw, grip.actions, noop.actions."""
    ids = encode(given["tok.actions"])
    yield Computed("tok.ids", ids, EXACT)
    yield Computed("tok.decoded", decode(ids), MATHS)
    yield Computed("quat.axisangle", axis_angle(given["quat.xyzw"]), MATHS)
    yield Computed("grip.env_actions", env_actions(given["grip.actions"]), MATHS)
    kept = kept_actions(given["noop.actions"])
    yield Computed("noop.skipped", ~kept, EXACT)
    yield Computed("noop.kept", given["noop.actions"][kept], EXACT)
    yield Computed("dummy_action", DUMMY_ACTION, EXACT)
