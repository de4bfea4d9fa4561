"""How many workers an evaluation has."""

import pytest

from vla_bench import environment
from vla_bench.rollout.plan import worker_count


@pytest.mark.parametrize(
    ("free", "one_by_one", "batched"),
    [(None, 4, 12), (64e9, 4, 12), (10e9, 4, 8), (3e9, 4, 4), (1.3e9, 2, 2), (1e8, 1, 1)],
)
def test_workers_that_wait_for_a_batch_are_more_than_the_cores_as_far_as_memory_allows(
    monkeypatch, primitive, free, one_by_one, batched
):
    monkeypatch.setattr(environment, "cpu_count", lambda: 4)
    monkeypatch.setattr(environment, "available_memory", lambda: free)
    assert worker_count("auto", 100, primitive) == one_by_one
    assert worker_count("auto", 100, primitive, batched=True) == batched
    assert worker_count("auto", 3, primitive, batched=True) == min(3, batched)
    assert worker_count("7", 100, primitive) == worker_count("7", 100, primitive, batched=True) == 7


def test_the_bundled_model_answers_in_batches_and_a_script_does_not(cli, monkeypatch):
    monkeypatch.setattr(environment, "cpu_count", lambda: 2)
    monkeypatch.setattr(environment, "available_memory", lambda: 64e9)
    what = ("eval", "--suite", "object", "--assets", "primitive", "--dry-run", "--format", "json")
    assert '"workers": 6' in cli(*what, "--model", "nano").stdout
    assert '"workers": 2' in cli(*what, "--model", "expert").stdout
