import dataclasses
import json
import resource
import subprocess
import sys
from pathlib import Path

import pytest

from ..conftest import ROOT


def test_help_is_quick():
    """Beside the libraries that it cannot do without: 0.4 s of the processor where those take 0.2.  A slow or busy machine is not
    a slow import; torch, numpy or pandas would be seen."""
    ours, libraries = [], []
    for _ in range(5):
        ours.append(cpu_seconds("-m", "vla_bench", "--help"))
        libraries.append(cpu_seconds("-c", "import typer.rich_utils, rich.markdown"))
    assert min(ours) < 2.4 * min(libraries), (ours, libraries)


def cpu_seconds(*command: str) -> float:
    """Of a Python process."""
    before = resource.getrusage(resource.RUSAGE_CHILDREN)
    subprocess.run([sys.executable, *command], capture_output=True, text=True, check=True)
    after = resource.getrusage(resource.RUSAGE_CHILDREN)
    return after.ru_utime + after.ru_stime - before.ru_utime - before.ru_stime


def test_light_commands_import_nothing_heavy():
    code = """
import sys
from typer.testing import CliRunner
from vla_bench.cli import app
result = CliRunner().invoke(app, ["suites"])
assert result.exit_code == 0 and "libero_10" in result.stdout, result
assert "neither a run folder nor a summary" in str(CliRunner().invoke(app, ["compare", "a", "b"]).exception)
assert "one of --discordance and --from" in str(CliRunner().invoke(app, ["plan"]).exception)
heavy = {"torch", "mujoco", "robosuite", "numpy", "matplotlib", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_suites_as_json(cli):
    listed = json.loads(cli("suites", "--format", "json").stdout)
    suites = [suite for suite in listed if suite["family"] is None]
    assert [s["name"] for s in suites] == ["spatial", "object", "goal", "long"] and len(listed) == 4 + 1 + 16
    assert suites[3]["libero_name"] == "libero_10" and len(suites[3]["tasks"]) == 10


def test_options_of_eval_are_these():
    """Adding one is a decision; make it here, too."""
    import typer.main

    from vla_bench.cli import app

    options = {option for p in typer.main.get_command(app).commands["eval"].params for option in p.opts}
    expected = """suite model trials tasks init-states shard workers engine address assets video out fresh frozen-fixtures
        seed format pruner pruner-args decoding unnorm-key action-slice device adapter cameras chunk center-crop open-loop-steps
        against stop-early alpha must-see dry-run overlay tensorboard wandb trackio"""
    assert options == {f"--{name}" for name in expected.split()}


def test_every_option_of_eval_reaches_the_request(cli, monkeypatch):
    from vla_bench.rollout import evaluate

    class Seen(Exception):
        pass

    def see(request, observer):
        raise Seen(request)

    monkeypatch.setattr(evaluate, "evaluate", see)
    given = {
        "suite": "goal",
        "model": "lightvla",
        "trials": 3,
        "tasks": "0-4",
        "init_states": "1-2",
        "shard": "2/8",
        "workers": "7",
    }
    given |= {"engine": "ray", "address": "10.0.0.1:6379"}
    given |= {"assets": "primitive", "video": "all", "out": "somewhere", "seed": 5, "pruner": "fastv", "pruner_args": "layer=3"}
    given |= {"decoding": "ar", "unnorm_key": "libero_goal", "action_slice": "aligned", "device": "cpu", "against": "base"}
    given |= {"adapter": "lora", "cameras": 1, "chunk": 5, "open_loop_steps": 4}
    options = [word for name, value in given.items() for word in (f"--{name.replace('_', '-')}", str(value))]
    with pytest.raises(Seen) as caught:
        cli(
            "eval",
            *options,
            "--fresh",
            "--frozen-fixtures",
            "--no-center-crop",
            *"--stop-early --alpha 0.1 --must-see 15".split(),
        )
    (request,) = caught.value.args
    paths = {"out": Path("somewhere"), "adapter": Path("lora"), "against": Path("base")}
    expected = given | paths | {"fresh": True, "frozen_fixtures": True, "center_crop": False, "command": request.command}
    expected["stop_early"] = {"alpha": 0.1, "must_see": 0.15}
    assert dataclasses.asdict(request) == expected and request.command.startswith("vla-bench")


def test_defaults_of_eval_are_those_of_the_request(cli, monkeypatch):
    from vla_bench.rollout import evaluate

    seen = []
    monkeypatch.setattr(evaluate, "evaluate", lambda request, observer: seen.append(request) or sys.exit(0))
    cli("eval")
    assert seen == [evaluate.EvalRequest(command=seen[0].command)] and seen[0].model == "auto"


def test_options_of_serve_are_these():
    """Those with which `eval` makes a policy, and where to listen."""
    import typer.main

    from vla_bench.cli import app

    commands = typer.main.get_command(app).commands
    options = {name: {option for p in commands[name].params for option in p.opts} for name in ("eval", "serve")}
    assert options["serve"] - options["eval"] == {"--host", "--port", "--max-sessions", "--copies"}
    shared = """suite model pruner pruner-args decoding unnorm-key action-slice adapter cameras chunk center-crop open-loop-steps
        device"""
    assert options["serve"] & options["eval"] == {f"--{name}" for name in shared.split()}


def test_options_of_demos_and_train_are_these():
    import typer.main

    from vla_bench.cli import app

    for command, expected in {
        "demos": "suite per-task out tasks image-size disturb learner workers assets seed lerobot from format",
        "train": """data images strict recipe suite start pruner pruner-args noise-schedule kept-once steps batch accumulate
            learning-rate rate-schedule matrix-rate shares auxiliary freeze lora-rank precision seed out resume save-every export
            device tensorboard wandb trackio""",
        "pruners": "format",
        "flops": "model pruner kept from-run prompt-tokens scope counter explain format",
        "latency": "model pruner vs queries device random-weights kept-distribution from-run speed suite seed out format",
        "agree": "pruner model observations suite episodes out device format",
        "export-onnx": "out model pruner suite format",
        "verify": "fixtures format",
        "doctor": "repair model suite assets format",
        "keep": "suite tasks init-states",
        "export": "format out partial force",
        "compare": "by population out format",
        "gate": """rule margin alpha must-see population per max-more-tokens max-more-gflops max-slowdown suite tasks init-states
            noise junit markdown format""",
        "ablate": """noise-schedule tokens star control positions model suite trials tasks init-states workers assets video out
            seed device tensorboard wandb trackio format""",
        "sweep": """model pruner pruner-args base only suite trials tasks init-states shard workers assets video out device
            tensorboard wandb trackio format""",
        "runs": "status sort format",
        "show": "episode format",
        "paper": "format",
        "report": "out html paper latency",
        "overlay": "episodes contact-sheet workers assets out",
        "models": "format",
        "plan": "drop discordance from n alpha format",
        "noise": "suite model trials tasks init-states workers assets pruner pruner-args device out format",
        "assets": "format",
    }.items():
        options = {option for p in typer.main.get_command(app).commands[command].params for option in p.opts if "-" in option}
        assert options == {f"--{name}" for name in expected.split()}


def test_models_as_json(cli):
    models = json.loads(cli("models", "--format", "json").stdout)
    assert models[0]["name"].startswith("nano") and len(models) >= 10
    assert {"TTJiang/LightVLA-libero-10", "moojink/openvla-7b-oft-finetuned-libero-goal"} <= {m["name"] for m in models}


def test_demos_refuses_what_it_cannot_make(cli):
    assert cli("demos", "--suite", "objct").exit_code == 2
    assert cli("demos", "--suite", "object", "--image-size", "100").exit_code == 2
    nothing = cli("train", "--data", "nowhere")  # said before anything is downloaded
    assert nothing.exit_code == 6 and "nowhere does not exist" in str(nothing.exception)


def test_an_error_is_one_message_and_its_exit_code():
    done = subprocess.run([sys.executable, "-m", "vla_bench", "eval", "--suite", "lnog"], capture_output=True, text=True)
    assert done.returncode == 2 and done.stdout == ""
    assert done.stderr.startswith('error: unknown suite "lnog"') and "fix:" in done.stderr and "Traceback" not in done.stderr


def test_world_does_not_import_torch_and_records_nothing_heavy():
    """The house's rule: imports point down."""
    code = "import sys, {module}\nbad = {forbidden} & set(sys.modules)\nassert not bad, bad"
    for module, forbidden in {
        "vla_bench.world.env": {"torch", "vla_bench.policies", "vla_bench.rollout"},
        "vla_bench.records": {"torch", "mujoco", "numpy", "vla_bench.world"},
        "vla_bench.queries": {"torch", "mujoco", "numpy", "vla_bench.world"},
        "vla_bench.policies.registry": {"torch", "mujoco", "huggingface_hub", "vla_bench.rollout"},
        "vla_bench.tables": {"torch", "mujoco", "vla_bench.world", "vla_bench.rollout"},
        "vla_bench.policies.base": {"torch", "mujoco", "vla_bench.rollout"},
        "vla_bench.checkpoints.checkpoint": {"mujoco", "robosuite", "vla_bench.policies", "vla_bench.rollout"},
        "vla_bench.model.processor": {"mujoco", "robosuite", "vla_bench.policies", "vla_bench.rollout"},
        "vla_bench.pruners.lightvla": {"mujoco", "robosuite", "vla_bench.policies", "vla_bench.rollout"},
    }.items():
        done = subprocess.run(
            [sys.executable, "-c", code.format(module=module, forbidden=forbidden)], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, (module, done.stderr)


def test_public_names_are_these_and_importing_them_is_light():
    import vla_bench

    expected = """AssetPack Chunk Episode EpisodeKey Inputs LLM_INPUT Observation Output Policy Pruner Rate EvalRequest EvalResult
        Run Selection Sight Site Status Suite Task VISION VLA VLAConfig View VlaBenchError World before_layer evaluate load_suite
        load_suites make_policy make_pruner read_episodes read_run resolve_assets wilson"""
    assert sorted(set(vla_bench.__all__) - {"__version__"}) == sorted(expected.split())
    assert all(getattr(vla_bench, name) is not None for name in vla_bench.__all__)
    code = "import sys, vla_bench\nassert 'numpy' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
