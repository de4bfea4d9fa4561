"""Reported queries, from chunks to the run folder, with a fake model of known numbers and a fake simulator."""

import dataclasses
import json
import math

import numpy as np
import pytest

from vla_bench.errors import DamagedRunError, NotComparableError, RecordError
from vla_bench.policies.base import Chunk
from vla_bench.policies.simple import NoopPolicy
from vla_bench.queries import read_queries, write_queries
from vla_bench.query_record import QueryRecord
from vla_bench.records import EpisodeKey, Status, read_episodes, read_run
from vla_bench.rollout import plan, world_setup
from vla_bench.rollout.evaluate import evaluate
from vla_bench.rollout.folder import RunFolder
from vla_bench.rollout.progress import ProgressDisplay
from vla_bench.rollout.request import EvalRequest
from vla_bench.suites import load_suite
from vla_bench.world.observation import Sight

from ..conftest import ASSETS
from ..made_runs import episode, run
from .fakes import make_fake

HORIZON = 40
KEY = EpisodeKey("object", 3, 0)


class Fake(NoopPolicy):
    """Keeps 30 + n of the agent's tokens and 9 of the wrist's at its n-th query of an episode."""

    name = "fake"
    sight = Sight.STATE
    card = (("checkpoint", "none (numbers only)"), ("pruner", "[arithmetic] (there is no other)"))
    visual_tokens = 512

    def __init__(self, dtype="float32"):
        self.identity = {"dtype": dtype, "pruner": "arithmetic"}

    def act(self, observations):
        stages = {"preprocess": 2.00049, "vision": np.float32(10.5), "decoder": 20.25}
        still = super().act(observations)
        kept = [(np.int64(30 + o.step // 8), 9) for o in observations]
        return [Chunk(c.actions, k, stages, 21, 2997.0) for c, k in zip(still, kept, strict=True)]


@pytest.fixture
def evaluate_fake(monkeypatch, tmp_path, capsys):
    """Evaluate a fake model on two short episodes of Object: the result, and standard error."""
    suite = dataclasses.replace(load_suite("object"), horizon=HORIZON)
    monkeypatch.setattr(plan, "load_suites", lambda *asked: [suite])
    monkeypatch.setattr(world_setup, "make_simulator", make_fake)

    def go(policy, trials=2, out=tmp_path / "run"):
        monkeypatch.setattr(plan, "make_policy", lambda choice, model: policy)
        what = {"suite": "object", "model": "openvla-oft", "trials": trials, "tasks": "0", "pruner": "arithmetic"}
        request = EvalRequest(**what, assets=ASSETS, video="none", workers="2", out=out)
        return evaluate(request, ProgressDisplay()), capsys.readouterr().err

    return go


def test_a_model_s_run_holds_what_it_reported(evaluate_fake, schema):
    result, said = evaluate_fake(Fake())
    folder = result.run_dir

    for name, file in (("episode", "episodes.jsonl"), ("queries", "queries.jsonl")):
        lines = (folder / file).read_text().splitlines()
        assert len(lines) == 2
        for line in lines:
            schema(name, json.loads(line))
    schema("run", json.loads((folder / "run.json").read_text()))
    config = read_run(folder).config
    assert config["model"] == "openvla-oft" and config["pruner"] == "arithmetic"
    assert config["policy"] == {"dtype": "float32", "pruner": "arithmetic", "visual_tokens": 512}

    queries = read_queries(folder)
    for each in read_episodes(folder):
        assert each.queries == 5 and [query.step for query in queries[each.key]] == [0, 8, 16, 24, 32]
        times = {"preprocess": 2.0, "vision": 10.5, "decoder": 20.25}
        expected = QueryRecord(24, (33, 9), 21, times, 2997.0, policy_ms=queries[each.key][3].policy_ms)
        assert queries[each.key][3] == expected and expected.policy_ms > 0
        metrics = each.metrics
        assert [metrics[f"kept_tokens_{name}"] for name in ("min", "mean", "max")] == [39, 41, 43]
        assert metrics["kept_tokens_sd"] == math.sqrt(2) and each.kept_tokens_by_camera == [32, 9]
        assert (metrics["preprocess_ms_mean"], metrics["model_ms_mean"], metrics["gflops_mean"]) == (2.0, 30.75, 2997.0)
        assert (metrics["vision_ms_mean"], metrics["prune_ms_mean"], metrics["decoder_ms_mean"]) == (10.5, None, 20.25)

    total = result.to_dict()
    assert (
        total["kept_tokens_mean"] == 41
        and total["visual_tokens"] == 512
        and total["policy_ms_mean"] > 0
        and total["kept_tokens_sd"] == math.sqrt(2)
    )
    assert "| object | all |  | 2 | 0 | 0.0 | 0.0 - 65.8 | - | 41.0 ± 1.4 | 2997.0 |" in (folder / "summary.md").read_text()
    assert "  checkpoint  none (numbers only)\n  pruner      [arithmetic] (there is no other)" in said


def test_models_of_another_identity_do_not_share_a_folder(evaluate_fake):
    evaluate_fake(Fake(), trials=1)
    with pytest.raises(NotComparableError, match=r"policy.dtype: 'float32' there, 'bfloat16' now"):
        evaluate_fake(Fake("bfloat16"), trials=1)


class InvalidTimes(Fake):
    """Reports an invalid time in one episode."""

    def act(self, observations):
        chunks = super().act(observations)
        times = [{"vision": float("nan")} if o.episode.init_state else {} for o in observations]
        return [Chunk(c.actions, c.kept_tokens, ms) for c, ms in zip(chunks, times, strict=True)]


def test_invalid_numbers_end_their_own_episode_only(evaluate_fake):
    result, _ = evaluate_fake(InvalidTimes())
    valid, failed = sorted(read_episodes(result.run_dir), key=lambda e: e.key)
    assert valid.status is Status.FAILURE and valid.metrics["kept_tokens_mean"] == 41 and valid.metrics["model_ms_mean"] is None
    assert failed.status is Status.ERROR and "{'vision': nan}" in failed.error["message"]
    assert set(read_queries(result.run_dir)) == {valid.key}


def queries_of(*kept):
    return [QueryRecord(8 * i, k, None, {}) for i, k in enumerate(kept)]


def test_the_last_line_of_an_episode_counts_and_half_a_line_does_not(tmp_path):
    write_queries(tmp_path, KEY, queries_of((1, 2)))
    other = KEY._replace(init_state=1)
    write_queries(tmp_path, other, queries_of((5, 6)))
    write_queries(tmp_path, KEY, queries_of((3, 4), (7, 8)))
    with open(tmp_path / "queries.jsonl", "a") as file:
        file.write('{"suite": "object", "task_id": 3, "init')  # the machine stopped here
    write_queries(tmp_path, KEY._replace(repeat=1), queries_of((9, 9)))
    expected = {KEY: queries_of((3, 4), (7, 8)), other: queries_of((5, 6)), KEY._replace(repeat=1): queries_of((9, 9))}
    assert read_queries(tmp_path) == expected


def test_policies_that_report_nothing_write_nothing(tmp_path):
    write_queries(tmp_path, KEY, queries_of(None, None))
    assert read_queries(tmp_path) == {} and list(tmp_path.iterdir()) == []
    write_queries(tmp_path, KEY, [QueryRecord(0, None, None, {"network": 3.5})])
    assert read_queries(tmp_path) == {KEY: [QueryRecord(0, None, None, {"network": 3.5})]}


@pytest.mark.parametrize(
    "line", ['{"suite": "object"}', "[1]", '{"suite":"object","task_id":0,"init_state":0,"repeat":0,"queries":3}']
)
def test_whole_lines_that_hold_no_queries_are_an_error(tmp_path, line):
    (tmp_path / "queries.jsonl").write_text(line + "\n")
    with pytest.raises(RecordError, match=r"queries.jsonl:1 is not an episode's queries"):
        read_queries(tmp_path)


@pytest.mark.parametrize(
    ("old", "new"), [('"step":0', '"step":NaN'), ('"step":0', '"step":'), ("}\n", "\n"), ('"kept"', '"kelt"')]
)
def test_a_damaged_line_of_queries(tmp_path, old, new):
    for number in (0, 1):
        write_queries(tmp_path, KEY._replace(init_state=number), queries_of((3, 4)))
    path = tmp_path / "queries.jsonl"
    path.write_text(path.read_text().replace(old, new, 1))
    with pytest.raises(DamagedRunError, match=r"queries.jsonl:1 is") as caught:
        read_queries(tmp_path)
    assert caught.value.exit_code == 4 and "doctor" in caught.value.fix


def test_a_recorded_episode_has_its_queries(tmp_path):
    """Whatever stops the episode's own line from being written comes after its queries were."""
    folder = RunFolder(tmp_path / "r", run())
    (tmp_path / "r" / "episodes.jsonl").mkdir()
    with pytest.raises(RecordError):
        folder.add(episode(), None, queries_of((3, 4)))
    folder.close()
    assert read_queries(tmp_path / "r") == {KEY: queries_of((3, 4))}


@pytest.mark.parametrize("kept", [(), (3, -1)])
def test_counts_that_cannot_be(kept):
    with pytest.raises(ValueError, match="impossible token counts"):
        QueryRecord.of(0, kept, None, {})
