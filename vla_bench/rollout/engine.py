"""Runs episodes: worker processes simulate, this process answers their queries and decides what runs next."""

from __future__ import annotations

import multiprocessing
import signal
import time
from collections.abc import Callable, Iterable
from dataclasses import dataclass, field, replace
from multiprocessing.connection import wait
from pathlib import Path

import numpy as np

from vla_bench.policies.base import ACTION_DIM, Chunk, Policy
from vla_bench.queries import QueryRecord
from vla_bench.records import EpisodeKey
from vla_bench.rollout import worker as worker_module
from vla_bench.rollout.schedule import Schedule
from vla_bench.rollout.worker import Job, Outcome, Query, Settings, Trouble
from vla_bench.signals import on_ending
from vla_bench.world.observation import Observation

ATTEMPTS = 2  # an episode that ends in an error is tried once more, in a fresh worker
KILLED_ATTEMPTS = 6  # SIGKILL comes from outside (a user, a full memory) and says nothing about the episode
HANG_S = 300.0  # longest silence of a working simulator; building a task or filming an episode takes a minute at worst
POLL_S = 0.5


@dataclass
class Attempt:
    """One try at an episode."""

    episode: EpisodeKey
    number: int = 1
    started: float = field(default_factory=time.time)
    policy_s: float = 0.0
    answers: list[QueryRecord] = field(default_factory=list)


@dataclass(frozen=True)
class Started:
    """Event: a worker begins an episode."""

    episode: EpisodeKey
    pid: int


@dataclass(frozen=True)
class Retried:
    """Event: an episode ended in an error and goes back into the queue."""

    attempt: Attempt
    trouble: Trouble


@dataclass(frozen=True)
class Finished:
    """Event: an episode is over, for good."""

    attempt: Attempt
    result: Outcome | Trouble


Event = Started | Retried | Finished


class _Worker:
    """A process, its pipe, and what it is doing."""

    def __init__(self, context, settings: Settings):
        self.connection, theirs = context.Pipe()
        self.process = context.Process(target=worker_module.main, args=(theirs, settings), daemon=True)
        self.process.start()
        theirs.close()
        self.attempt: Attempt | None = None
        self.task: tuple[str, int] | None = None
        self.episodes = 0
        self.silent_since: float | None = None  # None while it waits for us

    def send(self, message) -> None:
        """A worker that died meanwhile is noticed where its silence is read, not here."""
        self.silent_since = time.monotonic()
        try:
            self.connection.send(message)
        except (BrokenPipeError, ConnectionResetError):
            pass

    def stop(self, grace_s: float = 5.0) -> None:
        if self.process.is_alive() and self.attempt is None:
            self.send(None)
            self.process.join(grace_s)
        if self.process.is_alive():
            self.process.kill()
        self.process.join()
        self.connection.close()


class Engine:
    """Runs every episode of `episodes` with `policy` and reports each event to `on_event`.

    Args:
        workers: simulators at a time.
        video, video_folder: what the workers film, and where to.
        recycle: episodes after which a worker is replaced, since long-lived simulators grow.
        hang_s: silence after which a simulator counts as hung.
    """

    def __init__(
        self,
        policy: Policy,
        settings: Settings,
        workers: int,
        on_event: Callable[[Event], None],
        video: str = "none",
        video_folder: Path | None = None,
        recycle: int = 100,
        hang_s: float = HANG_S,
    ):
        self.policy = policy
        self.settings = settings
        self.count = workers
        self.on_event = on_event
        self.video = video
        self.video_folder = video_folder
        self.recycle = recycle
        self.hang_s = hang_s
        self.stopping = False
        self._context = multiprocessing.get_context("spawn")
        self._workers: list[_Worker] = []

    def run(self, episodes: Iterable[EpisodeKey]) -> bool:
        """True when every episode was finished, False when some were left out by a stop."""
        self._schedule = Schedule(episodes, {name: suite.horizon for name, suite in self.settings.suites.items()})
        self._tries: dict[EpisodeKey, int] = {}
        try:
            with on_ending(self._on_ending):
                while self._assign() or any(w.attempt for w in self._workers):
                    self._answer(self._receive())
        except _KilledByUser:
            return False
        finally:
            for each in self._workers:
                each.stop()
            self._workers.clear()
        return len(self._schedule) == 0

    def stop(self) -> None:
        """Finish what is in flight and start nothing new."""
        self.stopping = True

    def _assign(self) -> bool:
        """Give every free worker an episode; True while any is left to give."""
        if self.stopping:
            return False
        for each in [w for w in self._workers if w.attempt is None and w.episodes >= self.recycle]:
            self._dismiss(each)
        while len(self._workers) < min(self.count, len(self._schedule) + sum(w.attempt is not None for w in self._workers)):
            self._workers.append(_Worker(self._context, self.settings))
        for each in self._workers:
            if each.attempt is not None:
                continue
            episode = self._schedule.next(each.task)
            if episode is None:
                break
            each.attempt = Attempt(episode, self._tries.get(episode, 1))
            each.task = (episode.suite, episode.task_id)
            each.episodes += 1
            self.policy.reset(episode)
            each.send(Job(episode, self.video, self.video_folder))
            self.on_event(Started(episode, each.process.pid))
        return len(self._schedule) > 0

    def _receive(self) -> list[tuple[_Worker, object]]:
        """What workers said since the last time: messages, or the trouble that kept them from speaking."""
        busy = [w for w in self._workers if w.attempt is not None]
        ready = set(wait([w.connection for w in busy], timeout=POLL_S))
        heard: list[tuple[_Worker, object]] = []
        for each in busy:
            if each.connection in ready:
                heard.append((each, _read(each)))
            elif each.silent_since is not None and time.monotonic() - each.silent_since > self.hang_s:
                each.process.kill()
                heard.append((each, Trouble("Hang", f"the simulator did not answer for {self.hang_s:.0f} s", "")))
        return heard

    def _answer(self, heard: list[tuple[_Worker, object]]) -> None:
        """Answer the queries in batches, and book the episodes that ended."""
        asking = [(each, message.observation) for each, message in heard if isinstance(message, Query)]
        for each, _ in asking:
            each.silent_since = None
        for batch in _batches(asking):
            for (each, _), reply in zip(batch, self._decide([o for _, o in batch]), strict=True):
                if isinstance(reply, Trouble):
                    self._fail(each, reply)
                    continue
                each.attempt.policy_s += reply.seconds
                each.attempt.answers.append(reply.answer)
                each.send(reply.actions)
        for each, message in heard:
            if isinstance(message, Outcome):
                attempt, each.attempt = each.attempt, None
                self.on_event(Finished(attempt, message))
            elif isinstance(message, Trouble):
                self._fail(each, message)

    def _decide(self, observations: list[Observation]) -> list[_Reply | Trouble]:
        """The policy's reply to each observation.  A policy that raises fails them all: some may have been decided already,
        and what it remembers of those would be wrong if they were asked again."""
        started = time.perf_counter()
        try:
            chunks = self.policy.act(observations)
            share = (time.perf_counter() - started) / len(observations)
            if len(chunks) != len(observations):
                raise ValueError(f"{self.policy.name} answered {len(observations)} observations with {len(chunks)} chunks")
        except Exception as error:  # noqa: BLE001  a policy that fails spoils its episodes, not the run
            return [self._trouble(error)] * len(observations)
        return [self._checked(o, chunk, share) for o, chunk in zip(observations, chunks, strict=True)]

    def _checked(self, observation: Observation, chunk: Chunk, seconds: float) -> _Reply | Trouble:
        try:
            return _reply(observation, chunk, seconds)
        except ValueError as error:
            return self._trouble(error)

    def _trouble(self, error: Exception) -> Trouble:
        trouble = Trouble.of(error)
        return replace(trouble, message=f"policy {self.policy.name}: {trouble.message}")

    def _fail(self, each: _Worker, trouble: Trouble) -> None:
        """An attempt failed: its worker is replaced, and the episode is tried again or booked as an error."""
        attempt = each.attempt
        self._dismiss(each)
        if attempt.number < (KILLED_ATTEMPTS if trouble.type == "Killed" else ATTEMPTS):
            self._tries[attempt.episode] = attempt.number + 1
            self._schedule.put_back(attempt.episode)
            self.on_event(Retried(attempt, trouble))
        else:
            self.on_event(Finished(attempt, trouble))

    def _dismiss(self, each: _Worker) -> None:
        each.stop()
        self._workers.remove(each)

    def _on_ending(self) -> None:
        """The first Ctrl-C (or SIGTERM) stops scheduling, the second kills what is in flight."""
        if self.stopping:
            raise _KilledByUser
        self.stop()


class _KilledByUser(BaseException):
    """Second Ctrl-C."""


def _batches(asking: list[tuple[_Worker, Observation]]) -> list[list[tuple[_Worker, Observation]]]:
    """First attempts are asked together, later ones alone: what failed in a batch may have been another episode's fault."""
    together = [each for each in asking if each[0].attempt.number == 1]
    alone = [[each] for each in asking if each[0].attempt.number > 1]
    return [together, *alone] if together else alone


def _read(each: _Worker) -> object:
    try:
        return each.connection.recv()
    except (EOFError, OSError):  # OSError: in the middle of a message
        each.process.join()
        code = each.process.exitcode
        if code == -signal.SIGKILL:
            return Trouble("Killed", "the simulator process was killed from outside", "")
        cause = signal.Signals(-code).name if code < 0 else f"exit code {code}"
        return Trouble("Crash", f"the simulator process died: {cause}", "")


@dataclass(frozen=True)
class _Reply:
    """A chunk that was found to be in order."""

    actions: np.ndarray  # (T, 7)
    answer: QueryRecord
    seconds: float  # this query's share of its batch's time


def _reply(observation: Observation, chunk: Chunk, seconds: float) -> _Reply:
    """Check what a policy returned.  Raises ValueError."""
    actions = chunk.actions
    if actions.ndim != 2 or actions.shape[1] != ACTION_DIM or not len(actions):
        raise ValueError(f"actions have shape {actions.shape}, not (T, {ACTION_DIM})")
    if not np.isfinite(actions).all():
        raise ValueError("actions are not finite numbers")
    told = (chunk.kept_tokens, chunk.prompt_tokens, chunk.stages_ms, chunk.gflops, chunk.trace)
    answer = QueryRecord.of(observation.step, *told, 1000 * seconds)
    return _Reply(actions, answer, seconds)
