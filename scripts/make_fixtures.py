"""Make the bundled golden tensors from a small random model and this code's own results.

Our own tensors prove nothing about the reference, so this code is checked with the reference's first:

    python scripts/make_fixtures.py --against PATH/fixtures

Everything is drawn from seeds.  A draw in which two candidates of a choice are nearly equal is rejected, so that no
machine's rounding changes a selection.
"""

from __future__ import annotations

import itertools
import shutil
import sys
import tempfile
from collections.abc import Callable, Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import torch
import typer
from safetensors.torch import save_file
from torch import Tensor

from vla_bench.checkpoints.saving import save
from vla_bench.interface.config import DINOV2, SIGLIP, LLMConfig, TokenIds, VLAConfig
from vla_bench.model.images import Normalisation
from vla_bench.model.vla import VLA
from vla_bench.report.verdicts import counts
from vla_bench.training.labels import label_text
from vla_bench.verify import checkpoint, evaluation, images, numbers, pruner, training
from vla_bench.verify.checkpoint import TestedModel
from vla_bench.verify.compare import Computed
from vla_bench.verify.fixture import Fixture
from vla_bench.verify.run import GOLDEN, verify

LEAST_MARGIN = 2e-3  # between the best and the second best of every choice; verify needs 1e-3
MOST_BYTES = 400_000
# Small, and unlike the published models where code could rely on their numbers.
CONFIG = VLAConfig(
    name="golden",
    image_size=16,
    dino=replace(DINOV2, width=12, depth=3, heads=2, patch=4),
    siglip=replace(SIGLIP, width=15, depth=3, heads=3, patch=4),
    llm=LLMConfig(width=16, layers=2, heads=2, mlp=40, vocab=320),
    tokens=TokenIds(pad=300, space=29, actions_end=300),
    chunk=3,
)
PROMPT_IDS = range(3, 28)  # below the space and the action bins
GRADIENTS = (
    "action_head.model.fc2.weight",
    "language_model.model.layers.0.self_attn.q_proj.weight",
    "language_model.model.layers.1.mlp.down_proj.weight",
    "projector.fc3.weight",
    "proprio_projector.fc2.weight",
    "vision_backbone.featurizer.blocks.0.ls1.scale_factor",
    "vision_backbone.fused_featurizer.blocks.0.attn.qkv.bias",
)
Tensors = dict[str, Tensor]


def complete(inputs: Mapping, compute: Callable[[Fixture], Iterable[Computed]]) -> dict:
    """The inputs, and this code's value of every tensor that it computes."""
    tensors = dict(inputs)
    for computed in compute(Fixture(inputs)):
        if computed.problem:
            raise ValueError(f"{computed.tensor}: {computed.problem}")
        value = computed.value.detach() if isinstance(computed.value, Tensor) else np.asarray(computed.value)
        tensors.setdefault(computed.tensor, value)
    return tensors


def store(path: Path, tensors: Mapping) -> None:
    copies = {name: torch.as_tensor(value).contiguous().clone() for name, value in tensors.items()}
    save_file({name: value.byte() if name.endswith(".hard") else value for name, value in copies.items()}, path)


def margin(scores: Tensor) -> float:
    """Smallest difference between the largest and the second largest value of a row."""
    best = scores.topk(2, dim=-1).values
    return (best[..., 0] - best[..., 1]).min().item()


def first_clear(make: Callable[[torch.Generator], Tensors], margins: Callable[[Tensors], list[float]], seed: int) -> Tensors:
    """The first draw, with increasing seeds, in which no choice is close."""
    for number in itertools.count(seed):
        tensors = make(torch.Generator().manual_seed(number))
        if min(margins(tensors)) >= LEAST_MARGIN:
            return tensors


def pruner_inputs(batch: int, patches: int, task: int, width: int, g: torch.Generator) -> Tensors:
    """Some task tokens are empty, as action slots are; a second sample has two that are padding."""
    length = 1 + patches + task
    tokens = torch.randn(batch, length, width, generator=g)
    tokens[:, 1 + patches + task // 2 : -2] = 0
    valid = torch.ones(batch, length, dtype=torch.bool)
    valid[1:, -2:] = False
    return {
        "tokens": tokens,
        "position_ids": torch.arange(length).repeat(batch, 1),
        "attention_mask": valid,
        "noise": torch.rand(batch, patches, patches, generator=g),
        "noise_scale": torch.tensor(0.7, dtype=torch.float64),
        "grad_tokens_out": torch.randn(batch, length, width, generator=g),
    }


def random_model(config: VLAConfig, g: torch.Generator) -> VLA:
    """Weights with which every part of the model changes the results.

    Text embeddings are small, as Llama's are, so that the norm's eps shows; queries and keys are large, since action slots
    differ by their positions only.
    """
    model = VLA(config)
    for name, value in model.named_parameters():
        noise = torch.randn(value.shape, generator=g)
        if "embed_tokens" in name:
            scaled = 0.05 * noise
        elif "q_proj" in name or "k_proj" in name:
            scaled = 2 * noise * value[0].numel() ** -0.5
        elif value.dim() > 1 and "token" not in name and "pos_embed" not in name and "latent" not in name:
            scaled = noise * value[0].numel() ** -0.5
        elif "norm" in name and name.endswith("weight") or "scale_factor" in name or ".ffn.0.weight" in name:
            scaled = 1 + 0.1 * noise
        else:
            scaled = 0.1 * noise
        value.data.copy_(scaled)
    return model


def random_statistics(g: torch.Generator) -> dict:
    def entry(size: int) -> dict[str, list[float]]:
        low, high = -0.2 - 0.8 * torch.rand(size, generator=g), 0.2 + 0.8 * torch.rand(size, generator=g)
        values = {"q01": low, "q99": high, "min": low - 0.1, "max": high + 0.1, "mean": (low + high) / 2, "std": (high - low) / 4}
        return {name: [round(x, 4) for x in value.tolist()] for name, value in values.items()}

    action = entry(7) | {"mask": [True] * 6 + [False]}
    return {"libero_spatial_no_noops": {"action": action, "proprio": entry(8), "num_trajectories": 43, "num_transitions": 1234}}


def random_images(count: int, size: int, g: torch.Generator) -> Tensor:
    """(count, size, size, 3) uint8: smooth shapes with some noise."""
    coarse = torch.rand(count, 3, 6, 6, generator=g)
    soft = torch.nn.functional.interpolate(coarse, size, mode="bicubic")
    grained = soft + 0.06 * torch.randn(count, 3, size, size, generator=g)
    return (255 * grained.clamp(0, 1)).round().byte().permute(0, 2, 3, 1).contiguous()


def random_prompt(length: int, g: torch.Generator) -> list[int]:
    return (PROMPT_IDS[0] + torch.randint(len(PROMPT_IDS), (length,), generator=g)).tolist()


def query_inputs(config: VLAConfig, length: int, with_space: bool, g: torch.Generator) -> Tensors:
    ids = [config.tokens.bos, *random_prompt(length, g), *([config.tokens.space] if with_space else [])]
    return {
        "images_uint8": random_images(config.cameras, config.image_size, g),
        "input_ids": torch.tensor([ids]),
        "attention_mask": torch.ones(1, len(ids), dtype=torch.int64),
        "state_raw": torch.rand(config.proprio_dim, generator=g, dtype=torch.float64) * 1.2 - 0.6,
    }


def query_margins(tested: TestedModel, tensors: Tensors) -> list[float]:
    """Margins of LightVLA's selection, of the action tokens, and of the gripper, which must not be near half open."""
    logits = tested.model.openvla.language_model.lm_head(tensors["dense.actions_hidden_states"])
    grips = [torch.as_tensor(tensors[f"{kind}.actions"])[:, -1] for kind in ("dense", "light")]
    return [margin(tensors["light.score"]), margin(logits), *((grip - 0.5).abs().min().item() for grip in grips)]


def step_inputs(config: VLAConfig, tokens: TokenIds, g: torch.Generator) -> Tensors:
    """Two samples with prompts of different lengths."""
    batch, visual = 2, config.visual_tokens
    prompts = [[*random_prompt(length, g), tokens.space] for length in (9, 7)]
    actions = (torch.randn(batch, config.chunk, config.action_dim, generator=g) * 0.6).clamp(-1, 1)
    actions[..., -1] = (actions[..., -1] > 0).float()
    text = label_text(prompts, actions, tokens)
    size = (batch, 6 * config.cameras, config.image_size, config.image_size)
    return {
        "input_ids": text.input_ids,
        "labels": text.labels,
        "pixel_values": torch.randn(size, generator=g),
        "proprio": torch.rand(batch, config.proprio_dim, generator=g) * 2 - 1,
        "actions": actions,
        "noise": torch.rand(batch, visual, visual, generator=g),
        "noise_scale": torch.tensor(0.8, dtype=torch.float64),
    }


def number_inputs(rng: np.random.Generator) -> dict[str, np.ndarray]:
    """Ordinary values and edge cases: outside [-1, 1], no rotation, w of -1, a gripper at 0.5, runs of no-ops."""
    actions = np.concatenate([rng.uniform(-1.2, 1.2, (12, 7)), np.linspace(-1, 1, 14).reshape(2, 7)])
    quaternions = rng.normal(size=(8, 4))
    quaternions /= np.linalg.norm(quaternions, axis=1, keepdims=True)
    quaternions[:3] = [[0, 0, 0, 1], [0, 0, 0, -1], [1, 0, 0, 0]]
    grips = rng.uniform(-1, 1, (6, 7))
    grips[:, 6] = [0, 1, 0.5, 0.49, 0.51, 0.8]
    moves = rng.uniform(-0.5, 0.5, (10, 7)) * np.array([0, 1, 0, 0, 1, 1, 0, 0, 1, 0])[:, None]
    moves[:, 6] = [-1, -1, -1, 1, 1, 1, 1, -1, -1, 1]
    return {"tok.actions": actions, "quat.xyzw": quaternions, "grip.actions": grips, "noop.actions": moves}


def make(folder: Path, config: VLAConfig = CONFIG) -> None:
    """Write the whole set: files without a model, the checkpoint, and files that need it."""
    make_parts(folder)
    g = torch.Generator().manual_seed(7)
    model, statistics = random_model(config, g), random_statistics(g)
    save(
        folder / checkpoint.NAME,
        model,
        statistics=statistics,
        normalisation=Normalisation(),
        kind="lightvla",
        dtype=torch.bfloat16,
    )
    make_queries(folder, checkpoint.load_tested(folder / checkpoint.NAME), config)


def make_parts(folder: Path) -> None:
    """Files of the pruner alone, the image preparation and the arithmetic."""
    for name, sizes, seed in (("small", (1, 8, 5, 16), 11), ("batch2", (2, 12, 7, 12), 23)):
        tensors = first_clear(
            lambda g, sizes=sizes: complete(pruner_inputs(*sizes, g), pruner.computed),
            lambda t: [margin(t["eval.score"]), margin(t["train.noisy_score"])],
            seed,
        )
        store(folder / f"pruner_{name}.safetensors", tensors)

    frame = {"img0.raw": random_images(1, 44, torch.Generator().manual_seed(31))[0].numpy()}
    np.savez_compressed(folder / "image_pipeline.npz", **complete(frame, lambda f: images.computed(f, size=40)))
    np.savez_compressed(folder / "utils.npz", **complete(number_inputs(np.random.default_rng(41)), numbers.computed))


def make_queries(folder: Path, tested: TestedModel, config: VLAConfig) -> None:
    """Two queries and a training step through the whole model."""
    for case, length, with_space, seed in (("a", 12, False, 100), ("b", 14, True, 200)):
        tensors = first_clear(
            lambda g, n=length, s=with_space: complete(query_inputs(config, n, s, g), lambda f: evaluation.computed(tested, f)),
            lambda t: query_margins(tested, t),
            seed,
        )
        store(folder / f"e2e_eval_{case}.safetensors", tensors)
    tensors = first_clear(
        lambda g: complete(step_inputs(config, tested.text_tokens, g), lambda f: training.computed(tested, f, GRADIENTS)),
        lambda t: [margin(t["light.score"] + t["noise"] * t["noise_scale"].item())],
        300,
    )
    store(folder / "e2e_train.safetensors", tensors)


def check(folder: Path) -> None:
    """Exit where this code does not reproduce a folder of fixtures."""
    report = verify(folder)
    typer.echo(f"{folder}: {counts(report.rows)}", err=True)
    if not report.passed:
        sys.exit(f"error: this code does not reproduce {folder}\n  fix: vla-bench verify --fixtures {folder}")


def main(
    against: Annotated[Optional[Path], typer.Option(help="Tensors of the reference, to be reproduced first.")] = None,
    out: Annotated[Path, typer.Option(help="Where to put the set.")] = GOLDEN,
):
    if against is not None:
        check(against)
    with tempfile.TemporaryDirectory() as temporary:
        folder = Path(temporary) / "golden"
        folder.mkdir()
        make(folder)
        check(folder)
        size = sum(path.stat().st_size for path in folder.rglob("*") if path.is_file())
        if size > MOST_BYTES:
            sys.exit(f"error: the set takes {size} bytes, at most {MOST_BYTES} are bundled")
        shutil.rmtree(out, ignore_errors=True)
        # Without file modes: safetensors writes files that only the owner can read.
        shutil.copytree(folder, out, copy_function=shutil.copyfile)
    typer.echo(f"{out}: {size} bytes")


if __name__ == "__main__":
    typer.run(main)
