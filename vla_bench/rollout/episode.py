"""One episode in a worker's simulator: observe, request actions, execute them open loop, observe again."""

from __future__ import annotations

import time
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from vla_bench.records import EpisodeKey
from vla_bench.rollout.worker import ErrorReport, RequestActions
from vla_bench.world.observation import Sight
from vla_bench.world.protocol import Simulator


@dataclass(frozen=True, kw_only=True)
class Outcome:
    """An episode that ran to its end."""

    success: bool
    actions: np.ndarray  # (T, 7)
    wall_s: float
    init_hash: str
    state_hash: str
    video: str | None  # file name
    video_error: ErrorReport | None = None  # filming failed; the episode's result is valid


@dataclass(frozen=True)
class EpisodeRunner:
    """Runs the episode of an EpisodeKey, and films it if `video` says so.

    sight, image_size: what observations contain; None for the suite's image size.
    video: all | failures | none.
    """

    sight: Sight
    image_size: int | None = None
    video: str = "none"
    video_folder: Path | None = None

    def run(self, simulator: Simulator, job: EpisodeKey, request_actions: RequestActions) -> Outcome:
        started = time.perf_counter()
        simulator.image_size = self.image_size or simulator.suite.image_size
        simulator.start(simulator.suite.task(job.task_id))
        success, actions = run_episode(simulator, job, self.sight, request_actions)
        state_hash = simulator.state_hash
        wall_s = time.perf_counter() - started
        init_hash = simulator.init_hash(job.init_state)
        video, error = None, None
        if self.video == "all" or (self.video == "failures" and not success):
            from vla_bench.rollout.video import record

            try:
                video = record(simulator, job, actions, success, self.video_folder)
            except Exception as raised:  # noqa: BLE001  as the episode's error it would remove failures from the rate
                error = ErrorReport.of(raised)
        return Outcome(
            success=success,
            actions=actions,
            wall_s=wall_s,
            init_hash=init_hash,
            state_hash=state_hash,
            video=video,
            video_error=error,
        )


def run_episode(simulator: Simulator, key: EpisodeKey, sight: Sight, request_actions: RequestActions) -> tuple[bool, np.ndarray]:
    """Query, act open loop, query again, until the goal holds or the horizon is reached: success and all actions (T, 7)."""
    observation = simulator.reset(key.init_state, sight, key.repeat)
    done: list[np.ndarray] = []
    horizon = simulator.suite.horizon
    while True:
        chunk = request_actions(observation)[: horizon - len(done)]
        for i, action in enumerate(chunk):
            done.append(action)
            query_next = i == len(chunk) - 1 and len(done) < horizon
            success, observation = simulator.step(action, sight if query_next else Sight.NOTHING)
            if success or len(done) == horizon:
                return success, np.array(done)
