"""Experiment trackers: TensorBoard, Weights & Biases, trackio, behind three methods.

Each is an extra, imported only when it is asked for.  A tracker never ends a run: at its first error it is switched off, with one
warning.  Where records go, and under which account, its own environment variables say.
"""

from __future__ import annotations

import json
import sys
import time
from collections.abc import Callable, Mapping
from contextlib import redirect_stdout
from importlib import import_module
from pathlib import Path
from typing import Any, Protocol

from vla_bench.errors import UsageError
from vla_bench.terminal import show, visible

Values = Mapping[str, float]
Facts = Mapping[str, object]


class Tracker(Protocol):
    """Receives a run or a training; after its end the next may start."""

    def start(self, name: str, config: Facts) -> None:
        """name: the same whenever the run is resumed, so that its record goes on."""

    def log(self, step: int, values: Values) -> None: ...

    def finish(self, summary: Facts) -> None:
        """summary: how it ended.  Called after `start` alone."""


class TensorBoard:
    """Event files in FOLDER/NAME; a resumed run adds one.  Configuration and summary are texts."""

    def __init__(self, folder: Path):
        import_module("tensorboard.summary.writer.event_file_writer")
        self._folder = folder

    def start(self, name: str, config: Facts) -> None:
        from tensorboard.summary.writer.event_file_writer import EventFileWriter

        self._writer = EventFileWriter(str(self._folder / name), flush_secs=10)
        self._step = 0
        self._text("config", config, 0)

    def log(self, step: int, values: Values) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary

        self._step = step
        self._add(Summary(value=[Summary.Value(tag=tag, simple_value=value) for tag, value in values.items()]), step)

    def finish(self, summary: Facts) -> None:
        self._text("summary", summary, self._step)
        self._writer.close()

    def _text(self, tag: str, facts: Facts, step: int) -> None:
        from tensorboard.compat.proto.summary_pb2 import Summary, SummaryMetadata
        from tensorboard.compat.proto.tensor_pb2 import TensorProto
        from tensorboard.compat.proto.types_pb2 import DT_STRING

        plain = json.dumps(facts, indent=1, default=str)
        text = "".join(f"    {line}\n" for line in plain.splitlines())  # as code, in the Markdown that is shown
        about = SummaryMetadata(plugin_data=SummaryMetadata.PluginData(plugin_name="text"))
        value = Summary.Value(tag=tag, metadata=about, tensor=TensorProto(dtype=DT_STRING, string_val=[text.encode()]))
        self._add(Summary(value=[value]), step)

    def _add(self, summary: Any, step: int) -> None:
        from tensorboard.compat.proto.event_pb2 import Event

        self._writer.add_event(Event(summary=summary, step=step, wall_time=time.time()))


class WandB:
    """A run of a project; offline with WANDB_MODE=offline."""

    def __init__(self, project: str):
        self._wandb, self._project = import_module("wandb"), project

    def start(self, name: str, config: Facts) -> None:
        # Its copy of the terminal's output would break the progress bar.
        settings = self._wandb.Settings(console="off")
        about = {"project": self._project, "name": name, "id": name, "config": dict(config)}
        self._run = self._wandb.init(**about, resume="allow", settings=settings)

    def log(self, step: int, values: Values) -> None:
        self._run.log(dict(values), step=step)

    def finish(self, summary: Facts) -> None:
        self._run.summary.update(dict(summary))
        self._run.finish()


class Trackio:
    """A run of a project, on this machine; elsewhere by TRACKIO_SPACE_ID."""

    def __init__(self, project: str):
        self._trackio, self._project = import_module("trackio"), project

    def start(self, name: str, config: Facts) -> None:
        self._run = self._trackio.init(project=self._project, name=name, config=dict(config), resume="allow", embed=False)
        self._step = 0

    def log(self, step: int, values: Values) -> None:
        self._step = step
        self._run.log(dict(values), step=step)

    def finish(self, summary: Facts) -> None:
        numbers = {f"summary/{name}": value for name, value in summary.items() if isinstance(value, (int, float))}
        self._run.log(numbers, step=self._step)  # it has no summary: a last record
        self._trackio.finish()  # not the run's own, after which it would finish again at exit, on standard output


class Guarded:
    """Trackers whose errors end nothing: one that raises is switched off, and `say` gets one line."""

    def __init__(self, trackers: Mapping[str, Tracker], say: Callable[[str], None] | None = None):
        self._trackers = dict(trackers)
        self._say = say or (lambda text: show(text, file=sys.stderr))

    def start(self, name: str, config: Facts) -> None:
        self._each(lambda tracker: tracker.start(name, config))

    def log(self, step: int, values: Values) -> None:
        self._each(lambda tracker: tracker.log(step, values))

    def finish(self, summary: Facts) -> None:
        self._each(lambda tracker: tracker.finish(summary))

    def _each(self, call: Callable[[Tracker], None]) -> None:
        for name, tracker in list(self._trackers.items()):
            try:
                with redirect_stdout(sys.stderr):  # standard output is for results
                    call(tracker)
            except Exception as error:  # noqa: BLE001  whatever it is, it is no reason to lose a run
                del self._trackers[name]
                first = next(iter(str(error).splitlines()), "")
                self._say(visible(f"warning: {name} is switched off, the run goes on: {type(error).__name__}: {first}"))


KINDS: dict[str, tuple[str, Callable[[Any], Tracker]]] = {
    "tensorboard": ("--tensorboard", TensorBoard),
    "wandb": ("--wandb", WandB),
    "trackio": ("--trackio", Trackio),
}


def trackers(tensorboard: Path | None = None, wandb: str | None = None, trackio: str | None = None) -> Guarded | None:
    """Those that are asked for: a folder, and names of projects; None for none.

    Raises UsageError for one that is not installed.
    """
    asked = {"tensorboard": tensorboard, "wandb": wandb, "trackio": trackio}
    made = {}
    for name, where in asked.items():
        if where is None:
            continue
        option, make = KINDS[name]
        try:
            made[name] = make(where)
        except ImportError as error:
            what = f"{option} needs {name}, which cannot be imported: {error}"
            raise UsageError(what, f"pip install 'vla-bench[{name}]'") from error
    return Guarded(made) if made else None
