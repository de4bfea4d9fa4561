import pytest

from vla_bench.policies.threads import thread_count

NANO, SEVEN_B = 2_351_431, 7_500_000_000


@pytest.mark.parametrize(("parameters", "free", "threads"), [(NANO, 16, 1), (SEVEN_B, 16, 16), (SEVEN_B, 0, 1)])
def test_a_small_model_gets_one_thread_and_a_large_one_the_free_cores(monkeypatch, parameters, free, threads):
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert thread_count(free, parameters) == threads


@pytest.mark.parametrize(("text", "threads"), [("3", 3), ("4,2", 4), ("", 1), ("many", 1), ("0", 1)])
def test_omp_num_threads_decides(monkeypatch, text, threads):
    monkeypatch.setenv("OMP_NUM_THREADS", text)
    assert thread_count(16, NANO) == threads
