"""A random nano model, queries for it, and pruners for every site, for the tests of the model's own arithmetic."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import torch
import torch.nn.functional as F

from vla_bench.interface.layout import Span
from vla_bench.interface.needs import Rows
from vla_bench.interface.presets import NANO
from vla_bench.interface.pruner import Pruner
from vla_bench.interface.selection import Selection
from vla_bench.interface.sites import LLM_INPUT, VISION, before_layer
from vla_bench.interface.view import Patches, Query, View
from vla_bench.model.tokenizer import NANO_TOKENIZER, Tokenizer
from vla_bench.model.vla import VLA, Inputs, Output
from vla_bench.pruners.budget import top_k
from vla_bench.pruners.lightvla import LightVLA

INSTRUCTIONS = (  # 5 to 20 tokens, all unequal
    "turn on the stove",
    "put the bowl on the plate",
    "open the middle drawer of the cabinet",
    "put the wine bottle on top of the cabinet",
    "pick up the butter and place it in the basket",
    "pick up the cream cheese and place it in the basket",
    "pick up the black bowl on the stove and place it on the plate",
    "put the white mug on the left plate and put the yellow and white mug on the right plate",
)


@contextmanager
def one_thread() -> Iterator[None]:
    """Threads that spin while another process has their core make a small model slower by far than one thread alone."""
    before = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(before)


def inputs(batch: int = 8, seed: int = 0) -> Inputs:
    """Queries with unequal prompts; images are smooth, for in noise all patches are alike."""
    generator = torch.Generator().manual_seed(seed)
    coarse = torch.randn(batch, 6 * NANO.cameras, 14, 14, generator=generator)
    pixels = F.interpolate(coarse, size=NANO.image_size, mode="bilinear")
    tokenizer = Tokenizer(NANO_TOKENIZER, NANO.tokens)
    prompts = tuple(tokenizer.prompt(INSTRUCTIONS[i % len(INSTRUCTIONS)]) for i in range(batch))
    proprio = 2 * torch.rand(batch, NANO.proprio_dim, generator=generator) - 1
    return Inputs(pixels, prompts, proprio, tuple(Query(step=i) for i in range(batch)))


def sample(batch: Inputs, i: int) -> Inputs:
    """The i-th query alone."""
    one = slice(i, i + 1)
    return replace(
        batch,
        pixel_values=batch.pixel_values[one],
        prompts=batch.prompts[one],
        proprio=batch.proprio[one],
        queries=batch.queries[one],
    )


@torch.no_grad()
def answer(model: VLA, batch: Inputs) -> Output:
    return model(batch)


def kept(output: Output, i: int) -> list[list[int]]:
    """Which patches sample i kept, site by site."""
    return [
        (kept.patches.ids[i] if kept.patches.valid is None else kept.patches.ids[i][kept.patches.valid[i]]).tolist()
        for kept in output.trace.sites
    ]


def loud(patches: Patches) -> torch.Tensor:
    """Tokens whose norm is above the mean of their sample's, as many as there happen to be; padding may be among them."""
    norms = patches.hidden.float().norm(dim=-1)
    valid = torch.ones_like(norms) if patches.valid is None else patches.valid.float()
    return norms > (norms * valid).sum(dim=1, keepdim=True) / valid.sum(dim=1, keepdim=True)


class AtVision(Pruner):
    """Keeps more the later the step of its query is."""

    name = "at-vision"
    sites = (VISION,)

    def select(self, view: View) -> Selection:
        norms = view.patches.hidden.norm(dim=-1)
        return Selection(torch.cat([top_k(row[None], 9 * q.step + 5) for row, q in zip(norms, view.queries, strict=True)]))


class BeforeLightVLA(LightVLA):
    """LightVLA on what a vision pruner left, padding included."""

    name = "before-lightvla"
    sites = (VISION, LLM_INPUT)

    def select(self, view: View) -> Selection:
        return Selection(loud(view.patches)) if view.site == VISION else super().select(view)


class ByAttention(Pruner):
    """Keeps what the prompt attends to more than to the mean image token in layer 0."""

    name = "by-attention"
    sites = (before_layer(1),)
    rows = (Rows(0, Span.PROMPT),)

    def select(self, view: View) -> Selection:
        attention = view.rows[self.rows[0]].mean()[:, 1 : 1 + view.patches.ids.shape[1]]
        return Selection(attention > attention.mean(dim=1, keepdim=True))


class Everywhere(Pruner):
    """Thins at all three places, twice between layers: each sees the padding that the one before has left."""

    name = "everywhere"
    sites = (VISION, LLM_INPUT, before_layer(2), before_layer(5))

    def select(self, view: View) -> Selection:
        return Selection(loud(view.patches))


class KeepAll(Pruner):
    """Keeps everything: as a mask, or by returning None."""

    name = "keep-all"
    sites = (VISION, LLM_INPUT, before_layer(0), before_layer(3))

    def __init__(self, silent: bool = False):
        super().__init__()
        self.silent = silent

    def select(self, view: View) -> Selection | None:
        return None if self.silent else Selection(torch.ones_like(view.patches.ids, dtype=torch.bool))
