"""Ship a trained nano model: its checkpoint in half precision, and a card, below vla_bench/weights.

    python scripts/bundle_weights.py TRAINING NAME --recipe nano-oft --data "750 demonstrations ..." --hardware "2 CPU cores"

What the card says of success is written by hand, from runs of the shipped weights.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import torch

from vla_bench.checkpoints.checkpoint import load
from vla_bench.checkpoints.known import WEIGHTS
from vla_bench.checkpoints.saving import save
from vla_bench.training.log import read_log
from vla_bench.training.recipe import RECIPES
from vla_bench.training.state import saved_recipe


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("training", type=Path)
    parser.add_argument("name")
    parser.add_argument("--recipe", required=True, choices=RECIPES, help="that TRAINING was asked for with")
    parser.add_argument("--data", required=True)
    parser.add_argument("--hardware", required=True)
    parser.add_argument("--before", default="", help="what the start had been trained with")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="the folder that gets a folder NAME")
    asked = parser.parse_args()
    folder = asked.out / asked.name
    loaded = load(asked.training / "checkpoint", device="cpu")
    (folder / "README.md").unlink(missing_ok=True)  # `save` replaces a checkpoint, and nothing else
    save(
        folder,
        loaded.model,
        statistics=loaded.statistics,
        normalisation=loaded.normalisation,
        kind=loaded.kind,
        step=saved_recipe(asked.training).steps,
        tokenizer_file=loaded.tokenizer_file,
        heads="safetensors",
        dtype=torch.float16,
    )
    (folder / "README.md").write_text(card(asked), encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 1e6:.1f} MB")


def card(asked: argparse.Namespace) -> str:
    recipe, rows = saved_recipe(asked.training), read_log(asked.training / "log.csv")
    last = rows[-max(1, len(rows) // 50) :]
    means = {name: sum(row[name] for row in last) / len(last) for name in ("action", "gripper", "kept")}
    hours = sum(recipe.batch / row["samples_per_s"] for row in rows) / 3600
    rates = f"{recipe.learning_rate:g}" + (f", Muon {recipe.matrix_rate:g} for matrices" if recipe.matrix_rate else "")
    pruner = recipe.pruner
    if pruner != "none":
        share = f"{100 * recipe.kept_once:g} % of steps keep each token once, as evaluation"
        pruner += f", noise {recipe.noise_schedule.value}; {share}"
    lines = [
        f"# {asked.name}",
        "",
        "A nano model of vla-bench, half precision. It acts on the embedded `primitive` assets and means nothing elsewhere.",
        "",
        "| | |",
        "|---|---|",
        f"| recipe | {asked.recipe} |",
        f"| data | {asked.data} |",
        f"| start | {asked.before or recipe.start} |",
        f"| pruner | {pruner} |",
        f"| training | {recipe.steps:,} steps x {recipe.batch}, {recipe.rate_schedule.value}, seed {recipe.seed} |",
        f"| suites drawn | {recipe.shares or 'evenly'} |",
        f"| peak rate | AdamW {rates} |",
        f"| auxiliary loss | {recipe.auxiliary:g} |",
        f"| hardware, time | {asked.hardware}, {hours:.1f} h |",
        f"| at its end | L1 {means['action']:.4f}, the gripper's {means['gripper']:.4f}, {means['kept']:.1f} tokens kept |",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
