"""Small models on disk, for the tests of checkpoints."""

from __future__ import annotations

import copy
import json
from dataclasses import replace
from functools import partial
from pathlib import Path

import torch
from safetensors.torch import load_file, save_file

from vla_bench.checkpoints import checkpoint
from vla_bench.checkpoints.checkpoint import save
from vla_bench.interface.config import DINOV2, SIGLIP, LLMConfig, TokenIds, VLAConfig
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT
from vla_bench.interface.view import View
from vla_bench.model.images import Normalisation
from vla_bench.model.vla import VLA, Inputs
from vla_bench.pruners.budget import top_k

load = partial(checkpoint.load, device="cpu")  # whatever else the machine has
TINY = VLAConfig(
    name="tiny",
    image_size=28,
    dino=replace(DINOV2, width=16, depth=3, heads=2),
    siglip=replace(SIGLIP, width=24, depth=2, heads=2),
    llm=LLMConfig(width=16, layers=2, heads=2, mlp=40, vocab=320),
    tokens=TokenIds(bos=1, stop=2, pad=312, space=5, actions_end=312, template="{instruction}"),
)
PUBLIC = replace(TINY, llm=replace(TINY.llm, width=8, mlp=16, vocab=32064), tokens=TokenIds())  # as the public ids need it
# Unlike the published ones wherever the format permits.
ODD = replace(
    TINY,
    image_size=32,
    cameras=1,
    dino=replace(DINOV2, width=12, depth=2, heads=3, mlp_ratio=2.5, patch=8, registers=None, layer_scale=False),
    siglip=replace(SIGLIP, width=8, depth=4, heads=1, patch=8, attention_pool=False),
    llm=replace(TINY.llm, rope_theta=500.0, rms_eps=1e-5, max_positions=77),
    chunk=3,
    action_dim=5,
    proprio_dim=0,
    l1_head=False,
)
STATISTICS = {"libero_goal_no_noops": {"action": {"q01": [-0.5] * 7, "q99": [0.25] * 7}}}
HEAD, PROPRIO = "action_head--40000_checkpoint.pt", "proprio_projector--40000_checkpoint.pt"
SHARD = "model-00004-of-00004.safetensors"


class TopK(Pruner):
    """A trainable pruner."""

    name = "top-k"
    sites = (LLM_INPUT,)

    def __init__(self, width: int = 16):
        super().__init__()
        self.query = torch.nn.Parameter(torch.randn(width))

    def select(self, view: View) -> Selection:
        return Selection(top_k(view.patches.hidden @ self.query, 3))


def make(config: VLAConfig, pruner: Pruner | None = None, seed: int = 0) -> VLA:
    """A random model, its decoder with weights large enough that attention moves a value also in bfloat16."""
    torch.manual_seed(seed)
    model = VLA(config, pruner).eval()
    with torch.no_grad():
        for parameter in model.openvla.language_model.model.layers.parameters():
            parameter.normal_(std=0.3) if parameter.dim() > 1 else parameter.uniform_(0.5, 1.5)
    return model


def cast(model: VLA, dtype: torch.dtype) -> VLA:
    """In another dtype, save for the rotary frequencies: a loaded model has them in float32, as the reference does."""
    llama = model.openvla.language_model.model
    rotary = copy.deepcopy(llama.rotary_emb)
    model.to(dtype)
    llama.rotary_emb = rotary
    return model


def write(folder: Path, model: VLA, ours: bool = True, **options) -> Path:
    given = {"statistics": STATISTICS, "normalisation": Normalisation(), "kind": "openvla-oft", "step": 40000, **options}
    save(folder, model, **given)
    if not ours:
        change_config(folder, lambda table: table.pop("vla_bench"))
    return folder


def public(folder: Path) -> Path:
    """A checkpoint of four shards that looks public, of `make(PUBLIC)`."""
    return write(folder, make(PUBLIC), ours=False, max_shard_size=200_000)


def change_config(folder: Path, change) -> None:
    table = json.loads((folder / "config.json").read_text())
    change(table)
    (folder / "config.json").write_text(json.dumps(table))


def change_tensors(path: Path, change) -> None:
    """Rewrite a file of tensors after `change` went over its dictionary."""
    tensors = load_file(path) if path.suffix == ".safetensors" else torch.load(path, weights_only=True)
    change(tensors)
    save_file(tensors, path) if path.suffix == ".safetensors" else torch.save(tensors, path)


def query(config: VLAConfig) -> Inputs:
    generator = torch.Generator().manual_seed(3)
    pixels = torch.randn(2, 6 * config.cameras, config.image_size, config.image_size, generator=generator)
    proprio = torch.randn(2, config.proprio_dim, generator=generator) if config.proprio_dim else None
    return Inputs(pixels, ((7, 8, 9, 5), (7, 5)), proprio)


@torch.no_grad()
def answer(model: VLA, inputs: Inputs) -> torch.Tensor:
    return model(inputs).actions


def assert_equal(one: VLA, other: VLA) -> None:
    mine, theirs = one.state_dict(), other.state_dict()
    assert mine.keys() == theirs.keys()
    for name in mine:
        assert mine[name].dtype == theirs[name].dtype and torch.equal(mine[name], theirs[name]), name
