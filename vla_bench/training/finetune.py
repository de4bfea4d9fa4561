"""`vla-bench train`: trains from demonstrations and a starting point to a checkpoint in the public layout."""

from __future__ import annotations

import logging
from collections.abc import Callable, Sequence
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np
import torch

from vla_bench.checkpoints.checkpoint import load
from vla_bench.checkpoints.choices import choose_device
from vla_bench.checkpoints.config_file import ModelFamily, read_config_file
from vla_bench.checkpoints.hub import local_folder
from vla_bench.checkpoints.known import FOUR_SUITES
from vla_bench.checkpoints.parts import ACTION_HEAD, part_file
from vla_bench.checkpoints.saving import save
from vla_bench.demonstrations.attempts import PARTS
from vla_bench.demonstrations.sources import DemoSource, suite_of
from vla_bench.errors import ExitCode, UsageError
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.presets import PRESETS
from vla_bench.locks import locked
from vla_bench.model.images import Normalisation
from vla_bench.model.initialise import random_heads, random_vla
from vla_bench.model.normalisation import Statistics
from vla_bench.model.tokenizer import NANO_TOKENIZER, Tokenizer
from vla_bench.model.vla import VLA
from vla_bench.policies.resolve import ModelKind, resolve_model
from vla_bench.pruners.names import LEARNING, NONE
from vla_bench.pruners.registry import make_pruner
from vla_bench.pruners.spec import parse_arguments
from vla_bench.records import make_room
from vla_bench.training.account import DataAccount
from vla_bench.training.augment import Augmentation
from vla_bench.training.data import demonstrations, other_files, prepared, unfinished
from vla_bench.training.frames import Frames, prepare_frames
from vla_bench.training.lora import add_lora
from vla_bench.training.plot import plot_log
from vla_bench.training.recipe import Recipe
from vla_bench.training.samples import SampleLoader
from vla_bench.training.shares import parse_shares
from vla_bench.training.state import FILE as STATE
from vla_bench.training.state import is_training, saved_recipe
from vla_bench.training.statistics import dataset_statistics
from vla_bench.training.trainer import Processes, Trainer
from vla_bench.values import Device, ImageOrder

CHECKPOINT = "checkpoint"  # subfolder of a training: its result


@dataclass(frozen=True)
class TrainRequest:
    """The user's request, as the command line takes it.

    export: folder for the checkpoint of the present state of the training in `out`; nothing is trained then.
    images: how the demonstrations' images are stored.  strict: refuse data of which anything would be left out.
    """

    recipe: Recipe
    data: Path
    out: Path
    device: Device = Device.AUTO
    _: KW_ONLY
    save_every: int = 500
    resume: bool = False
    export: Path | None = None
    images: ImageOrder = ImageOrder.AUTO
    strict: bool = False


@dataclass(frozen=True)
class TrainResult:
    """The result of a training.  checkpoint: None where it was interrupted, and in all processes but the first."""

    finished: bool
    checkpoint: Path | None
    steps: int
    log: Path

    @property
    def exit_code(self) -> int:
        return ExitCode.DONE if self.finished else ExitCode.INTERRUPTED


def train(request: TrainRequest, on_step: Callable[[int, int, dict[str, float]], None] = lambda *_: None) -> TrainResult:
    """Train, or with `resume` continue from the state in the output folder.  Raises VlaBenchError.

    on_step: called in the first process with step, number of steps and logged values.
    """
    if request.export and not (request.out / STATE).exists():
        raise UsageError(f"{request.out} holds no training", "vla-bench train --out FOLDER_OF_A_TRAINING --export ...")
    if not request.resume and not request.export and (request.out / STATE).exists():
        raise UsageError(f"{request.out} holds a training already", "vla-bench train --resume ..., or choose another --out")
    recipe = saved_recipe(request.out) if request.export else request.recipe
    files = demonstrations(request.data, recipe.suite)
    device, _ = choose_device(request.device)
    processes, device = Processes.join(device)
    recipe.at_once(processes.count)
    for folder in unfinished(request.data) if processes.first else ():
        logging.getLogger(__name__).warning(
            "%s: some tasks are incomplete, and the demonstrations in its %s are not used; "
            "repeat its `vla-bench demos` command to complete them",
            folder,
            PARTS,
        )
    torch.manual_seed(recipe.seed)  # initialises peft's adapters and the auxiliary head
    make_room(request.out / STATE)
    # An export only reads files that a training, which may be running, writes atomically.
    with locked(request.out) if processes.first and not request.export else nullcontext():
        return _train(request, recipe, files, device, processes, on_step)


def _train(
    request: TrainRequest,
    recipe: Recipe,
    files: list[DemoSource],
    device: torch.device,
    processes: Processes,
    on_step: Callable[[int, int, dict[str, float]], None],
) -> TrainResult:
    start = load_start(recipe, device)
    model, normalisation, tokenizer_file = start.model, start.normalisation, start.tokenizer_file
    with processes.first_alone():
        cache, spare = prepared(request.data), prepared(request.out)
        frames = prepare_frames(files, model.config.image_size, cache, spare, request.images, retry=processes.first)
    account = DataAccount(frames.files, len(frames.actions), other_files(request.data))
    if request.strict:
        account.refuse_left_out()
    if processes.first:
        account.warn()
    if processes.first and not request.export:
        account.write(request.out)
    used = [file for file, account in zip(files, frames.files, strict=True) if account.used]
    table = statistics(frames, used, recipe.normalization, None if recipe.fresh_scale else start.statistics)
    samples = SampleLoader(
        frames,
        model.config,
        Tokenizer(tokenizer_file, model.config.tokens),
        Statistics.parse(next(iter(table.values())), next(iter(table))),
        normalisation=normalisation,
        seed=recipe.seed,
        augmentation=Augmentation() if recipe.augment else None,
        switch_weight=recipe.switch_weight,
        shares=None if recipe.shares is None else parse_shares(recipe.shares),
        fill_ends=recipe.fill_ends,
    )
    if recipe.lora_rank:
        adapt(model, recipe.lora_rank)
    origin = {"data": frames.sha256, "start": start.sha256}
    trainer = Trainer(
        recipe, model, samples, request.out, processes=processes, save_every=request.save_every, origin=origin, on_step=on_step
    )
    done = bool(request.export) or trainer.run()
    checkpoint = None
    if done and processes.first:
        if recipe.lora_rank:
            model.openvla = model.openvla.merge_and_unload()
        kind = ModelFamily.OPENVLA_OFT if recipe.pruner == NONE else ModelFamily.LIGHTVLA
        checkpoint = save(
            request.export or request.out / CHECKPOINT,
            model,
            statistics=table,
            normalisation=normalisation,
            kind=kind,
            step=trainer.step,
            tokenizer_file=tokenizer_file,
            heads=start.heads,
        )
        plot_log(request.out / "log.csv", (request.export or request.out) / "training.png")
        account.write(checkpoint)
    return TrainResult(done, checkpoint, trainer.step, request.out / "log.csv")


@dataclass(frozen=True)
class StartingPoint:
    """What a training starts from.

    heads: file type of the saved heads: that of the starting point, or after LoRA that of the public checkpoints.
    sha256: hash of the checkpoint; empty for random weights, which have no statistics either.
    """

    model: VLA
    normalisation: Normalisation
    tokenizer_file: Path
    _: KW_ONLY
    heads: str = "safetensors"
    sha256: str = ""
    statistics: dict[str, dict] | None = None


def load_start(recipe: Recipe, device: torch.device) -> StartingPoint:
    """Load the starting point, or draw random weights.  Raises VlaBenchError.

    Without LoRA the weights are float32: in bfloat16 small steps would be lost to rounding.
    """
    pruner = make_pruner(recipe.pruner, parse_arguments(recipe.pruner_args))
    source = _checkpoint(recipe.start, recipe.suite)
    check_trainable(recipe, PRESETS[recipe.start] if source is None else read_config_file(local_folder(source)).config)
    if source is None:
        if recipe.lora_rank:
            raise UsageError(f"random weights cannot be adapted: {recipe.start} with LoRA", "vla-bench train --lora-rank 0 ...")
        return StartingPoint(random_vla(PRESETS[recipe.start], recipe.seed, pruner, device), Normalisation(), NANO_TOKENIZER)
    dtype = None if recipe.lora_rank else torch.float32
    loaded = load(source, device=str(device), dtype=dtype, pruner=pruner, action_slice=ActionSlice.ALIGNED)
    if loaded.tokenizer_file is None:
        raise UsageError(f"{recipe.start} has no tokenizer.json")
    if recipe.fresh_heads:
        random_heads(loaded.model, recipe.seed)
    heads = "pt" if recipe.lora_rank else part_file(loaded.folder, ACTION_HEAD).suffix.removeprefix(".")
    return StartingPoint(
        loaded.model,
        loaded.normalisation,
        loaded.tokenizer_file,
        heads=heads,
        sha256=loaded.sha256,
        statistics=loaded.statistics,
    )


def check_trainable(recipe: Recipe, config: VLAConfig) -> None:
    """Raises UsageError for a model without an L1 head, and for a pruner that cannot be trained with."""
    if not config.l1_head:
        raise UsageError(f"{recipe.start} has no L1 action head to train", f"vla-bench train --start {FOUR_SUITES}")
    pruner = make_pruner(recipe.pruner, parse_arguments(recipe.pruner_args))
    if pruner is None:
        return
    pruner.attach(config)  # makes its parameters, if it has any
    if not pruner.learns:
        known = ", ".join([NONE, *LEARNING])
        raise UsageError(
            f"{pruner.label} learns nothing. Pruners to train with: {known}, plug-ins that learn",
            "vla-bench train --pruner lightvla ...",
        )


def adapt(model: VLA, rank: int) -> None:
    """Add adapters and freeze all other weights of the network.  As in the reference, on CUDA adapters and action head are
    bfloat16, the proprio projector is not; nor are a pruner's parameters, whose small steps would be lost to rounding."""
    model.openvla.requires_grad_(False)
    model.openvla = add_lora(model.openvla, rank)
    for part in filter(None, (model.proprio_projector, model.pruner)):
        part.float()


def _checkpoint(start: str, suite: str | None) -> str | None:
    """Folder or hub id of the start; for the folder of a training, its checkpoint; None for a preset.  Raises UsageError."""
    if not is_training(start):
        model = resolve_model(start, presets=True, option="--start")
        if model.kind is ModelKind.PRESET:
            return None
        if model.by_suite and suite is None:
            what = f"{start} has one checkpoint per suite, and a training starts from one"
            first = next(iter(model.by_suite))
            raise UsageError(what, f"vla-bench train --suite {first} ...   (or --recipe paper-joint, for all suites at once)")
        if model.by_suite:
            return model.checkpoint([suite])
        if model.kind is not ModelKind.CHECKPOINT:
            raise UsageError(f"{start} is a {model.kind.value}, and a training starts from weights", "vla-bench models")
        return model.place
    if not (folder := Path(start) / CHECKPOINT).exists():
        raise UsageError(f"the training in {start} has not finished", f"vla-bench train --out {start} --resume ...")
    return str(folder)


def statistics(
    frames: Frames, files: Sequence[DemoSource], normalization: str, before: dict[str, dict] | None = None
) -> dict[str, dict]:
    """The statistics entry of every suite among the files: the same for all, since a model has one scale.

    before: statistics of the starting point, to keep its scale; None to compute them from all demonstrations.
    Raises UsageError where `before` has several scales.
    """
    keys = [f"{suite}_no_noops" for suite in sorted({suite_of(file) for file in files})]
    if not before:
        entry = dataset_statistics(np.asarray(frames.actions), np.asarray(frames.proprio), frames.episodes, normalization)
        return dict.fromkeys(keys, entry)
    entry, *others = before.values()
    if any(other != entry for other in others):
        raise UsageError(f"the start scales {', '.join(before)} differently, and a training has one scale", "--recipe paper")
    return dict.fromkeys([*before, *keys], entry)
