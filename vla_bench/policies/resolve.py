"""Resolves the name of a model, for every command that takes one.  Reads no weights.

expert, noop, random, replay:RUN     scripts
nano                                 the bundled checkpoint; the preset where only sizes are needed
nano-oft, ...                        bundled checkpoints, by the name of their folder
lightvla, openvla-oft                the public checkpoint given in a suite's TOML
a name of another package            its policy, see classes.py
a folder, or owner/name of the hub   a checkpoint
ws://HOST:PORT                       a policy server, see remote/
auto                                 one of these, see auto.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum
from pathlib import Path

from vla_bench.checkpoints.adapter_folder import AdapterFolder
from vla_bench.checkpoints.hub import is_hub_id
from vla_bench.checkpoints.known import DEFAULTS, WEIGHTS, bundled, bundled_names, families
from vla_bench.errors import CheckpointError, UsageError, close
from vla_bench.interface.presets import PRESETS
from vla_bench.policies.auto import resolve_auto
from vla_bench.policies.names import REPLAY, SCRIPTS, plug_ins
from vla_bench.values import Device
from vla_bench.wires.address import is_address, parse_address

AUTO, NANO = "auto", "nano"


class ModelKind(Enum):
    """Kinds of models.  PRESET: sizes without weights."""

    SCRIPT = "script"
    CHECKPOINT = "checkpoint"
    PRESET = "preset"
    PLUG_IN = "plug-in"
    REMOTE = "policy server"


@dataclass(frozen=True)
class ResolvedModel:
    """A resolved model name.

    name: the name that runs record: the given one, or the one chosen by `auto`.
    place: folder or hub id of a checkpoint; for a preset, the bundled weights of that name; for `replay:RUN` the run.  None
        where there is none, or one per suite.
    by_suite: hub ids of the checkpoints by suite, where each suite has its own.
    reason: why `auto` chose it; None where it was named.
    """

    name: str
    kind: ModelKind
    _: KW_ONLY
    place: str | None = None
    by_suite: Mapping[str, str] = field(default_factory=dict, hash=False)
    reason: str | None = None

    def checkpoint(self, suites: Sequence[str]) -> str:
        """Folder or hub id of the checkpoint for these suites.  Raises UsageError where one is not enough."""
        if self.place is not None:
            return self.place
        own = [suite for suite in suites if suite in self.by_suite]
        if len(suites) != 1:
            what = f"{self.name} has one checkpoint per suite, and {len(suites)} suites were asked for"
            raise UsageError(what, instead={"--suite": (own or list(self.by_suite))[0]})
        if not own:
            what = f"suite {suites[0]} has no {self.name} checkpoint; there is one for {', '.join(self.by_suite)}"
            raise UsageError(what, instead={"--suite": next(iter(self.by_suite))})
        return self.by_suite[suites[0]]


def resolve_model(
    name: str,
    *,
    suites: Sequence[str] = (),
    device: str = Device.AUTO,
    presets: bool = False,
    option: str | None = "--model",
) -> ResolvedModel:
    """The model called `name`.  Raises UsageError for an unknown name, CheckpointError for missing bundled weights.

    suites, device: where it will act; they decide what `auto` chooses.
    presets: accept names of presets and refuse `auto`, for commands that need only sizes or random weights.
    option: that of the running command which names it, for the fix of an error; None where it is one of several.
    """
    reason = None
    if name == AUTO and not presets:
        name, reason = resolve_auto(suites, device)
    if is_address(name):
        address = str(parse_address(name))
        return ResolvedModel(address, ModelKind.REMOTE, place=address)
    script, _, run = name.partition(":")
    if name in SCRIPTS and name != REPLAY or script == REPLAY and run:
        return ResolvedModel(name, ModelKind.SCRIPT, place=run or None, reason=reason)
    folder = bundled(DEFAULTS.get(name, name))
    if presets and name in PRESETS:
        return ResolvedModel(name, ModelKind.PRESET, place=folder and str(folder))
    if folder is None and name in DEFAULTS:
        what = f"{WEIGHTS / DEFAULTS[name]} is missing: it is part of the installation of vla-bench"
        raise CheckpointError(what, "pip install --force-reinstall vla-bench")
    if folder is not None:
        return ResolvedModel(name, ModelKind.CHECKPOINT, place=str(folder), reason=reason)
    public = families()
    if name in public:
        return ResolvedModel(name, ModelKind.CHECKPOINT, by_suite=public[name], reason=reason)
    if name in plug_ins():
        return ResolvedModel(name, ModelKind.PLUG_IN)
    if name and (Path(name).expanduser().exists() or is_hub_id(name)):  # a file is refused where it is opened, by its kind
        return ResolvedModel(name, ModelKind.CHECKPOINT, place=name)
    raise _unknown(name, [AUTO, *DEFAULTS, *public], presets, option)


def base_of(adapter: AdapterFolder) -> str:
    """The model that an adapter was trained on.  Raises UsageError where it names none that can be found from here."""
    base = adapter.base
    if base is not None and (Path(base).expanduser().is_dir() or is_hub_id(base)):
        return base
    what = "names no base" if base is None else f"was trained on {base}, which is no folder here"
    raise UsageError(f"the adapter in {adapter.weights} {what}", instead={"--model": "BASE"})


def _unknown(name: str, models: list[str], presets: bool, option: str | None) -> UsageError:
    scripts = [f"{script}:RUN" if script == REPLAY else script for script in SCRIPTS]
    known = [*dict.fromkeys([*PRESETS, *models[1:]])] if presets else [*models, *scripts, *sorted(plug_ins())]
    what = "no folder" if "/" in name else "unknown model"
    listed = f"Models: {', '.join(known)}, a checkpoint folder, a hub id or ws://HOST:PORT"
    near = close(name, [*known, *bundled_names()])
    hint = f' Did you mean "{near}"?' if near else ""
    if name in PRESETS:
        what, near, hint = (
            "no weights for",
            NANO,
            " It is sizes alone: for `flops`, and `latency --random-weights`.",
        )
    if near and ":" in near:
        near = None  # the name of no model yet
    text = f'{what} "{name}".{hint} {listed}'
    return UsageError(text, "vla-bench models") if option is None else UsageError(text, instead={option: near or NANO})
