"""Progress of an evaluation: its running rate is one of init states."""

from types import SimpleNamespace

from vla_bench import progress
from vla_bench.records import Status
from vla_bench.rollout.progress import ProgressDisplay

from ..made_runs import episode


def test_repeats_of_an_init_state_count_once(monkeypatch, capsys):
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.s))
    display = ProgressDisplay()
    display.begin("to run", 4, [episode(0), episode(0, repeat=1), episode(1, Status.FAILURE)])
    now.s = 61
    display.event(object(), episode(2, Status.ERROR))
    lines = capsys.readouterr().err.splitlines()
    assert lines[-1].startswith("4/4  50.0 % [9.5, 90.5], n=2 init states, 1 errors")
