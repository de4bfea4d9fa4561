"""`vla-bench ablate`: variants on the same episodes as the model, through the command line and real simulators."""

import json
import shutil
from types import SimpleNamespace

import pytest

from vla_bench.checkpoints.known import WEIGHTS
from vla_bench.errors import UsageError
from vla_bench.queries import read_queries
from vla_bench.records import read_run
from vla_bench.report.ablation import print_ablation
from vla_bench.rollout import ablate as module
from vla_bench.rollout.ablate import ablate
from vla_bench.rollout.plan import EvalRequest

from ..conftest import ASSETS

ONE = ("--suite", "object", "--tasks", "0", "--init-states", "0", "--assets", ASSETS, "--workers", "1")


def test_variants_run_on_the_episodes_of_the_model(cli, tmp_path):
    """The "other" weights are the same here, so they must act the same to the last token."""
    for name in ("m", "m-no-noise"):
        shutil.copytree(WEIGHTS / "nano-lightvla", tmp_path / name)
    command = ["ablate", *ONE, "--model", str(tmp_path / "m"), "--noise-schedule", "none", "--tokens", "0.9k"]
    done = cli(*command, "--out", str(tmp_path / "runs"), "--format", "json")
    assert done.exit_code == 0
    result = json.loads(done.stdout)
    whole, same, fewer = result["rows"]
    assert [row["name"] for row in result["rows"]] == ["whole", "noise none", "0.9k tokens"]
    assert same["pairs"]["lost"] == same["pairs"]["gained"] == 0 and same["kept_tokens_mean"] == whole["kept_tokens_mean"]
    assert fewer["pairs"]["errors"] == 0
    first = [next(iter(read_queries(tmp_path / "runs" / run).values()))[0] for run in ("whole", "0.9k-tokens")]
    kept, left = (sum(query.kept) for query in first)
    assert left == kept - round(0.1 * kept) < kept
    assert read_run(tmp_path / "runs" / "0.9k-tokens").config["policy"]["pruner"].startswith("drop-random(lightvla")
    assert result["paper"][0] == {"success": 97.4, "tokens": 78}
    again = cli(*command, "--out", str(tmp_path / "runs"))  # everything is recorded already
    assert again.exit_code == 0 and "97.0 %, 72" in again.stdout and "0 of 1 episodes to run" in again.stderr


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
        ended = 0 if request.pruner else 1
        summary = SimpleNamespace(total=SimpleNamespace(episodes=ended))
        code = 0 if ended else 130
        return SimpleNamespace(run_dir=tmp_path, summary=summary, exit_code=code, command="vla-bench ablate --tokens 2k")

    monkeypatch.setattr(module, "evaluate", stopped)
    ablation = ablate(EvalRequest(model="nano", assets=ASSETS, seed=7), tokens=("2k", "0.9k"))
    assert ablation.rows == [] and ablation.exit_code == 130
    assert [request.seed for request in requests] == [0, 0] and "seed=7" in requests[1].pruner
    print_ablation(ablation)
    assert "resume      vla-bench ablate --tokens 2k" in capsys.readouterr().err
