"""Combine checkpoints of one architecture, tensor by tensor: their mean, or a sum with weights that add up to 1.

    python scripts/average_weights.py MEAN nano-oft-2 ../earlier/nano-oft-2
    python scripts/average_weights.py MEAN FINE-TUNED MEAN-OF-ITS-START START --weights 1,1,-1

Rounds of training from one another win and lose tasks at random.  In their mean, what they agree on stays and the rest becomes
smaller.  The second form applies the change of a fine-tuning to another start.  Statistics, tokenizer and config are those of the
first checkpoint.
"""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import torch
import typer
from torch import Tensor

from vla_bench.checkpoints.checkpoint import load
from vla_bench.checkpoints.known import bundled
from vla_bench.checkpoints.saving import save
from vla_bench.errors import CheckpointError, VlaBenchError


def main(
    out: Path,
    checkpoints: list[str],
    weights: Annotated[str, typer.Option(help="Weights with commas, which add up to 1; equal ones without.")] = "",
    step: Annotated[int, typer.Option(help="Training step in the names of the heads' files.")] = 0,
) -> None:
    try:
        combine(out, [*checkpoints], [float(share) for share in weights.split(",")] if weights else None, step)
    except VlaBenchError as error:
        sys.exit(str(error))


def combine(out: Path, checkpoints: list[str | Path], weights: list[float] | None, step: int) -> None:
    """Save the sum as checkpoint folder `out`, in half precision.  Raises CheckpointError where they do not fit together."""
    weights = weights or [1.0 / len(checkpoints)] * len(checkpoints)
    if len(weights) != len(checkpoints) or abs(sum(weights) - 1.0) > 1e-6:
        raise CheckpointError(f"{len(checkpoints)} checkpoints need as many weights, with a sum of 1; given: {weights}")
    first, *others = [load(bundled(str(name)) or name, device="cpu", dtype=torch.float32) for name in checkpoints]
    for name, other in zip(checkpoints[1:], others, strict=True):
        if other.statistics != first.statistics:
            raise CheckpointError(
                f"the action statistics of {name} are not those of {checkpoints[0]}: their actions differ in scale"
            )
    states = [loaded.model.state_dict() for loaded in (first, *others)]
    first.model.load_state_dict({name: weighted([state.get(name) for state in states], weights, name) for name in states[0]})
    save(
        out,
        first.model,
        statistics=first.statistics,
        normalisation=first.normalisation,
        kind=first.kind,
        step=step,
        tokenizer_file=first.tokenizer_file,
        heads="safetensors",
        dtype=torch.float16,
    )


def weighted(tensors: list[Tensor | None], weights: list[float], name: str) -> Tensor:
    """The weighted sum of one tensor of all checkpoints; those that only the first has (its pruner's) are taken from it."""
    first, *others = tensors
    if all(other is None for other in others):
        return first
    if any(other is None or other.shape != first.shape for other in others):
        raise CheckpointError(f"{name} has another shape in one of the checkpoints, or is missing there")
    return sum(weight * tensor for weight, tensor in zip(weights, tensors, strict=True))


if __name__ == "__main__":
    typer.run(main)
