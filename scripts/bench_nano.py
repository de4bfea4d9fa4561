"""Time of a query of the nano model: dense and with LightVLA, single and in a batch of eight, in milliseconds.

    python scripts/bench_nano.py --threads 2
    python scripts/bench_nano.py --checkpoint PATH --device cuda

Images are prepared beforehand; all that follows is timed.  The variants are interleaved, so that a drift of speed affects all
of them.  A batch of eight must return the actions of eight single queries, with unequal prompts and kept tokens.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Annotated, Optional

import numpy as np
import torch
import torch.nn.functional as F
import typer

from vla_bench.checkpoints.checkpoint import load
from vla_bench.environment import cpu_name, gpu_name
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.presets import NANO
from vla_bench.model.initialise import random_vla
from vla_bench.model.vla import VLA, Inputs
from vla_bench.pruners.lightvla import LightVLA

BATCH = 8
PROMPTS = (5, 7, 9, 11, 13, 15, 17, 19)  # tokens; LIBERO's instructions have 5 to 20
AGREE = 1e-5  # largest difference of an action, float32


def queries(config: VLAConfig, like: torch.Tensor, seed: int) -> Inputs:
    """A batch of eight; images are smooth, since in noise all patches are alike to a pruner."""
    generator = torch.Generator().manual_seed(seed)
    pixels = torch.randn(BATCH, 6 * config.cameras, 14, 14, generator=generator)
    pixels = F.interpolate(pixels, size=config.image_size, mode="bilinear").to(like)
    words = torch.randint(4, 70, (BATCH, max(PROMPTS)), generator=generator).tolist()
    prompts = tuple((*row[: length - 1], config.tokens.space) for row, length in zip(words, PROMPTS, strict=True))
    return Inputs(pixels, prompts, torch.randn(BATCH, config.proprio_dim, generator=generator).clamp(-1, 1).to(like))


def alone(batch: Inputs, i: int) -> Inputs:
    one = slice(i, i + 1)
    return replace(batch, pixel_values=batch.pixel_values[one], prompts=batch.prompts[one], proprio=batch.proprio[one])


def check(model: VLA, batch: Inputs) -> tuple[float, list[int]]:
    """Largest difference between the batch and single queries, and the number of kept image tokens of each."""
    together, singles = model(batch), [model(alone(batch, i)) for i in range(BATCH)]
    kept = together.kept_per_camera()
    if kept != [output.kept_per_camera()[0] for output in singles]:
        raise SystemExit("a batch keeps other tokens than single queries")
    difference = (together.actions - torch.cat([output.actions for output in singles])).abs().max().item()
    if batch.pixel_values.dtype == torch.float32 and difference > AGREE:
        raise SystemExit(f"a batch differs from single queries: {difference:.1e}")
    return difference, [sum(cameras) for cameras in kept]


def milliseconds(work: Callable[[], object], device: torch.device) -> float:
    wait = torch.cuda.synchronize if device.type == "cuda" else lambda: None
    wait()
    started = time.perf_counter()
    work()
    wait()
    return 1000 * (time.perf_counter() - started)


def summary(times: list[float]) -> str:
    low, middle, high = np.percentile(times, [5, 50, 95])
    return f"median {middle:6.1f} ms   p5 {low:6.1f}   p95 {high:6.1f}"


@torch.inference_mode()
def main(
    checkpoint: Annotated[Optional[Path], typer.Option(help="A checkpoint folder.", show_default="random weights")] = None,
    threads: int = 2,
    rounds: int = 50,
    device: str = "cpu",
    seed: int = 0,
):
    torch.set_num_threads(threads)
    model = load(checkpoint, device=device, pruner=None).model if checkpoint else random_vla(NANO, seed, device=device).eval()
    pruner = LightVLA().eval()
    weight = next(model.parameters())
    batch = queries(model.config, weight, seed)
    pruners = {"dense": None, "lightvla": pruner}
    what = gpu_name() if weight.device.type == "cuda" else f"{cpu_name()}, {threads} threads"
    print(f"{what}; torch {torch.__version__}, {weight.dtype}; {rounds} interleaved rounds, one warm-up")

    times: dict[tuple[str, str], list[float]] = {}
    for name, chosen in pruners.items():
        model.pruner = chosen
        difference, kept = check(model, batch)
        print(f"{name:9} image tokens {kept}; {BATCH} together equal single queries within {difference:.0e}")
    for number in range(rounds + 1):
        for name, chosen in pruners.items():
            model.pruner = chosen
            singles = [alone(batch, i) for i in range(BATCH)]
            laps = {
                "one": milliseconds(lambda one=singles[number % BATCH]: model(one), weight.device),
                "eight alone": milliseconds(lambda singles=singles: [model(one) for one in singles], weight.device),
                "eight together": milliseconds(lambda: model(batch), weight.device),
            }
            for how, lap in laps.items():
                times.setdefault((name, how), []).append(lap)
    times = {key: laps[1:] for key, laps in times.items()}  # the first round warms up
    for (name, how), laps in times.items():
        print(f"{name:9} {how:15} {summary(laps)}")
    for name in pruners:
        ratios = np.divide(times[name, "eight alone"], times[name, "eight together"])
        low, middle, high = np.percentile(ratios, [5, 50, 95])
        print(f"{name:9} eight together are {middle:.2f} times faster than alone (p5 {low:.2f}, p95 {high:.2f})")


if __name__ == "__main__":
    typer.run(main)
