"""Bundle a trained nano model: its checkpoint in half precision and a model card, in vla_bench/weights.

    python scripts/bundle_weights.py TRAINING NAME --recipe nano-oft --data "750 demonstrations ..." --hardware "2 CPU cores"

Success rates are added to the card by hand, from runs of the bundled weights.
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
    parser.add_argument("--recipe", required=True, choices=RECIPES, help="that TRAINING was options for with")
    parser.add_argument("--data", required=True)
    parser.add_argument("--hardware", required=True)
    parser.add_argument("--before", default="", help="earlier training of the starting checkpoint")
    parser.add_argument("--out", type=Path, default=WEIGHTS, help="the folder that gets a folder NAME")
    options = parser.parse_args()
    folder = options.out / options.name
    loaded = load(options.training / "checkpoint", device="cpu")
    (folder / "README.md").unlink(missing_ok=True)  # `save` refuses folders with other files
    save(
        folder,
        loaded.model,
        statistics=loaded.statistics,
        normalisation=loaded.normalisation,
        kind=loaded.kind,
        step=saved_recipe(options.training).steps,
        tokenizer_file=loaded.tokenizer_file,
        heads="safetensors",
        dtype=torch.float16,
    )
    (folder / "README.md").write_text(card(options), encoding="utf-8")
    size = sum(path.stat().st_size for path in folder.iterdir())
    print(f"{folder}: {size / 1e6:.1f} MB")


def card(options: argparse.Namespace) -> str:
    recipe, rows = saved_recipe(options.training), read_log(options.training / "log.csv")
    last = rows[-max(1, len(rows) // 50) :]
    means = {name: sum(row[name] for row in last) / len(last) for name in ("action", "gripper", "kept")}
    hours = sum(recipe.batch / row["samples_per_s"] for row in rows) / 3600
    rates = f"{recipe.learning_rate:g}" + (f", Muon {recipe.matrix_rate:g} for matrices" if recipe.matrix_rate else "")
    pruner = recipe.pruner
    if pruner != "none":
        share = f"{100 * recipe.kept_once:g} % of steps keep each token once, as evaluation"
        pruner += f", noise {recipe.noise_schedule.value}; {share}"
    lines = [
        f"# {options.name}",
        "",
        "A nano model of vla-bench, half precision. It acts on the embedded `primitive` assets and means nothing elsewhere.",
        "",
        "| | |",
        "|---|---|",
        f"| recipe | {options.recipe} |",
        f"| data | {options.data} |",
        f"| start | {options.before or recipe.start} |",
        f"| pruner | {pruner} |",
        f"| training | {recipe.steps:,} steps x {recipe.batch}, {recipe.rate_schedule.value}, seed {recipe.seed} |",
        f"| suites drawn | {recipe.shares or 'evenly'} |",
        f"| peak rate | AdamW {rates} |",
        f"| auxiliary loss | {recipe.auxiliary:g} |",
        f"| hardware, time | {options.hardware}, {hours:.1f} h |",
        f"| at its end | L1 {means['action']:.4f}, the gripper's {means['gripper']:.4f}, {means['kept']:.1f} tokens kept |",
    ]
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    main()
