"""The task that the tests record, and an expert whose actions are recorded."""

import dataclasses

import numpy as np

from vla_bench.demonstrations.attempts import AttemptRecord
from vla_bench.demonstrations.recording import Ending
from vla_bench.policies.expert import Expert
from vla_bench.suites import load_suite

TASK = 2  # of Spatial: the shortest
SHARE = 0.5
SUITE = dataclasses.replace(load_suite("spatial"), image_size=128)


class RecordedExpert:
    """An expert that records its actions, and those that the world executes; it idles at the steps `idle_at`."""

    def __init__(self, world, monkeypatch, idle_at=()):
        self.actions, self.executed, self.idle = [], [], list(idle_at)
        self._expert, step = Expert(), world.step

        def recorded_step(action, *sight):
            if world.steps >= 0:
                self.executed.append(np.array(action))
            return step(action, *sight)

        monkeypatch.setattr(world, "step", recorded_step)

    def reset(self, key):
        self._expert.reset(key)

    def act(self, observations):
        if self.idle and self.idle[0] == len(self.executed):
            self.idle.pop(0)
            chunk = dataclasses.replace(self.last, actions=np.array([[0, 0, 0, 0, 0, 0, self.last.actions[0, 6]]]))
            return [chunk]
        (self.last,) = chunks = self._expert.act(observations)
        self.actions.append(self.last.actions[0])
        return chunks


def attempt(number, ending=Ending.SUCCESS, **more):
    return AttemptRecord("spatial", TASK, number, 1, ending, frames=9, **more)
