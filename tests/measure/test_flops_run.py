"""`vla-bench flops --from-run`: of the model that the run is of, and of the queries with a forward pass in it."""

from __future__ import annotations

import json
from dataclasses import replace

import pytest

from vla_bench.checkpoints.identity import identity
from vla_bench.checkpoints.known import bundled
from vla_bench.errors import NotComparableError, RecordError, UsageError
from vla_bench.interface.lengths import Lengths
from vla_bench.interface.presets import NANO
from vla_bench.measure.flops import Counter, FlopsRequest, count, explain
from vla_bench.model.costs import macs
from vla_bench.model.costs_decoding import decoding_macs
from vla_bench.query_record import QueryRecord
from vla_bench.trace import Cut, QueryTrace
from vla_bench.values import Scope

from ..made_runs import record


def answered(*kept: int, prompt: int = 11) -> list[QueryRecord]:
    """As VLAPolicy records them."""
    found = [count(FlopsRequest(model="nano", pruner="lightvla", kept=(k,), prompt_tokens=prompt))[0].total for k in kept]
    return [QueryRecord.of(8 * i, (k, 0), prompt, {}, gflops) for i, (k, gflops) in enumerate(zip(kept, found, strict=True))]


def test_it_is_the_runs_own_model(tmp_path):
    """What the queries recorded, and not what a 7B would have cost."""
    answers = answered(9, 30, 14)
    (found,) = count(FlopsRequest(from_run=record(tmp_path / "run", {0: answers[:2], 1: answers[2:]})))
    assert (found.model, found.pruner, found.queries) == ("nano", "lightvla", 3)
    assert found.total == pytest.approx(sum(a.gflops for a in answers) / 3, abs=1e-6) and found.total < 1
    assert found.kept_tokens == pytest.approx(53 / 3) and found.prompt_tokens == 11


def test_only_passes_of_episodes_that_ended_count(tmp_path):
    instead = QueryRecord(8, (0, 0), 11, {}, 0.0)
    run = record(tmp_path / "run", {0: [*answered(20), instead]}, {1: answered(128)}, {2: answered(100, 100)})
    (found,) = count(FlopsRequest(from_run=run))
    assert (found.queries, found.kept_tokens) == (1, 20)
    with pytest.raises(UsageError, match="no query with image tokens in an episode that ended"):
        count(FlopsRequest(from_run=record(tmp_path / "none", {0: [instead]}, {1: answered(128)})))


def test_another_model_is_refused_and_another_name_for_it_is_not(tmp_path):
    sha = identity(bundled("nano-lightvla"))
    run = record(tmp_path / "run", {0: answered(9)}, checkpoint=sha)
    for other in ("7b", "nano-oft", "lightvla", "8b"):
        with pytest.raises(NotComparableError, match=f"is a run of nano, not of {other}") as caught:
            count(FlopsRequest(model=other, from_run=run))
        assert caught.value.exit_code == 4 and caught.value.fix == f"vla-bench flops --from-run {run}"
    for same in ("nano", "nano-lightvla", str(bundled("nano-lightvla"))):
        assert count(FlopsRequest(model=same, from_run=run))[0].total < 1
    moved = record(tmp_path / "moved", {0: answered(9)}, model="/elsewhere/checkpoint", checkpoint=sha)
    with pytest.raises(UsageError, match="the sizes of /elsewhere/checkpoint, the model of run .*, cannot be read") as caught:
        count(FlopsRequest(from_run=moved))
    assert "--model FOLDER" in caught.value.fix
    assert count(FlopsRequest(model=str(bundled("nano-lightvla")), from_run=moved))[0].total < 1
    with pytest.raises(NotComparableError, match="with 128 image tokens a query, and 7b has 512"):
        count(FlopsRequest(model="7b", from_run=moved))


def test_public_checkpoints_have_the_papers_sizes(tmp_path):
    answers = [QueryRecord(0, (40, 38), 28, {}, 2997.0)]
    for model in ("lightvla", "TTJiang/LightVLA-libero-10"):
        run = record(tmp_path / model.replace("/", "-"), {0: answers}, model=model, visual_tokens=512)
        assert round(count(FlopsRequest(from_run=run))[0].total, 1) == 2997.0
        assert count(FlopsRequest(from_run=run, model="7b"))[0].total == count(FlopsRequest(from_run=run))[0].total


def test_a_folder_without_a_run_is_a_record_error(tmp_path):
    for folder in (tmp_path, tmp_path / "missing"):
        with pytest.raises(RecordError, match="holds no run: there is no run.json"):
            count(FlopsRequest(from_run=folder))


def test_what_a_run_says_itself_cannot_be_given_beside_it(tmp_path):
    run = record(tmp_path / "run", {0: answered(9)})
    for given in ({"kept": (78,)}, {"prompt_tokens": 28}, {"counter": Counter.TORCH}):
        with pytest.raises(UsageError, match="--" + next(iter(given)).replace("_", "-")):
            count(FlopsRequest(from_run=run, **given))


def test_a_run_that_was_decoded_token_by_token(tmp_path):
    run = record(tmp_path / "run", {0: [QueryRecord(0, (64, 64), 11, {}, None)]}, pruner="none", decoding="ar")
    for scope in Scope:
        (found,) = count(FlopsRequest(from_run=run, scope=scope))
        assert found.total == pytest.approx(2e-9 * sum(decoding_macs(NANO, Lengths.even(NANO, 11, 128), scope).values()))
        assert found.modules.keys() >= {"llm_linear", "llm_attention", "lm_head"} and "head" not in found.modules
    assert found.to_dict()["decoding"] == "ar"
    lines = "\n".join(explain(found, NANO))
    assert "prompt 11 = 13" in lines and "6 passes of one row" in lines and "action slots" not in lines


def test_the_trace_says_the_path(tmp_path):
    """What a run recorded, also of a pruner that cuts several times and of which the last count says too little."""
    cuts = (Cut("before layer 1", 128, 90), Cut("before layer 2", 90, 40, 2), Cut("before layer 4", 42, 30))
    traced = QueryRecord.of(0, (16, 14), 11, {}, 1.0, QueryTrace(cuts))
    policy = {"pruner": "sparsevlm(variant=rank)"}
    (found,) = count(FlopsRequest(from_run=record(tmp_path / "run", {0: [traced]}, **policy)))
    assert found.layer_mean == (128 + 90 + 42 + 42 + 30 + 30) / 6 and found.kept_tokens == 30 and found.cuts == cuts
    with pytest.raises(UsageError, match="recorded only the tokens kept at the end, and .* cuts 4 times"):
        count(FlopsRequest(from_run=record(tmp_path / "old", {0: [QueryRecord.of(0, (16, 14), 11, {})]}, **policy)))


def test_what_the_run_was_told_about_the_model_counts(tmp_path):
    """Cameras and chunk are the user's word where no file says them, and an adapter may bring a head that its base lacks."""
    one = {"cameras": 1, "chunk": 5, "proprio_dim": 0, "decoding": "l1", "visual_tokens": 64}
    run = record(tmp_path / "run", {0: [QueryRecord(0, (64,), 11, {}, None)]}, pruner="none", **one)
    (found,) = count(FlopsRequest(from_run=run))
    config = replace(NANO, cameras=1, chunk=5, proprio_dim=0)
    assert found.total == pytest.approx(2e-9 * sum(macs(config, Lengths.even(config, 11, 64)).values()))
    adapted = record(tmp_path / "lora", {0: [QueryRecord(0, (256, 256), 28, {}, None)]}, pruner="none", visual_tokens=512,
                     model="openvla/openvla-7b", cameras=2, chunk=8, proprio_dim=8, decoding="l1")  # fmt: skip
    assert count(FlopsRequest(from_run=adapted))[0].total == count(FlopsRequest(pruner="none"))[0].total


def test_the_command(cli, tmp_path):
    run = record(tmp_path / "run", {0: answered(9, 20)})
    found = json.loads(cli("flops", "--from-run", str(run), "--format", "json").stdout)
    assert (found["model"], found["queries"], found["kept_tokens"]) == ("nano", 2, 14.5) and found["total_gflops"] < 1
    explained = cli("flops", "--from-run", str(run), "--explain")
    assert explained.exit_code == 0 and "mean query" in explained.stderr
    assert cli("flops", "--from-run", str(run), "--model", "7b").exit_code == 4
    assert cli("flops", "--from-run", str(run), "--kept", "78").exit_code == 2
    assert cli("flops", "--from-run", str(tmp_path / "missing")).exit_code == 6
