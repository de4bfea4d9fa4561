"""What `vla-bench agree` prints and draws."""

from __future__ import annotations

from pathlib import Path

from vla_bench.measure.agree import AgreementReport
from vla_bench.tables import print_table

COLUMNS = ("pruner", "tokens", "of", "distance", "95 % CI", "gripper %", "GFLOP", "ms", "prune ms")


def print_agreement(agreed: AgreementReport) -> None:
    """One row a pruner, in the order of the request."""
    rows = [
        [
            row.pruner,
            f"{row.kept:.1f}",
            str(row.visual),
            f"{row.distance:.4f}",
            f"{row.low:.4f} - {row.high:.4f}",
            f"{100 * row.gripper:.1f}",
            f"{row.gflops:.3f}" if row.gflops < 100 else f"{row.gflops:.1f}",
            f"{row.ms:.1f}",
            f"{row.prune_ms:.1f}",
        ]
        for row in agreed.rows
    ]
    title = f"{agreed.model} on {agreed.device}, {agreed.rows[0].queries} recorded queries ({agreed.observations}), one at a time"
    print_table(COLUMNS, rows, title)


def plot_agreement(agreed: AgreementReport, path: Path) -> None:
    """A PNG: distance from the dense model's actions against kept image tokens, with intervals."""
    import matplotlib

    matplotlib.use("Agg")
    import matplotlib.pyplot as plt

    figure, axes = plt.subplots(figsize=(7, 5), layout="constrained")
    markers = "os^Dv<>Pp*Xh8d"
    for i, row in enumerate(agreed.rows):
        error = [[row.distance - row.low], [row.high - row.distance]]
        axes.errorbar(
            row.kept, row.distance, yerr=error, fmt=markers[i % len(markers)], color=f"C{i % 10}", capsize=3, label=row.pruner
        )
    axes.set(
        xlabel=f"image tokens kept, mean of a query (of {agreed.rows[0].visual})",
        ylabel="mean distance of actions from the dense model",
        xlim=(0, None),
        ylim=(0, None),
    )
    axes.grid(alpha=0.3)
    axes.legend(fontsize="small", loc="upper left", bbox_to_anchor=(1.0, 1.0))
    figure.savefig(path, dpi=120)
    plt.close(figure)
