"""The pool with real processes that die, freeze and are killed for real, around a simulator of a few lines."""

import os
import signal
import time
from collections import deque

import numpy as np
import pytest

from vla_bench.records import EpisodeKey
from vla_bench.rollout.pool import ATTEMPTS, KILLED_ATTEMPTS, ErrorStreak, Finished, Retried, Started, WorkerPool
from vla_bench.rollout.worker import ErrorReport, Simulators

from .fakes import Asking, Dying, FakeSimulator, Tally, simulators

JOBS = [EpisodeKey("object", 0, i) for i in range(4)]


class Queue:
    """First in, first out; records what was put back and the tasks for which a job was requested."""

    def __init__(self, jobs):
        self.left, self.again, self.requested_for = deque(jobs), [], []

    def next(self, task):
        self.requested_for.append(task)
        return self.left.popleft() if self.left else None

    def put_back(self, job):
        self.again.append(job)
        self.left.append(job)


@pytest.fixture
def run():
    """Run jobs in a pool; returns whether it came to its end, the events, and the queue."""

    def run(runner, jobs=JOBS, workers=2, on_event=lambda event, pool: None, made_by=None, **more):
        events, queue = [], Queue(jobs)

        def record(event):
            events.append(event)
            on_event(event, pool)

        pool = WorkerPool(made_by or simulators(), runner, workers=workers, on_event=record, **more)
        return pool.run(queue), events, queue

    return run


def results(events):
    finished = [event for event in events if isinstance(event, Finished)]
    assert len({event.attempt.job for event in finished}) == len(finished)
    return {event.attempt.job: event.result for event in finished}


def pids(events):
    return [event.pid for event in events if isinstance(event, Started)]


def test_every_job_once_in_the_given_number_of_processes(run):
    complete, events, queue = run(Tally())
    assert complete and set(results(events)) == set(JOBS) and not queue.again
    assert set(results(events).values()) == set(pids(events)) and len(set(pids(events))) == 2
    assert queue.requested_for[:2] == [None, None] and set(queue.requested_for[2:]) == {("object", 0)}


def test_no_more_processes_than_jobs(run):
    _, events, _ = run(Tally(), JOBS[:1], workers=3)
    assert len(pids(events)) == 1


def test_a_worker_is_replaced_after_its_jobs(run):
    _, events, queue = run(Tally(), workers=1, recycle=2)
    first, same, second, last = pids(events)
    assert first == same != second == last
    assert queue.requested_for[2] is None  # a new worker has no task loaded


@pytest.mark.parametrize(
    ("how", "error", "message"),
    [
        ("exits", "Crash", "exit code 3"),
        ("segfaults", "Crash", "SIGSEGV"),
        ("dies_in_a_message", "Crash", "exit code 1"),
        ("freezes", "Hang", "did not answer for 3 s"),
    ],
)
def test_a_job_that_takes_its_process_with_it_is_an_error(run, how, error, message):
    complete, events, queue = run(Dying(how), hang_s=3)
    found = results(events)
    assert complete and set(found) == set(JOBS)
    assert found[JOBS[1]].type == error and message in found[JOBS[1]].message
    assert sum(isinstance(result, int) for result in found.values()) == 3
    retried = [event for event in events if isinstance(event, Retried)]
    assert len(retried) == ATTEMPTS - 1 and queue.again == [JOBS[1]] and retried[0].error == found[JOBS[1]]
    tries = [(e.attempt.number, e.pid) for e in events if isinstance(e, Started) and e.attempt.job == JOBS[1]]
    assert [number for number, _ in tries] == [1, 2] and len({pid for _, pid in tries}) == 2


def test_a_kill_from_outside_loses_nothing(run):
    """Another process of the user, or a full memory, strikes all attempts but the last at one job, and the first at another."""
    struck = []

    def strike(event, pool):
        if isinstance(event, Started) and event.attempt.number < {JOBS[0]: KILLED_ATTEMPTS, JOBS[3]: 2}.get(event.attempt.job, 0):
            struck.append(event.attempt.job)
            os.kill(event.pid, signal.SIGKILL)

    complete, events, _ = run(Tally(), on_event=strike)
    assert complete and set(results(events)) == set(JOBS) and all(isinstance(r, int) for r in results(events).values())
    assert struck.count(JOBS[0]) == KILLED_ATTEMPTS - 1 and struck.count(JOBS[3]) == 1
    assert {e.error.type for e in events if isinstance(e, Retried)} == {"Killed"}


def test_a_job_that_is_always_killed_is_given_up(run):
    _, events, _ = run(Tally(), JOBS[:1], on_event=lambda e, pool: isinstance(e, Started) and os.kill(e.pid, signal.SIGKILL))
    assert results(events)[JOBS[0]].type == "Killed" and len(pids(events)) == KILLED_ATTEMPTS


def test_an_exception_has_its_cause_and_its_trace(run):
    missing, unknown = EpisodeKey("object", 77, 0), EpisodeKey("goal", 0, 0)
    _, events, _ = run(Tally(), [missing, unknown, JOBS[0]], workers=1)
    found = results(events)
    assert found[missing].type == "SuiteError" and "no task 77" in found[missing].message
    assert "Traceback" in found[missing].trace and "fakes.py" in found[missing].trace
    assert found[unknown].type == "KeyError" and isinstance(found[JOBS[0]], int)


def test_requests_are_answered_and_later_attempts_alone(run):
    batches = []

    def answer(attempts, observations):
        batches.append([(attempt.job.init_state, attempt.number) for attempt in attempts])
        assert [attempt.job for attempt in attempts] == [observation.episode for observation in observations]
        if attempts[0].number == 1:
            time.sleep(0.3)  # so that the other worker sends its request, too
            return [ErrorReport("Fault", "", "")] * len(attempts)
        return [np.full((1, 7), float(attempt.job.init_state)) for attempt in attempts]

    _, events, _ = run(Asking(), answer=answer)
    assert {job: result[0][0] for job, result in results(events).items()} == {job: float(job.init_state) for job in JOBS}
    assert all(len(batch) == 1 or {number for _, number in batch} == {1} for batch in batches)
    assert sorted(entry for batch in batches for entry in batch) == [(i, number) for i in range(4) for number in (1, 2)]


def test_a_stop_finishes_what_is_in_flight(run):
    complete, events, queue = run(Tally(), on_event=lambda event, pool: isinstance(event, Started) and pool.stop())
    assert complete and len(results(events)) == 1 and len(queue.left) == 3


def test_the_second_ctrl_c_kills_what_is_in_flight(run):
    def press(event, pool):
        if isinstance(event, Started):
            os.kill(os.getpid(), signal.SIGINT)
            if len(pressed) == 1:
                os.kill(os.getpid(), signal.SIGINT)
            pressed.append(event.pid)

    pressed = []
    before = signal.getsignal(signal.SIGINT)
    complete, events, _ = run(Tally(), on_event=press)
    assert complete and len(results(events)) == 1  # once: the job in flight was finished
    complete, events, _ = run(Tally(), on_event=press)
    assert not complete and not results(events)
    assert signal.getsignal(signal.SIGINT) is before
    with pytest.raises(ProcessLookupError):
        os.kill(pids(events)[0], 0)


class Unmade(FakeSimulator):
    def __init__(self, suite):
        raise OSError("no display")


def test_a_simulator_that_cannot_be_made_is_an_error(run):
    _, events, _ = run(Tally(), JOBS[:1], made_by=Simulators(simulators().suites, Unmade))
    assert results(events)[JOBS[0]].message == "no display"


def test_ten_errors_in_a_row_are_a_reason_to_stop():
    streak = ErrorStreak("episodes")
    for error in [*["a crash"] * 9, None, *["a hang"] * 9]:
        streak.add(error)
        assert streak.stop_reason is None
    streak.add("no memory")
    assert streak.stop_reason == "10 episodes in a row ended in errors, the last one: no memory"
