"""Plot success rates of pruners at about one number of kept tokens, from the committed results: the figure in the README.

    python scripts/plot_pruners.py --suite spatial --out docs/pruners-spatial.png

Reads results/pruners/SUITE/*.json, which `vla-bench compare` prints as a table.  Bars are 95 % Wilson intervals.
"""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import matplotlib

matplotlib.use("Agg")
import matplotlib.pyplot as plt
import typer

ROOT = Path(__file__).resolve().parents[1]
TITLES = {"spatial": "LIBERO-Spatial", "object": "LIBERO-Object", "goal": "LIBERO-Goal", "long": "LIBERO-Long"}
# Marker, colour, and the runs of each group with their labels, from top to bottom.
GROUPS = {
    "dense": ("s", "black", {"none": "dense model"}),
    "fine-tuned with a pruner": (
        "o",
        "tab:blue",
        {
            "lightvla": "LightVLA",
            "lightvla-star-vision": "LightVLA* (vision)",
            "lightvla-star-llm1": "LightVLA* (layer 1)",
            "random-on-lightvla": "LightVLA's weights, random tokens",
        },
    ),
    "dense model, pruner without training": (
        "D",
        "tab:orange",
        {
            "fastv": "FastV",
            "divprune": "DivPrune",
            "sparsevlm": "SparseVLM",
            "random": "random tokens",
            "grid": "even grid",
            "lightvla-untrained": "LightVLA, not fine-tuned",
        },
    ),
}


def main(
    suite: Annotated[str, typer.Option(help="Folder below results/pruners.")] = "spatial",
    out: Annotated[Path, typer.Option(help="PNG file.")] = Path("docs/pruners-spatial.png"),
) -> None:
    figure, axes = plt.subplots(figsize=(8.6, 5.0), dpi=110)
    rows = [(group, name, label) for group, (_, _, names) in GROUPS.items() for name, label in names.items()]
    labels = []
    for y, (group, name, label) in zip(range(len(rows))[::-1], rows, strict=True):
        marker, colour, _ = GROUPS[group]
        totals = json.loads((ROOT / "results" / "pruners" / suite / f"{name}.json").read_text())["totals"]
        rate, (low, high) = totals["rate"], totals["interval"]
        error = [[100 * (rate - low)], [100 * (high - rate)]]
        first = name == next(iter(GROUPS[group][2]))
        axes.errorbar(100 * rate, y, xerr=error, fmt=marker, color=colour, capsize=3, label=group if first else None)
        labels.append(f"{label}\n{totals['kept_tokens_mean']:.0f} tokens, {totals['gflops_mean']:.2f} GFLOP")
    axes.set_yticks(range(len(labels))[::-1], labels, fontsize=9)
    axes.set_xlim(0, 100)
    n = totals["successes"] + totals["failures"]
    axes.set_xlabel(f"success rate, % (n = {n} each, 95 % interval)", fontsize=11)
    axes.set_title(f"{TITLES[suite]}, nano models, primitive assets: 128 image tokens before pruning", fontsize=11)
    axes.grid(axis="x", alpha=0.3)
    axes.legend(loc="upper left", fontsize=10)
    figure.tight_layout()
    figure.savefig(out)
    typer.echo(out)


if __name__ == "__main__":
    typer.run(main)
