"""`tiny_ckpt/`: the checkpoint that the end-to-end fixtures were made with, loaded by the same code as any other."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path

import torch
from safetensors.torch import load_file
from torch import Tensor

from vla_bench.checkpoints.checkpoint import load
from vla_bench.checkpoints.config_file import read_config_file
from vla_bench.checkpoints.files import shards
from vla_bench.checkpoints.parts import ACTION_HEAD, PROPRIO_PROJECTOR, part_file
from vla_bench.interface.config import TokenIds
from vla_bench.model.images import Normalisation
from vla_bench.model.normalisation import Statistics
from vla_bench.model.vla import VLA
from vla_bench.verify.compare import EXACT, Computed
from vla_bench.verify.fixture import Fixture

NAME = "tiny_ckpt"


@dataclass
class TestedModel:
    """The model under test, in float32 on the CPU.

    statistics: of every data set in the checkpoint.
    text_tokens: token ids of the text.  In the public layout they are Llama 2's, whatever the embedding is padded to, while
    the decoder's action bins end where the config says.
    """

    model: VLA
    normalisation: Normalisation
    statistics: tuple[Statistics, ...]
    text_tokens: TokenIds

    def fit(self, cameras: int, chunk: int | None) -> None:
        """Set cameras and chunk, which the public layout does not have; a chunk of None leaves it as it is."""
        config = self.model.config
        self.model.config = replace(config, cameras=cameras, chunk=chunk or config.chunk)
        if self.model.action_head is not None:
            self.model.action_head.chunk = self.model.config.chunk


def load_tested(folder: Path) -> TestedModel:
    """Raises CheckpointError."""
    loaded = load(str(folder), device="cpu", dtype=torch.float32, pruner=None)
    tokens = loaded.config.tokens
    if read_config_file(folder).origin is None:
        tokens = replace(tokens, actions_end=TokenIds().actions_end)
    statistics = tuple(Statistics.parse(entry, key) for key, entry in loaded.statistics.items())
    return TestedModel(loaded.model, loaded.normalisation, statistics, tokens)


def stored(folder: Path) -> Fixture:
    """Every tensor of the checkpoint's files by its public name, read without the loader."""
    tensors: dict[str, Tensor] = {}
    for shard in shards(folder):
        tensors |= load_file(shard.path)
    for part in (ACTION_HEAD, PROPRIO_PROJECTOR):
        path = part_file(folder, part)
        if path is not None:
            tensors_of_part = torch.load(path, map_location="cpu", weights_only=True) if path.suffix == ".pt" else load_file(path)
            tensors |= {f"{part}.{name.removeprefix('module.')}": value for name, value in tensors_of_part.items()}
    return Fixture(tensors)


def computed(tested: TestedModel) -> Iterator[Computed]:
    """Every weight of the model, which must equal the file's: bfloat16 fits in float32."""
    for name, value in tested.model.state_dict().items():
        part = name.split(".", 1)[0]
        yield Computed(name.removeprefix("openvla."), value, EXACT, family="weights" if part == "openvla" else part)
