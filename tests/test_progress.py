"""Progress without a terminal: a line a minute, with pace and time left."""

from types import SimpleNamespace

import pytest

from vla_bench import progress
from vla_bench.progress import Bar


@pytest.fixture
def clock(monkeypatch):
    """A clock that moves only when set."""
    now = SimpleNamespace(s=0.0)
    monkeypatch.setattr(progress, "time", SimpleNamespace(monotonic=lambda: now.s))
    return now


def test_a_line_a_minute_elsewhere(clock, capsys):
    bar = Bar("episodes")
    bar.begin("10 episodes to run", total=10, done=4)
    clock.s = 59
    bar.update(5, "60.0 %")
    clock.s = 60
    bar.update(6, "[50 %, n=6]")  # 2 in a minute, 4 to go; brackets are no markup
    clock.s = 119
    bar.update(7, "57 %")
    bar.end()
    assert capsys.readouterr().err.splitlines() == ["10 episodes to run", "6/10  [50 %, n=6], 120 episodes/h, 2 min left"]


def test_nothing_done_yet_has_no_end(clock, capsys):
    bar = Bar("demos")
    bar.begin("", total=3, done=1)
    clock.s = 61
    bar.update(1, "no episodes")
    assert capsys.readouterr().err.splitlines()[-1] == "1/3  no episodes, 0 demos/h, ?"


def test_a_bar_on_a_terminal(monkeypatch, capsys):
    monkeypatch.setenv("FORCE_COLOR", "1")  # rich then takes standard error for a terminal
    bar = Bar("episodes")
    bar.begin("to run", total=2, done=0)
    bar.update(1, "100 %")
    bar.end()
    shown = capsys.readouterr().err
    assert "1/2" in shown and "100 %" in shown and "episodes/h" in shown
