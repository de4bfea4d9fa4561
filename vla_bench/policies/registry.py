"""Makes the policy that `--model` and its options name."""

from __future__ import annotations

from pathlib import Path

from vla_bench.checkpoints.adapter_folder import read_adapter
from vla_bench.errors import UsageError
from vla_bench.policies.base import Policy
from vla_bench.policies.choice import ModelChoice
from vla_bench.policies.classes import make_plug_in, policy_class
from vla_bench.policies.names import REPLAY
from vla_bench.policies.resolve import AUTO, ModelKind, ResolvedModel, base_of, resolve_model
from vla_bench.values import Device

REMOTE_TAKES = ("--chunk", "--open-loop-steps")  # what there is to say of a policy behind a server


def resolve_choice(choice: ModelChoice, option: str = "--model") -> ResolvedModel:
    """The chosen model, after checking that it takes every given option.  Loads nothing.  Raises UsageError.

    option: that of the running command which names it, for the fix of an error.
    """
    name = choice.model
    if choice.adapter is not None and name == AUTO:
        name = base_of(read_adapter(choice.adapter))
    model = resolve_model(name, suites=choice.suites, device=choice.device, option=option)
    no_class = model.kind in (ModelKind.CHECKPOINT, ModelKind.REMOTE)
    takes = () if no_class else policy_class(_class_name(model)).takes
    if choice.seed and "seed" not in takes:
        why = "is seeded by its server" if model.kind is ModelKind.REMOTE else "draws no random numbers"
        what = f"{model.name} {why}, --seed {choice.seed} would change nothing"
        raise UsageError(f"{what}; a pruner has its own, as random(seed={choice.seed})", instead={"--seed": None})
    if model.kind is not ModelKind.CHECKPOINT:
        _refuse_model_options(choice, model, takes)
    return model


def make_policy(choice: ModelChoice | str, seed: int = 0, *, model: ResolvedModel | None = None) -> Policy:
    """The chosen policy, or the one named `choice`.  Raises UsageError for an unknown name.

    model: the resolved choice; None to resolve it here.
    """
    if isinstance(choice, str):
        choice = ModelChoice(choice, seed=seed)
    model = model or resolve_choice(choice)
    if model.kind is ModelKind.CHECKPOINT:
        from vla_bench.policies.checkpoints import make_vla_policy

        return make_vla_policy(choice, model)
    if model.kind is ModelKind.REMOTE:
        from vla_bench.policies.remote.make import make_remote_policy

        return make_remote_policy(choice, model)
    name = _class_name(model)
    kind = policy_class(name)
    options = {option: getattr(choice, option) for option in kind.takes}
    if model.kind is ModelKind.PLUG_IN:
        return make_plug_in(name, options)
    return kind(Path(model.place)) if name == REPLAY else kind(**options)


def takes_device(model: ResolvedModel) -> bool:
    """Whether it can run on a GPU."""
    if model.kind is ModelKind.REMOTE:
        return False
    return model.kind is ModelKind.CHECKPOINT or "device" in policy_class(_class_name(model)).takes


def _class_name(model: ResolvedModel) -> str:
    return model.name.split(":")[0]


def _refuse_model_options(choice: ModelChoice, model: ResolvedModel, takes: tuple[str, ...]) -> None:
    """Raises UsageError for an option that would be ignored."""
    lacks = {
        "--pruner": (choice.pruner, "image tokens to prune"),
        "--decoding": (choice.decoding, "action tokens to decode"),
        "--unnorm-key": (choice.unnorm_key, "action statistics"),
        "--action-slice": (choice.action_slice, "action head"),
        "--adapter": (choice.adapter, "weights to adapt"),
        "--cameras": (choice.cameras, "images to read"),
        "--chunk": (choice.chunk, "chunk of a trained length"),
        "--center-crop": (choice.center_crop, "images to crop"),
        "--open-loop-steps": (choice.open_loop_steps, "chunk to cut short"),
        "--device": (choice.device if choice.device.startswith(Device.CUDA) and "device" not in takes else None, "use for a GPU"),
    }
    if model.kind is ModelKind.REMOTE:
        lacks = {option: why for option, why in lacks.items() if option not in REMOTE_TAKES}
    for option, (value, what) in lacks.items():
        if value is not None:
            reason = f" ({model.reason})" if model.reason else ""
            has_no = f"{_class_name(model)} has no {what}{reason}"
            if model.kind is ModelKind.REMOTE:
                has_no = f"a policy server is asked for actions alone, and has no {what} here"
            raise UsageError(has_no, instead={option: None})
