"""Makes the policy behind the server that `--model` names."""

from __future__ import annotations

from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.remote.connection import check_installed
from vla_bench.policies.resolve import ResolvedModel
from vla_bench.suites import load_suite, suite_names
from vla_bench.wires.address import parse_address


def make_remote_policy(choice: ModelChoice, model: ResolvedModel):
    """Asks the server what it is.  Raises VlaBenchError where none answers, or it wants what the suites do not have."""
    check_installed()
    from vla_bench.policies.remote.policy import RemotePolicy

    suites = [load_suite(name) for name in choice.suites or suite_names()]
    steps = {"chunk": choice.chunk, "open_loop_steps": choice.open_loop_steps}
    return RemotePolicy(parse_address(model.name), suites, **steps)
