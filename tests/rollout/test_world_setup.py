"""What a machine simulates with, as another machine reads it."""

import pickle

from vla_bench import environment
from vla_bench.rollout.world_setup import set_up
from vla_bench.suites import load_suite


def test_a_setup_has_the_packages_of_the_machine_that_made_it(monkeypatch, primitive):
    with monkeypatch.context() as other_machine:
        other_machine.setattr(environment, "versions", lambda packages: dict.fromkeys(packages, "0.0"))
        sent = pickle.dumps(set_up([load_suite("object")], primitive))
    identity, here = pickle.loads(sent).identity, set_up([load_suite("object")], primitive).identity
    assert identity["packages"]["mujoco"] == "0.0" != here["packages"]["mujoco"]
    assert identity | {"packages": None} == here | {"packages": None}
