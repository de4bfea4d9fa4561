"""`vla-bench sweep`: rows checked before any episode, resumed, as many tokens as a run kept, what is left out said."""

import json
from types import SimpleNamespace

import pytest

from vla_bench.errors import NotComparableError, UsageError
from vla_bench.lines import append_line
from vla_bench.records import write_run
from vla_bench.results.sweep_file import read_sweep
from vla_bench.rollout import sweep as module
from vla_bench.rollout.request import EvalRequest
from vla_bench.rollout.sweep import run_sweep
from vla_bench.rollout.sweep_definition import Row, Sweep, sweep_of

from ..conftest import ASSETS
from ..made_runs import ENDINGS, SHA, episode, run

KEPT = {"spatial": 14.2, "object": 10.6}
OWN, RANDOM = Row("own", "nano"), Row("random", "nano", "random(keep=match:own)")


def a_sweep(*rows):
    return Sweep("mine", "Which?", rows, rows[0].name)


@pytest.fixture
def evaluated(monkeypatch):
    """What was evaluated; each run is recorded with one task a suite, and ends as `codes` says, by folder."""
    requests, codes = [], {}

    def evaluate(request, observer):
        requests.append(request)
        folder, suites = request.out, request.suite.split(",")
        policy = {"pruner": request.pruner or "lightvla", "visual_tokens": 128}
        one = run(suites=dict.fromkeys(suites, SHA), model=request.model, pruner=request.pruner, policy=policy)
        one.suites = dict.fromkeys(suites, {})
        one.status = "interrupted" if folder.name in codes else "complete"
        folder.mkdir(exist_ok=True)
        write_run(folder, one)
        (folder / "episodes.jsonl").unlink(missing_ok=True)
        for suite in suites:
            kept = KEPT[suite]
            for state, outcome in enumerate("sssf" if request.pruner else "ssss"):
                ended = episode(state, ENDINGS[outcome], suite=suite, task_id=0, task="a_task", kept_tokens_mean=kept)
                append_line(folder / "episodes.jsonl", ended.to_json())
        return SimpleNamespace(exit_code=codes.get(folder.name, 0))

    monkeypatch.setattr(module, "evaluate", evaluate)
    return SimpleNamespace(requests=requests, codes=codes)


def request(tmp_path, **more):
    return EvalRequest(suite="spatial,object", init_states="0-3", assets=ASSETS, out=tmp_path / "out", **more)


def test_a_row_has_as_many_tokens_as_a_run_kept_in_each_suite(evaluated, tmp_path):
    result = run_sweep(a_sweep(OWN, RANDOM), request(tmp_path))
    asked = [(each.out.name, each.suite, each.pruner) for each in evaluated.requests]
    assert asked[0] == ("own", "spatial,object", None)
    assert asked[1:] == [("random-spatial", "spatial", "random(keep=14)"), ("random-object", "object", "random(keep=11)")]
    own, drawn = result.rows
    assert (own.name, drawn.name, drawn.pairs.fell, drawn.rate.n) == ("own", "random", 2, 8) and result.exit_code == 0
    assert [each.pruner for each in read_sweep(tmp_path / "out").row("random").runs] == ["random(keep=14)", "random(keep=11)"]


def test_a_number_once_found_stays_and_rows_of_before_stay(evaluated, tmp_path, monkeypatch):
    run_sweep(a_sweep(OWN, RANDOM), request(tmp_path))
    monkeypatch.setitem(KEPT, "object", 30.0)
    run_sweep(a_sweep(OWN, RANDOM, Row("grid", "nano", "grid(keep=9)")), request(tmp_path))
    assert [each.pruner for each in evaluated.requests if each.suite == "object"] == ["random(keep=11)"] * 2
    result = run_sweep(a_sweep(OWN), request(tmp_path))
    assert [row.name for row in read_sweep(tmp_path / "out").rows] == ["own", "random", "grid"] and result.rows == []
    with pytest.raises(NotComparableError, match="has a row random of nano"):
        run_sweep(a_sweep(OWN, Row("random", "nano", "random(keep=3)")), request(tmp_path))


def test_an_interruption_ends_the_rest_and_errors_do_not(evaluated, tmp_path):
    others = Row("grid", "nano", "grid(keep=9)"), Row("text", "nano", "score-text(keep=9)")
    evaluated.codes.update({"grid": 5})
    assert run_sweep(a_sweep(OWN, *others), request(tmp_path)).exit_code == 5
    assert [each.out.name for each in evaluated.requests] == ["own", "grid", "text"]
    evaluated.codes.update({"grid": 130})
    result = run_sweep(a_sweep(OWN, *others), request(tmp_path), only=["grid", "text"])
    assert result.exit_code == 130 and [each.out.name for each in evaluated.requests[3:]] == ["grid"]
    assert [row.name for row in result.rows] == ["own", "grid", "text"]  # those of before count


def test_tokens_of_a_run_that_is_not_complete_are_not_taken_over(evaluated, tmp_path):
    evaluated.codes.update({"own": 5})
    with pytest.raises(NotComparableError, match="tokens of own, which is not complete but interrupted"):
        run_sweep(a_sweep(OWN, RANDOM), request(tmp_path))


def test_a_run_of_another_configuration_is_refused_with_a_command_that_sweep_has(evaluated, tmp_path, monkeypatch):
    def refused(request, observer):
        raise NotComparableError(f"{request.out} holds a run of another configuration", "start over with --fresh")

    monkeypatch.setattr(module, "evaluate", refused)
    with pytest.raises(NotComparableError) as caught:
        run_sweep(a_sweep(OWN), request(tmp_path))
    assert caught.value.instead == {"--out": f"{tmp_path / 'out'}-2"} and "--fresh" not in str(caught.value)


@pytest.mark.parametrize(
    ("row", "said"),
    [
        (Row("x", "nanno"), "nanno"),
        (Row("x", "nano", "fastvv"), 'unknown pruner "fastvv"'),
        (Row("x", "nano", "fastv(kep=match:own)"), 'no argument "kep"'),
        (Row("x", "nano", "random(keep=match:oven)"), 'neither a row before it nor a run. Did you mean "own"'),
        (Row("x", "expert", "random"), "expert has no image tokens to prune"),
    ],
)
def test_every_row_is_checked_before_any_episode(evaluated, tmp_path, row, said):
    with pytest.raises(UsageError, match=said):
        run_sweep(a_sweep(OWN, row), request(tmp_path))
    assert evaluated.requests == [] and not (tmp_path / "out").exists()


def test_a_shard_is_refused_where_the_whole_run_must_be_known(evaluated, tmp_path):
    run_sweep(a_sweep(OWN), request(tmp_path))
    summary = str(tmp_path / "out" / "own")
    run_sweep(sweep_of(["nano"], [f"random(keep=match:{summary})"]), request(tmp_path, shard="1/2"))
    assert evaluated.requests[-1].pruner == "random(keep=11)" and evaluated.requests[-1].shard == "1/2"
    with pytest.raises(UsageError, match="this machine has one shard"):
        run_sweep(a_sweep(OWN, RANDOM), request(tmp_path, shard="1/2"))


def test_what_is_shipped_is_listed(cli):
    assert "controls        Does the choice of image tokens matter?" in cli("sweep").stdout
    assert json.loads(cli("sweep", "--format", "json").stdout)["table4-tokens"]
