"""How a worker makes a demonstration."""

from vla_bench.demonstrations import disturbance
from vla_bench.demonstrations.hdf5 import read_demos
from vla_bench.demonstrations.recording import Ending
from vla_bench.demonstrations.runner import DemoJob, DemoRunner

from .common import TASK


def test_an_attempt_with_noise_is_disturbed_with_or_without_a_push(world, tmp_path, monkeypatch):
    monkeypatch.setattr(disturbance, "SHARE_AT_START", 0.0)
    monkeypatch.setattr(disturbance, "GAP", (0.9, 0.9))  # after the episode's end
    attempt = DemoRunner(1.0).run(world, DemoJob("spatial", TASK, 0, 5, tmp_path / "x_demo.hdf5"))
    assert attempt.ending is Ending.SUCCESS and attempt.disturbed and attempt.pushes == 0
    (demo,) = read_demos(tmp_path / "x_demo.hdf5")
    assert demo.attributes["disturbed"] and demo.attributes["pushes"] == 0
