"""Experiment trackers that keep what they are told."""

from __future__ import annotations

from types import SimpleNamespace


class Recorder:
    """A tracker that keeps what it is told; raises in the method called `fails`."""

    def __init__(self, fails: str = ""):
        self.fails, self.told = fails, []

    def start(self, name, config):
        self._tell("start", name, dict(config))

    def log(self, step, values):
        self._tell("log", step, dict(values))

    def finish(self, summary):
        self._tell("finish", dict(summary))

    def _tell(self, *what):
        print("chatter")
        if what[0] == self.fails:
            raise ConnectionError("no network\nat all")
        self.told.append(what)


def fake_module(told: list):
    """`wandb` and `trackio` as far as they are used."""
    run = SimpleNamespace(log=lambda values, step: told.append((step, values)), summary={}, finish=lambda: told.append("finish"))
    init = lambda **options: told.append(options) or run  # noqa: E731
    return SimpleNamespace(init=init, Settings=lambda **settings: settings, finish=run.finish, run=run)
