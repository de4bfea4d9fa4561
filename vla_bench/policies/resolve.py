"""What a model's name stands for: the one place that knows, for every command that takes a name.  Reads no weights.

expert, noop, random, replay:RUN     scripts
nano                                 the bundled checkpoint, or where sizes are asked for the preset
nano-oft, ...                        bundled checkpoints, by the name of their folder
lightvla, openvla-oft                the public checkpoint that a suite names
a name of another package            its policy, see classes.py
a folder, or owner/name of the hub   a checkpoint
auto                                 one of these, see auto.py
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import KW_ONLY, dataclass, field
from enum import Enum
from pathlib import Path

from vla_bench.checkpoints.hub import is_hub_id
from vla_bench.checkpoints.known import DEFAULTS, WEIGHTS, bundled, bundled_names, families
from vla_bench.errors import CheckpointError, UsageError, nearest
from vla_bench.interface.presets import PRESETS
from vla_bench.policies.auto import resolve_auto
from vla_bench.policies.classes import REPLAY, SCRIPTS, plug_ins
from vla_bench.values import Device

AUTO = "auto"
EVAL = "vla-bench eval"


class ModelKind(Enum):
    """What a name stands for.  PRESET: sizes without weights."""

    SCRIPT = "script"
    CHECKPOINT = "checkpoint"
    PRESET = "preset"
    PLUG_IN = "plug-in"


@dataclass(frozen=True)
class ResolvedModel:
    """What a model's name stands for.

    name: what runs record: the name given, or what `auto` came to.
    place: folder or hub id of a checkpoint; of a preset, the bundled weights of that name; of `replay:RUN` the run.  None where
        there is none, or one for each suite.
    by_suite: the checkpoints' hub ids by suite, where each has its own.
    reason: why `auto` came to it; None where it was named.
    """

    name: str
    kind: ModelKind
    _: KW_ONLY
    place: str | None = None
    by_suite: Mapping[str, str] = field(default_factory=dict, hash=False)
    reason: str | None = None

    def checkpoint(self, suites: Sequence[str], command: str = EVAL) -> str:
        """Folder or hub id of the checkpoint for these suites.  Raises UsageError where one is not enough.

        command: the command that was given, up to --suite and --model, for what an error advises.
        """
        if self.place is not None:
            return self.place
        own = [suite for suite in suites if suite in self.by_suite]
        if len(suites) != 1:
            what = f"{self.name} has one checkpoint per suite, and {len(suites)} suites were asked for"
            raise UsageError(what, f"{command} --suite {(own or list(self.by_suite))[0]} --model {self.name}")
        if not own:
            what = f"suite {suites[0]} has no {self.name} checkpoint; there is one for {', '.join(self.by_suite)}"
            raise UsageError(what, f"{command} --suite {suites[0]} --model nano")
        return self.by_suite[suites[0]]


def resolve_model(
    name: str,
    *,
    suites: Sequence[str] = (),
    device: str = Device.AUTO,
    presets: bool = False,
    command: str = EVAL,
) -> ResolvedModel:
    """What `name` stands for.  Raises UsageError for a name that stands for nothing.

    suites, device: where it will act; they decide what `auto` is.
    presets: names of presets stand for them, and `auto` for nothing: sizes or random weights are wanted.
    command: the command that was given, for what an error advises.
    """
    reason = None
    if name == AUTO and not presets:
        name, reason = resolve_auto(suites, device)
    script, _, run = name.partition(":")
    if name in SCRIPTS and name != REPLAY or script == REPLAY and run:
        return ResolvedModel(name, ModelKind.SCRIPT, place=run or None, reason=reason)
    folder = bundled(DEFAULTS.get(name, name))
    if presets and name in PRESETS:
        return ResolvedModel(name, ModelKind.PRESET, place=folder and str(folder))
    if folder is None and name in DEFAULTS:
        what = f"{WEIGHTS / DEFAULTS[name]} is missing: it should have come with vla-bench"
        raise CheckpointError(what, "pip install --force-reinstall vla-bench")
    if folder is not None:
        return ResolvedModel(name, ModelKind.CHECKPOINT, place=str(folder), reason=reason)
    public = families()
    if name in public:
        return ResolvedModel(name, ModelKind.CHECKPOINT, by_suite=public[name], reason=reason)
    if name in plug_ins():
        return ResolvedModel(name, ModelKind.PLUG_IN)
    if name and (Path(name).expanduser().is_dir() or is_hub_id(name)):
        return ResolvedModel(name, ModelKind.CHECKPOINT, place=name)
    raise _unknown(name, [AUTO, *DEFAULTS, *public], presets, command)


def _unknown(name: str, models: list[str], presets: bool, command: str) -> UsageError:
    scripts = [f"{script}:RUN" if script == REPLAY else script for script in SCRIPTS]
    known = [*dict.fromkeys([*PRESETS, *models[1:]])] if presets else [*models, *scripts, *sorted(plug_ins())]
    what = "no folder" if "/" in name else "unknown model"
    listed = f"Models: {', '.join(known)}, a checkpoint folder or a hub id"
    fix = f"{command} --model expert" if command == EVAL else "vla-bench models"
    return UsageError(f'{what} "{name}".{nearest(name, [*known, *bundled_names()])} {listed}', fix)
