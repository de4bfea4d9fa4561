"""Policies by name, as `--model` takes them, with the options that only a model understands."""

from __future__ import annotations

import re
from dataclasses import dataclass, replace
from pathlib import Path

from vla_bench.checkpoints.known import bundled
from vla_bench.errors import UsageError, nearest
from vla_bench.policies.base import Policy

SCRIPTED = ("expert", "noop", "random", "replay:RUN")
MODELS = ("nano", "lightvla", "openvla-oft")
NAMES = ("auto", *MODELS, *SCRIPTED)

DECODINGS = ("l1", "ar")  # a chunk at once from the L1 head, or action tokens one after another
ACTION_SLICES = ("reference", "aligned")
DEVICES = ("auto", "cpu", "cuda")


@dataclass(frozen=True)
class ModelChoice:
    """Which policy to make, and how.  Raises UsageError for a value outside its closed set.

    model: one of NAMES, a checkpoint folder or a hub id.
    suites: short names of the suites that it will act in; they choose among checkpoints and statistics.
    pruner: None is the checkpoint's own: lightvla for a LightVLA checkpoint, none for others.
    pruner_args: its arguments, as `layer=3,keep=0.25` or a TOML file.
    unnorm_key: entry of the checkpoint's action statistics; None is the suite's.
    threads: of the CPU, for the model; None leaves it to torch, which takes all cores.
    action_slice: where the action head reads the decoder's output; None follows the checkpoint's origin.
    """

    model: str
    seed: int = 0
    suites: tuple[str, ...] = ()
    pruner: str | None = None
    pruner_args: str | None = None
    decoding: str = "l1"
    unnorm_key: str | None = None
    action_slice: str | None = None
    device: str = "auto"
    threads: int | None = None

    def __post_init__(self):
        _one_of("--decoding", self.decoding, DECODINGS)
        _one_of("--device", self.device, DEVICES)
        if self.pruner_args is not None and self.pruner is None:
            raise UsageError("--pruner-args need a pruner", f"vla-bench eval --pruner fastv --pruner-args {self.pruner_args}")
        if self.action_slice is not None:
            _one_of("--action-slice", self.action_slice, ACTION_SLICES)

    @property
    def scripted(self) -> bool:
        return self.model in SCRIPTED or self.model.startswith("replay:")


def settle(choice: ModelChoice) -> tuple[ModelChoice, str | None]:
    """The choice with `auto` replaced by a model, and why that one (None where it was named).

    Loads nothing, so that a wrong name or option shows at once.  Raises UsageError.
    """
    reason = None
    if choice.model == "auto":
        from vla_bench.policies.auto import resolve_auto

        model, reason = resolve_auto(choice.suites, choice.device)
        choice = replace(choice, model=model)
    if choice.seed and choice.model != "random":
        why = f"{choice.model} draws nothing by itself, --seed {choice.seed} would change nothing"
        raise UsageError(why, f'leave it out, or give a pruner its own: --pruner "random(seed={choice.seed})"')
    if choice.scripted:
        _refuse_model_options(choice, reason)
    elif choice.model not in MODELS:
        _check_place(choice.model)
    return choice, reason


def make_policy(choice: ModelChoice | str, seed: int = 0) -> Policy:
    """The policy chosen, or the one called `choice`.  Raises UsageError for a name that is not known."""
    if isinstance(choice, str):
        choice = ModelChoice(choice, seed)
    choice, _ = settle(choice)
    if choice.model == "expert":
        from vla_bench.policies.expert import Expert

        return Expert()
    if choice.model == "noop":
        from vla_bench.policies.simple import Noop

        return Noop()
    if choice.model == "random":
        from vla_bench.policies.simple import Random

        return Random(choice.seed)
    if choice.model.startswith("replay:"):
        from vla_bench.policies.replay import Replay

        return Replay(Path(choice.model.removeprefix("replay:")))
    from vla_bench.policies.checkpoints import make_vla_policy

    return make_vla_policy(choice)


def _one_of(option: str, value: str, known: tuple[str, ...]) -> None:
    if value not in known:
        raise UsageError(f'{option} takes {", ".join(known)}, not "{value}"')


def _refuse_model_options(choice: ModelChoice, reason: str | None) -> None:
    """An option that would be ignored is an error: the user expects it to change the result."""
    name = choice.model.split(":")[0]
    lacks = {
        "--pruner": (choice.pruner, "image tokens to prune"),
        "--decoding": (None if choice.decoding == "l1" else choice.decoding, "action tokens to decode"),
        "--unnorm-key": (choice.unnorm_key, "action statistics"),
        "--action-slice": (choice.action_slice, "action head"),
        "--device": ("cuda" if choice.device == "cuda" else None, "use for a GPU"),
    }
    for option, (value, what) in lacks.items():
        if value is not None:
            why = f" ({reason})" if reason else ""
            raise UsageError(f"{name} has no {what}{why}", f"leave {option} {value} out, or name a model: --model {MODELS[1]}")


def _check_place(model: str) -> None:
    """A name that is none of ours must be a checkpoint that is bundled, a folder, or look like a hub id."""
    if bundled(model) or Path(model).is_dir() or re.fullmatch(r"\w[\w.-]*/[\w.-]+", model):
        return
    what = "no folder" if "/" in model else "unknown model"
    known = f"Models: {', '.join(NAMES)}, a checkpoint folder or a hub id"
    raise UsageError(f'{what} "{model}".{nearest(model, list(NAMES))} {known}', "vla-bench eval --model expert")
