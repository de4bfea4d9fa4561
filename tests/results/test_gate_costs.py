"""`vla-bench gate --max-more-tokens` and its like: costs on the paired init states."""

import json

import pytest

from vla_bench.errors import UsageError
from vla_bench.results.gate_costs import CostLimits

from ..made_runs import a_run, episode, with_tasks


def costing(folder, **metrics):
    return str(with_tasks(folder, {("object", 0): "s" * 12}, **metrics))


@pytest.fixture
def gate(cli, tmp_path):
    """The exit code and the words of a gate of two runs with these metrics."""

    def judge(base, new, *options):
        runs = [costing(tmp_path / f"{name}-{len(list(tmp_path.iterdir()))}", **each) for name, each in (("a", base), ("b", new))]
        done = cli("gate", *runs, "--must-see", "100", *options)
        return done.exit_code, done.stdout

    return judge


def test_counts_are_compared_with_the_baseline_s(gate):
    base, more = {"kept_tokens_mean": 100.0, "gflops_mean": 2.0}, {"kept_tokens_mean": 110.0, "gflops_mean": 2.0}
    code, words = gate(base, more, "--max-more-tokens", "9", "--max-more-gflops", "0")
    assert code == 1 and "costs more (detect)" in words
    assert "kept tokens 100 before, 110 now: ratio 1.100, at most 1.090 (--max-more-tokens): costs more" in words
    assert "cost of a query 2 GFLOP before, 2 GFLOP now: ratio 1.000, at most 1.000 (--max-more-gflops): passed" in words
    assert gate(base, more, "--max-more-tokens", "10")[0] == 0 and gate(base, more)[0] == 0  # no gate unless asked for


def test_what_is_not_recorded_is_no_pass(gate):
    code, words = gate({"kept_tokens_mean": 100.0}, {}, "--max-more-tokens", "10")
    assert code == 3 and "kept tokens: the new run does not tell it for these init states" in words
    code, words = gate({"policy_ms_mean": None}, {"policy_ms_mean": 5.0}, "--max-slowdown", "1.2")
    assert code == 3 and "the baseline has no times by init state" in words


def test_times_need_an_interval_beyond_the_limit(cli, gate, tmp_path):
    assert gate({"policy_ms_mean": 10.0}, {"policy_ms_mean": 13.0}, "--max-slowdown", "1.2")[0] == 1
    assert gate({"policy_ms_mean": 10.0}, {"policy_ms_mean": 11.0}, "--max-slowdown", "1.2")[0] == 0
    base = costing(tmp_path / "base", policy_ms_mean=10.0)
    noisy = tmp_path / "noisy"
    a_run(noisy, "")
    lines = [episode(i, task_id=0, policy_ms_mean=9.0 if i % 2 else 15.0).to_json() for i in range(12)]
    (noisy / "episodes.jsonl").write_text("\n".join(lines) + "\n")
    done = cli("gate", base, str(noisy), "--must-see", "100", "--max-slowdown", "1.2")
    assert done.exit_code == 3 and "the limit lies within the interval" in done.stdout and "no benchmark" in done.stdout
    few = cli("gate", base, str(noisy), "--must-see", "100", "--max-slowdown", "9", "--init-states", "0-5", "--tasks", "0")
    assert few.exit_code == 3 and "6 init states with times are too few" in few.stdout


def test_a_drop_is_graver_than_a_cost(cli, tmp_path):
    base = costing(tmp_path / "base", kept_tokens_mean=10.0)
    new = str(with_tasks(tmp_path / "new", {("object", 0): "f" * 12}, kept_tokens_mean=20.0))
    found = json.loads(cli("gate", base, new, "--max-more-tokens", "0", "--format", "json").stdout)
    assert found["finding"] == "dropped" and found["costs"][0]["finding"] == "costs more" and found["costs"][0]["ratio"] == 2


def test_limits_that_make_no_sense():
    for wrong, words in (({"more_tokens": -0.1}, "--max-more-tokens"), ({"slowdown": 0}, "ratio of times above 0")):
        with pytest.raises(UsageError, match=words):
            CostLimits(**wrong)
