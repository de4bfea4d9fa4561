"""Which attempts at a task are made, and what is recorded of them."""

import json

import numpy as np
import pytest

from vla_bench.demonstrations.attempts import MAX_FAILED_ATTEMPTS, AttemptRecord, TaskProgress, attempt_seed
from vla_bench.demonstrations.recording import Ending

from .common import SUITE, TASK, attempt


@pytest.mark.parametrize("workers", [1, 2, 3, 5])
def test_the_attempts_made_do_not_depend_on_the_workers(workers):
    """Whatever order they end in: numbers without a gap, and none more than needed."""
    random = np.random.default_rng(workers)
    fate = [Ending.SUCCESS if random.random() < 0.6 else Ending.FAILURE for _ in range(99)]
    progress, flying = TaskProgress(SUITE, SUITE.task(TASK), 10), []
    while True:
        while len(flying) < workers and (number := progress.next(flying)) is not None:
            flying.append(number)
        if not flying:
            break
        number = flying.pop(random.integers(len(flying)))
        progress.attempts[number] = attempt(number, fate[number])
    made = next(n for n in range(99) if fate[: n + 1].count(Ending.SUCCESS) == 10) + 1
    assert progress.done and sorted(progress.attempts) == list(range(made)) and len(progress.successes) == 10


def test_a_task_that_never_succeeds_is_given_up():
    progress = TaskProgress(SUITE, SUITE.task(TASK), 10)
    while (number := progress.next(())) is not None:
        progress.attempts[number] = attempt(number, Ending.FAILURE)
    assert progress.done and len(progress.attempts) == MAX_FAILED_ATTEMPTS and not progress.successes
    assert (progress.rate.successes, progress.rate.n) == (0, MAX_FAILED_ATTEMPTS)


def test_only_unfinished_tasks_try_errors_again():
    made = {0: attempt(0), 1: attempt(1, Ending.ERROR), 2: attempt(2, Ending.REJECTED)}
    progress = TaskProgress(SUITE, SUITE.task(TASK), 2, made)
    assert progress.next(()) == 3 and progress.rate.n == 1
    progress.forget_errors()
    assert progress.next(()) == 1 and progress.next([1]) is None
    progress.attempts |= {1: attempt(1, Ending.ERROR), 3: attempt(3)}
    progress.forget_errors()
    assert len(progress.attempts) == 4 and progress.next(()) is None


def test_lines_without_disturbed_are_read():
    table = json.loads(attempt(3, pushes=2, disturbed=True).to_json())
    assert AttemptRecord.from_json(json.dumps(table)).disturbed
    del table["disturbed"]
    assert AttemptRecord.from_json(json.dumps(table)).disturbed
    assert not AttemptRecord.from_json(json.dumps(table | {"pushes": 0})).disturbed


def test_a_line_of_the_journal_keeps_its_keys():
    """Folders of earlier versions are resumed."""
    line = (
        '{"suite": "spatial", "task_id": 2, "number": 3, "seed": 1, "ending": "success", "steps": 90, "frames": 60, "noops": 1, '
        '"pushes": 2, "led": 24, "disturbed": true, "wall_s": 2.5, "error": null}'
    )
    record = AttemptRecord.from_json(line)
    assert record.learner_steps == 24 and record.ending is Ending.SUCCESS and record.to_json() == line


def test_every_attempt_has_a_seed_of_its_own():
    seeds = {attempt_seed(s, name, t, n) for s in (0, 1) for name in ("goal", "long") for t in range(10) for n in range(50)}
    assert len(seeds) == 2000 and max(seeds) < 2**32
