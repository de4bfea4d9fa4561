"""`vla-bench ablate`: variants on the same episodes as the model, through the command line and real simulators."""

import json
import shutil
from dataclasses import replace
from types import SimpleNamespace

import pytest

from vla_bench.checkpoints.known import WEIGHTS
from vla_bench.errors import UsageError
from vla_bench.queries import read_queries
from vla_bench.records import read_run
from vla_bench.report.ablation import print_ablation
from vla_bench.rollout import sweep as module
from vla_bench.rollout.ablate import ablate
from vla_bench.rollout.request import EvalRequest
from vla_bench.values import Control, OtherPositions

from ..conftest import ASSETS
from ..made_runs import SHA, a_run

ONE = ("--suite", "object", "--tasks", "0", "--init-states", "0", "--assets", ASSETS, "--workers", "1")


def test_variants_run_on_the_episodes_of_the_model(cli, tmp_path):
    """The "other" weights are the same here, so they must act the same to the last token."""
    for name in ("m", "m-no-noise"):
        shutil.copytree(WEIGHTS / "nano-lightvla", tmp_path / name)
    command = ["ablate", *ONE, "--model", str(tmp_path / "m"), "--noise-schedule", "none", "--tokens", "0.9k"]
    done = cli(*command, "--out", str(tmp_path / "runs"), "--format", "json", "--tensorboard", str(tmp_path / "tb"))
    assert done.exit_code == 0
    tracked = sorted(folder.name.rpartition("-")[0] for folder in (tmp_path / "tb").iterdir())
    assert tracked == ["0.9k-tokens", "noise-none", "whole"]
    result = json.loads(done.stdout)
    whole, same, fewer = result["rows"]
    assert [row["name"] for row in result["rows"]] == ["whole", "noise none", "0.9k tokens"]
    assert same["pairs"]["lost"] == same["pairs"]["gained"] == 0 and same["kept_tokens_mean"] == whole["kept_tokens_mean"]
    assert fewer["pairs"]["errors"] == 0
    first = [next(iter(read_queries(tmp_path / "runs" / run).values()))[0] for run in ("whole", "0.9k-tokens")]
    kept, left = (sum(query.kept) for query in first)
    assert left == kept - round(0.1 * kept) < kept
    assert read_run(tmp_path / "runs" / "0.9k-tokens").config["policy"]["pruner"].startswith("drop-random(lightvla")
    assert (result["paper"][0]["success"], result["paper"][0]["tokens"]) == (97.4, 78)
    assert result["paper"][2]["suites"]["object"] == 97.8
    again = cli(*command, "--out", str(tmp_path / "runs"))  # everything is recorded already
    assert (
        again.exit_code == 0
        and "97.0 %, 72" in again.stdout
        and "(97.8)" in again.stdout
        and "0 of 1 episodes to run" in again.stderr
    )


def test_what_cannot_be_varied_is_refused_before_any_episode(monkeypatch):
    with pytest.raises(UsageError, match="openvla-oft-constant-noise does not exist"):
        ablate(EvalRequest(model="openvla-oft"), ("constant",))
    monkeypatch.setattr(module, "evaluate", lambda *_: pytest.fail("an episode ran"))
    for model in ("nano-oft", "noop"):
        with pytest.raises(UsageError, match="keeps every image token"):
            ablate(EvalRequest(model=model, assets=ASSETS), tokens=("2k",))


def test_an_interruption_ends_the_rest(monkeypatch, capsys, tmp_path):
    requests = []

    def stopped(request, observer):
        """The model's own run ends, the variant's is stopped before its first episode does."""
        requests.append(request)
        return SimpleNamespace(exit_code=130 if request.pruner else 0)

    monkeypatch.setattr(module, "evaluate", stopped)
    base = EvalRequest(model="nano", assets=ASSETS, seed=7, out=tmp_path, command="vla-bench ablate --tokens 2k")
    ablation = ablate(base, tokens=("2k", "0.9k"))
    assert ablation.rows == [] and ablation.exit_code == 130
    assert [request.seed for request in requests] == [0, 0] and "seed=7" in requests[1].pruner
    print_ablation(ablation)
    assert "resume      vla-bench ablate --tokens 2k" in capsys.readouterr().err


def test_table_5_controls_and_positions_are_rows_beside_what_the_paper_has(monkeypatch, tmp_path, capsys):
    requests = []

    def made(request, observer):
        requests.append(request)
        a_run(request.out, "ssf", tokens=12.0, model=request.model, policy={"pruner": request.pruner, "checkpoint": SHA})
        return SimpleNamespace(exit_code=0)

    monkeypatch.setattr(module, "evaluate", made)
    base = EvalRequest(suite="object", model="nano", assets=ASSETS, out=tmp_path)
    ablation = ablate(base, star=True, controls=(Control.RANDOM, Control.INVERSE))
    assert [request.model for request in requests][1:3] == ["nano-lightvla-star-vision", "nano-lightvla-star-llm1"]
    assert [request.pruner for request in requests][3:] == ["random(keep=12,seed=0)", "inverse(score-lightvla(keep=12))"]
    assert [row.name for row in ablation.rows] == ["whole", "star-vision", "star-llm1", "random tokens", "inverse tokens"]
    assert [each.success for each in ablation.published] == [97.4, 96.2, 97.0, None, None]
    assert ablation.published[2].suites["object"] == 98.0
    print_ablation(ablation)
    printed = capsys.readouterr()
    assert "66.7 (98.0)" in printed.out and "lightvla-star-llm2, lightvla-star-llm3: these positions" in printed.err
    beside = ablate(replace(base, out=tmp_path / "positions"), positions=(OtherPositions.CONTIGUOUS,))
    assert [row.name for row in beside.rows] == ["whole", "contiguous positions"] and beside.published[1].success is None
    assert requests[-1].pruner == "lightvla(positions=contiguous)"
    with pytest.raises(UsageError, match='lightvla-star-vision has no argument "positions"'):
        star = replace(base, model="nano-lightvla-star-vision", out=tmp_path / "star")
        ablate(star, positions=(OtherPositions.CONTIGUOUS,))
    with pytest.raises(UsageError, match="no weights of nano-oft with learnable queries"):
        ablate(EvalRequest(model="nano-oft", assets=ASSETS), star=True)
