"""DAgger rollouts: a learner acts first, and only what the expert does from there is recorded."""

import numpy as np

from vla_bench.demonstrations import dagger
from vla_bench.demonstrations.recording import Ending, record
from vla_bench.policies.expert import Expert
from vla_bench.policies.simple import NoopPolicy

from .common import SUITE


def test_what_a_learner_did_first_is_not_recorded(world, monkeypatch):
    monkeypatch.setattr(dagger, "SHARE", (0.1, 0.1))
    recording = record(world, Expert(), 0, 5, 0.0, NoopPolicy())
    demo, counts = recording.demo, recording.counts
    assert recording.ending is Ending.SUCCESS and counts.learner_steps >= 22
    assert len(demo) == counts.steps - counts.learner_steps and demo.attributes["led"] == counts.learner_steps
    assert not np.array_equal(demo["states"][0], world.sample(5).state)
    world.place(demo["states"][0])  # what was observed first is where the learner left the arm
    for action in demo["actions"]:
        done, _ = world.step(action)
    assert done and set(demo.segment) == {0}


def test_the_expert_continues_with_the_object_that_the_learner_holds(world, monkeypatch):
    monkeypatch.setattr(dagger, "SHARE", (0.2, 0.2))  # while the bowl is in the hand
    recording = record(world, Expert(), 0, 5, 0.0, Expert())
    assert recording.ending is Ending.SUCCESS
    assert recording.counts.learner_steps == round(0.2 * SUITE.horizon) and recording.counts.steps < 100
    grip = recording.demo["actions"][:, 6]
    assert grip[0] == 1.0 and (np.diff(grip) > 0).sum() == 0  # it never had to close again


def test_what_a_learner_finishes_is_not_recorded(world, monkeypatch):
    monkeypatch.setattr(dagger, "SHARE", (0.79, 0.79))
    recording = record(world, Expert(), 0, 5, 0.0, Expert())
    assert recording.ending is Ending.REJECTED and recording.demo is None
    assert recording.counts.learner_steps == recording.counts.steps < 100
