"""Which attempt a free worker makes next."""

from vla_bench.demonstrations.attempts import TaskProgress
from vla_bench.demonstrations.recording import Ending
from vla_bench.demonstrations.schedule import DemoSchedule
from vla_bench.suites import load_suite

from .common import SUITE, attempt


def test_processes_stay_with_their_task_and_open_the_longest_next(tmp_path):
    long = load_suite("long")
    tasks = [TaskProgress(SUITE, SUITE.task(0), 2), TaskProgress(long, long.task(3), 2), TaskProgress(SUITE, SUITE.task(1), 2)]
    schedule = DemoSchedule(tasks, 0, tmp_path)
    first, second = schedule.next(None), schedule.next(None)
    assert (first.suite, first.task_id, first.number) == ("long", 3, 0) and (second.suite, second.task_id) == ("spatial", 0)
    assert first.path == tmp_path / "parts" / "libero_10" / long.task(3).name / "attempt_0000.hdf5"
    third = schedule.next(("long", 3))
    assert (third.suite, third.number) == ("long", 1) and schedule.next(("long", 3)).task_id == 1


def test_what_is_put_back_comes_again_before_later_attempts(tmp_path):
    schedule = DemoSchedule([TaskProgress(SUITE, SUITE.task(0), 3)], 0, tmp_path)
    first, second = schedule.next(), schedule.next()
    schedule.put_back(first)
    assert schedule.next() == first and schedule.next().number == 2 and second.number == 1
    assert schedule.next() is None  # three in flight, and three wanted


def test_what_ended_is_made_again_only_if_it_is_not_recorded(tmp_path):
    progress = TaskProgress(SUITE, SUITE.task(0), 2)
    schedule = DemoSchedule([progress], 0, tmp_path)
    job = schedule.next()
    progress.attempts[0] = attempt(0, Ending.FAILURE)
    schedule.ended(job)
    assert schedule.next().number == 1
