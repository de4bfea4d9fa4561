from vla_bench.records import EpisodeKey
from vla_bench.rollout.pool import ERRORS_IN_A_ROW
from vla_bench.rollout.same_cause import SameCause
from vla_bench.rollout.worker import ErrorReport

A, B, C = (EpisodeKey("object", 0, i) for i in range(3))


def no_egl():
    return ErrorReport("ImportError", "Cannot initialize a EGL device display", "trace")


def stops(workers, *failures):
    """Whether these failures are a reason to stop: (job, error) each, None for a job that finished."""
    cause = SameCause(workers)
    for failure in failures:
        cause.finished() if failure is None else cause.failed(*failure)
    return cause.stop_reason


def test_one_cause_in_all_workers_is_a_reason_to_stop():
    why = stops(2, (A, no_egl()), (B, no_egl()))
    assert why == "2 episodes one after another failed with one cause: ImportError: Cannot initialize a EGL device display"
    assert stops(1, (A, no_egl()), (B, no_egl())) == why
    assert stops(3, (A, no_egl()), (B, no_egl())) is None and stops(3, *((job, no_egl()) for job in (A, B, C)))


def test_many_workers_need_not_all_fail():
    jobs = [EpisodeKey("object", 0, i) for i in range(ERRORS_IN_A_ROW)]
    assert stops(64, *((job, no_egl()) for job in jobs)) and not stops(64, *((job, no_egl()) for job in jobs[1:]))


def test_an_episode_that_fails_again_is_no_reason():
    assert stops(2, (A, no_egl()), (A, no_egl()), (A, no_egl())) is None


def test_another_cause_or_a_success_between_is_no_reason():
    assert stops(2, (A, no_egl()), (B, ErrorReport("Crash", "the simulator process died: SIGSEGV", ""))) is None
    assert stops(2, (A, no_egl()), None, (B, no_egl())) is None


def test_a_batch_that_failed_together_counts_once():
    """One of its episodes may be the cause: then it fails alone, too, and the others do not."""
    together = ErrorReport("ValueError", "policy nano: no", "trace")
    assert stops(2, (A, together), (B, together)) is None
    assert stops(2, (A, together), (B, together), (A, ErrorReport("ValueError", "policy nano: no", "trace"))) is None
    assert stops(2, (A, together), (B, together), (C, ErrorReport("ValueError", "policy nano: no", "trace")))


def test_kills_from_outside_are_no_reason():
    killed = [ErrorReport("Killed", "the simulator process was killed from outside", "") for _ in range(2)]
    assert stops(2, *zip((A, B), killed, strict=True)) is None
