import json
import subprocess
import sys
import time

from .conftest import ROOT


def test_help_is_quick():
    times = []
    for _ in range(5):
        started = time.perf_counter()
        done = subprocess.run([sys.executable, "-m", "vla_bench", "--help"], capture_output=True, text=True)
        times.append(time.perf_counter() - started)
    assert done.returncode == 0 and "eval" in done.stdout
    assert min(times) < 0.5, times


def test_light_commands_import_nothing_heavy():
    code = """
import sys
from typer.testing import CliRunner
from vla_bench.cli import app
result = CliRunner().invoke(app, ["suites"])
assert result.exit_code == 0 and "libero_10" in result.stdout, result
heavy = {"torch", "mujoco", "robosuite", "numpy", "matplotlib", "scipy"} & set(sys.modules)
assert not heavy, heavy
"""
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert done.returncode == 0, done.stderr


def test_suites_as_json(cli):
    suites = json.loads(cli("suites", "--format", "json").stdout)
    assert [s["name"] for s in suites] == ["spatial", "object", "goal", "long"]
    assert suites[3]["libero_name"] == "libero_10" and len(suites[3]["tasks"]) == 10


def test_options_of_eval_are_these():
    """Adding one is a decision; make it here, too."""
    import typer.main

    from vla_bench.cli import app

    options = {option for p in typer.main.get_command(app).commands["eval"].params for option in p.opts}
    expected = "suite model trials tasks init-states workers assets video out fresh seed format"
    assert options == {f"--{name}" for name in expected.split()}


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
        "vla_bench.report.tables": {"torch", "mujoco", "vla_bench.world", "vla_bench.rollout"},
        "vla_bench.policies.base": {"torch", "mujoco", "vla_bench.rollout"},
    }.items():
        done = subprocess.run(
            [sys.executable, "-c", code.format(module=module, forbidden=forbidden)], cwd=ROOT, capture_output=True, text=True
        )
        assert done.returncode == 0, (module, done.stderr)


def test_public_names_are_these_and_importing_them_is_light():
    import vla_bench

    expected = """AssetPack Chunk Episode EpisodeKey Observation Policy Rate Request Result Run Sight Status Suite Task
        VlaBenchError World evaluate load_suite load_suites make_policy read_episodes read_run resolve_assets wilson"""
    assert sorted(set(vla_bench.__all__) - {"__version__"}) == sorted(expected.split())
    assert all(getattr(vla_bench, name) is not None for name in vla_bench.__all__)
    code = "import sys, vla_bench\nassert 'numpy' not in sys.modules"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
