"""`vla-bench train`: demonstrations and a start in, a checkpoint in the public layout out."""

from __future__ import annotations

import logging
from collections.abc import Callable
from contextlib import nullcontext
from dataclasses import KW_ONLY, dataclass
from pathlib import Path

import numpy as np
import torch

from vla_bench.checkpoints.checkpoint import load
from vla_bench.checkpoints.choices import choose_device
from vla_bench.checkpoints.config_file import ModelFamily, read_config_file
from vla_bench.checkpoints.files import ACTION_HEAD, part_file
from vla_bench.checkpoints.hub import local_folder
from vla_bench.checkpoints.saving import save
from vla_bench.demonstrations.attempts import PARTS
from vla_bench.demonstrations.hdf5 import suite_name
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
from vla_bench.pruners.registry import BUILT_IN, NONE, make_pruner
from vla_bench.pruners.spec import parse_arguments
from vla_bench.training.augment import Augmentation
from vla_bench.training.data import demo_files, prepared, unfinished
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
from vla_bench.values import Device

CHECKPOINT = "checkpoint"  # in a training's folder: its result


@dataclass(frozen=True)
class TrainRequest:
    """What the user asked for, as the command line takes it.

    export: write the checkpoint of where the training in `out` stands into this folder, and train no further.
    """

    recipe: Recipe
    data: Path
    out: Path
    device: Device = Device.AUTO
    _: KW_ONLY
    save_every: int = 500
    resume: bool = False
    export: Path | None = None


@dataclass(frozen=True)
class Trained:
    """What came of it.  checkpoint: None where the training was interrupted, and in all processes but the first."""

    finished: bool
    checkpoint: Path | None
    steps: int
    log: Path

    @property
    def exit_code(self) -> int:
        return ExitCode.DONE if self.finished else ExitCode.INTERRUPTED


def train(request: TrainRequest, on_step: Callable[[int, int, dict[str, float]], None] = lambda *_: None) -> Trained:
    """Train, or with `resume` go on where the state in the output folder stands.  Raises VlaBenchError."""
    if request.export and not (request.out / STATE).exists():
        raise UsageError(f"{request.out} holds no training", "vla-bench train --out FOLDER_OF_A_TRAINING --export ...")
    if not request.resume and not request.export and (request.out / STATE).exists():
        raise UsageError(f"{request.out} holds a training already", "vla-bench train --resume ..., or choose another --out")
    recipe = saved_recipe(request.out) if request.export else request.recipe
    files = demo_files(request.data)
    device, _ = choose_device(request.device)
    processes, device = Processes.join(device)
    recipe.at_once(processes.count)
    for folder in unfinished(request.data) if processes.first else ():
        logging.getLogger(__name__).warning(
            "%s: some tasks lack demonstrations that were asked for, and what waits in %s is not learnt; "
            "its `vla-bench demos` command, repeated, makes the rest",
            folder,
            PARTS,
        )
    torch.manual_seed(recipe.seed)  # peft's adapters and the auxiliary head begin with what this generator gives
    request.out.mkdir(parents=True, exist_ok=True)
    # An export only reads what a training, which may be running, has put in place whole.
    with locked(request.out) if processes.first and not request.export else nullcontext():
        return _train(request, recipe, files, device, processes, on_step)


def _train(
    request: TrainRequest,
    recipe: Recipe,
    files: list[Path],
    device: torch.device,
    processes: Processes,
    on_step: Callable[[int, int, dict[str, float]], None],
) -> Trained:
    begun = start(recipe, device)
    model, normalisation, tokenizer_file = begun.model, begun.normalisation, begun.tokenizer_file
    with processes.first_alone():
        frames = prepare_frames(files, model.config.image_size, prepared(request.data), prepared(request.out))
    table = statistics(frames, files, recipe.normalization, None if recipe.fresh_scale else begun.statistics)
    samples = SampleLoader(
        frames,
        model.config,
        Tokenizer(tokenizer_file, model.config.tokens),
        Statistics.parse(next(iter(table.values())), next(iter(table))),
        normalisation,
        recipe.seed,
        Augmentation() if recipe.augment else None,
        recipe.switch_weight,
        None if recipe.shares is None else parse_shares(recipe.shares),
        recipe.fill_ends,
    )
    if recipe.lora_rank:
        adapt(model, recipe.lora_rank)
    origin = {"data": frames.sha256, "start": begun.sha256}
    trainer = Trainer(recipe, model, samples, request.out, processes, request.save_every, origin, on_step)
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
            heads=begun.heads,
        )
        plot_log(request.out / "log.csv", (request.export or request.out) / "training.png")
    return Trained(done, checkpoint, trainer.step, request.out / "log.csv")


@dataclass(frozen=True)
class Start:
    """What a training begins with.

    heads: the kind of file that heads are saved in: the start's own, but as the public checkpoints have them after LoRA.
    sha256: of the checkpoint, empty for random weights, which have no statistics either.
    """

    model: VLA
    normalisation: Normalisation
    tokenizer_file: Path
    _: KW_ONLY
    heads: str = "safetensors"
    sha256: str = ""
    statistics: dict[str, dict] | None = None


def start(recipe: Recipe, device: torch.device) -> Start:
    """Load or draw it.  Weights that are trained themselves are float32: in bfloat16 small steps would round away."""
    pruner = make_pruner(recipe.pruner, parse_arguments(recipe.pruner_args))
    source = _checkpoint(recipe.start)
    check_learner(recipe, PRESETS[recipe.start] if source is None else read_config_file(local_folder(source)).config)
    if source is None:
        if recipe.lora_rank:
            raise UsageError(f"random weights cannot be adapted: {recipe.start} with LoRA", "vla-bench train --lora-rank 0 ...")
        return Start(random_vla(PRESETS[recipe.start], recipe.seed, pruner, device), Normalisation(), NANO_TOKENIZER)
    dtype = None if recipe.lora_rank else torch.float32
    loaded = load(source, device=str(device), dtype=dtype, pruner=pruner, action_slice=ActionSlice.ALIGNED)
    if loaded.tokenizer_file is None:
        raise UsageError(f"{recipe.start} has no tokenizer.json")
    if recipe.fresh_heads:
        random_heads(loaded.model, recipe.seed)
    heads = "pt" if recipe.lora_rank else part_file(loaded.folder, ACTION_HEAD).suffix.removeprefix(".")
    return Start(
        loaded.model,
        loaded.normalisation,
        loaded.tokenizer_file,
        heads=heads,
        sha256=loaded.sha256,
        statistics=loaded.statistics,
    )


def check_learner(recipe: Recipe, config: VLAConfig) -> None:
    """Raises UsageError for a pruner that learns nothing."""
    pruner = make_pruner(recipe.pruner, parse_arguments(recipe.pruner_args))
    if pruner is None:
        return
    pruner.fit(config)  # only then it may have parameters
    if not pruner.learns:
        known = ", ".join([NONE, *(name for name in BUILT_IN if name.startswith("lightvla"))])
        raise UsageError(
            f"{pruner.label} learns nothing. Pruners to train with: {known}, plug-ins that learn",
            "vla-bench train --pruner lightvla ...",
        )


def adapt(model: VLA, rank: int) -> None:
    """Put adapters on the network and freeze what is below.  As in the reference, on CUDA adapters and action head are
    bfloat16, the proprio projector is not; nor is a pruner's scale, which would round away its every step."""
    model.openvla.requires_grad_(False)
    model.openvla = add_lora(model.openvla, rank)
    for part in filter(None, (model.proprio_projector, model.pruner)):
        part.float()


def _checkpoint(start: str) -> str | None:
    """Folder or hub id; of a training's folder its result.  None for a preset, whose weights are drawn.  Raises UsageError."""
    if not is_training(start):
        found = resolve_model(start, presets=True, command="vla-bench train")
        if found.kind is ModelKind.PRESET:
            return None
        if found.by_suite:
            hub = next(iter(found.by_suite.values()))
            raise UsageError(
                f"{start} has one checkpoint per suite: a training starts from one", f"vla-bench train --start {hub}"
            )
        if found.kind is not ModelKind.CHECKPOINT:
            raise UsageError(f"{start} is a {found.kind.value}, and a training starts from weights", "vla-bench models")
        return found.place
    if not (folder := Path(start) / CHECKPOINT).exists():
        raise UsageError(f"the training in {start} has not ended", f"vla-bench train --out {start} --resume ...")
    return str(folder)


def statistics(frames: Frames, files: list[Path], normalization: str, before: dict[str, dict] | None = None) -> dict[str, dict]:
    """One entry for every suite among the files, all alike, since a model has one scale: of all demonstrations, or `before`'s.

    Raises UsageError where that has several.
    """
    keys = [f"{suite}_no_noops" for suite in sorted({suite_name(file) for file in files})]
    if not before:
        entry = dataset_statistics(np.asarray(frames.actions), np.asarray(frames.proprio), frames.episodes, normalization)
        return dict.fromkeys(keys, entry)
    entry, *others = before.values()
    if any(other != entry for other in others):
        raise UsageError(f"the start scales {', '.join(before)} differently, and a training has one scale", "--recipe paper")
    return dict.fromkeys([*before, *keys], entry)
