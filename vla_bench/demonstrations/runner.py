"""How a worker makes a demonstration: expert and learner run in the worker itself, which also writes the file."""

from __future__ import annotations

from dataclasses import asdict, dataclass
from functools import lru_cache
from pathlib import Path

from vla_bench.demonstrations.attempts import AttemptRecord
from vla_bench.policies.base import Policy
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.registry import make_policy
from vla_bench.policies.resolve import ResolvedModel
from vla_bench.rollout.worker import RequestActions
from vla_bench.values import Device
from vla_bench.world.protocol import RecordingSimulator


@dataclass(frozen=True)
class DemoJob:
    """One attempt to make.  path: file of the demonstration, written on success."""

    suite: str
    task_id: int
    number: int
    seed: int
    path: Path


@dataclass(frozen=True)
class DemoRunner:
    """Makes an attempt; the demonstration of a success is on disk when it returns.

    disturbed_share: share of attempts that are disturbed.  learner: learner policy of DAgger rollouts; None for none.
    """

    disturbed_share: float
    learner: ResolvedModel | None = None

    def run(self, simulator: RecordingSimulator, job: DemoJob, request_actions: RequestActions | None = None) -> AttemptRecord:
        from vla_bench.demonstrations.hdf5 import write_demos
        from vla_bench.demonstrations.recording import record
        from vla_bench.policies.expert import Expert

        learner = None if self.learner is None else learner_policy(self.learner, job.suite)
        simulator.start(simulator.suite.task(job.task_id))
        recording = record(simulator, Expert(), job.number, job.seed, self.disturbed_share, learner)
        if recording.demo is not None:
            write_demos(job.path, simulator.about(), [recording.demo])
        frames = 0 if recording.demo is None else len(recording.demo)
        return AttemptRecord(
            job.suite, job.task_id, job.number, job.seed, recording.ending, frames=frames, **asdict(recording.counts)
        )


@lru_cache(maxsize=1)  # a process has one simulator at a time, too
def learner_policy(model: ResolvedModel, suite: str) -> Policy:
    """The learner policy, on one CPU thread: there are as many workers as cores."""
    return make_policy(ModelChoice(model.name, suites=(suite,), device=Device.CPU, threads=1), model=model)
