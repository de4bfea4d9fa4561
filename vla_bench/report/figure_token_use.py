"""Token-use map: how often each patch of each camera is kept, and how concentrated that is against an even choice.

The paper (section V-B) says that LightVLA focuses on informative tokens where mixtures of experts spread their choice evenly.
"""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import asdict
from functools import partial

import numpy as np

from vla_bench.concentration import concentration, even_counts
from vla_bench.report.figure import PAGE, Figure, Row, number
from vla_bench.report.report_table import ReportTable
from vla_bench.results.token_use import TokenUse

Pictures = Mapping[str, np.ndarray]  # by camera (S, S, 3) uint8, as the model sees it


def use_figure(run: str, place: int, use: TokenUse, cameras: Sequence[str], pictures: Pictures, source: str) -> Figure | None:
    """pictures: mean image of each camera, from `source`; empty for none.

    None where no query recorded its patches, or where they form no square.
    """
    if not use.traced or math.isqrt(len(use.used[0])) ** 2 != len(use.used[0]):
        return None
    rows = [
        {"camera": camera, "patch": patch, "kept": count, "queries": use.traced}
        for camera, counts in zip(cameras, use.used, strict=False)
        for patch, count in enumerate(counts)
    ]
    words = [
        f"{row['camera']}: {100 * number(row['top_tenth']):.0f} % of the kept tokens lie in the most used tenth of the patches, "
        f"{100 * number(row['even_top_tenth']):.0f} % were as many kept at random"
        for row in concentration_rows(run, use, cameras)
    ]
    about = f"over the mean picture {source}" if pictures else "without a picture: none is at hand for these assets"
    caption = f"Share of {use.traced} queries in which each patch reached the end of the decoder, {about}. {'; '.join(words)}."
    return Figure(f"token-use-{place}", f"Where {run} keeps image tokens", caption, rows, partial(draw, pictures=pictures))


def concentration_rows(run: str, use: TokenUse, cameras: Sequence[str]) -> list[Row]:
    """Of each camera the concentration of its use, and of as many patches of each query chosen at random."""
    rows: list[Row] = []
    for camera, counts, kept in zip(cameras, use.used, use.kept_by_camera, strict=False):
        if sum(counts):
            own, even = concentration(counts), concentration(even_counts(kept, len(counts)))
            about: Row = {
                "run": run,
                "camera": camera,
                "patches": len(counts),
                "queries": use.traced,
                "kept_mean": sum(counts) / use.traced,
            }
            rows.append(about | asdict(own) | {f"even_{name}": value for name, value in asdict(even).items()})
    return rows


def concentration_table(rows: Sequence[Row]) -> ReportTable:
    """Two lines of numbers a camera: as kept, and even."""
    columns = ("run", "camera", "tokens", "use", "entropy", "Gini", "top tenth %")
    cells = []
    for row in rows:
        for use, before in (("as kept", ""), ("at random", "even_")):
            entropy, gini, top = (number(row[before + name]) for name in ("entropy", "gini", "top_tenth"))
            kept = f"{number(row['kept_mean']):.1f}"
            cells.append([str(row["run"]), str(row["camera"]), kept, use, f"{entropy:.3f}", f"{gini:.3f}", f"{100 * top:.1f}"])
    notes = [
        "of how often each patch position is kept; entropy: share of its largest value, 1 for even use; Gini: 0 for even use; "
        "top tenth: share of all kept tokens in the most used tenth of the positions",
        "at random: as many patches in each query, drawn anew (seed 0), so that what chance alone concentrates is seen",
        "the paper says that LightVLA focuses its selection where mixtures of experts spread theirs evenly (section V-B): use of "
        "few positions is what that would look like; which tokens carry information it does not show",
    ]
    return ReportTable("token-use", "How concentrated the use of image tokens is", columns, cells, list(rows), notes)


def draw(rows: Sequence[Row], pictures: Pictures):
    """One panel a camera, on one scale."""
    import matplotlib.pyplot as plt

    cameras = list(dict.fromkeys(str(row["camera"]) for row in rows))
    shares = {c: np.array([number(row["kept"]) / number(row["queries"]) for row in rows if row["camera"] == c]) for c in cameras}
    largest = 100 * max(share.max() for share in shares.values())
    width = PAGE if len(cameras) > 1 else PAGE / 2 + 0.4
    figure, panels = plt.subplots(1, len(cameras), figsize=(width, PAGE / 2 + 0.1), squeeze=False, layout="constrained")
    image = None
    for panel, camera in zip(panels[0], cameras, strict=True):
        side = math.isqrt(len(shares[camera]))
        extent = (0, side, side, 0)
        if camera in pictures:
            grey = pictures[camera].mean(axis=2)
            panel.imshow(grey, cmap="gray", vmin=-60, vmax=255, extent=extent, interpolation="bilinear")
        share = 100 * shares[camera].reshape(side, side)
        # What is never kept leaves the picture as it is; what is kept most covers most of it.
        alpha = 0.05 + 0.75 * share / (largest or 1) if camera in pictures else 1.0
        image = panel.imshow(
            share, cmap="viridis", vmin=0, vmax=largest or 1, alpha=alpha, extent=extent, interpolation="nearest"
        )
        panel.set(title=camera, xticks=[], yticks=[])
        panel.grid(visible=False)
    bar = figure.colorbar(image, ax=panels[0].tolist(), shrink=0.9, pad=0.02)
    bar.solids.set_alpha(1)
    bar.set_label("queries that keep the patch, %")
    return figure
