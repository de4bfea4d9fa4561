"""A checkpoint's `preprocessor_config.json`: how the pixels of both vision branches are normalised."""

from __future__ import annotations

from pathlib import Path

import numpy as np

from vla_bench.checkpoints.files import download_command, read_json
from vla_bench.errors import CheckpointError
from vla_bench.model.images import Normalisation, Triple


def read_normalisation(path: Path) -> Normalisation:
    """From a checkpoint's `preprocessor_config.json`.  Raises CheckpointError.

    The file has them twice; the reference uses `tvf_normalize_params`, which are rounded.
    """
    table, fix = read_json(path), download_command(path.parent, path.name)
    try:
        params = table.get("tvf_normalize_params")
        means = table["means"] if params is None else [branch["mean"] for branch in params]
        stds = table["stds"] if params is None else [branch["std"] for branch in params]
        normalisation = Normalisation(_branches(means), _branches(stds))
    except (KeyError, TypeError, ValueError, AttributeError) as error:
        raise CheckpointError(f"{path} does not normalise two branches of three colours: {error!r}", fix) from error
    if min(value for branch in normalisation.stds for value in branch) <= 0:
        raise CheckpointError(f"{path} divides by a standard deviation that is not above 0: {normalisation.stds}", fix)
    return normalisation


def preprocessor_config(normalisation: Normalisation, image_size: int) -> dict[str, object]:
    """The content of a `preprocessor_config.json` in the public layout.

    `means` and `tvf_normalize_params` have the same numbers here, since readers differ in which they use.
    """
    both, square = range(2), [image_size, image_size]
    branches = zip(normalisation.means, normalisation.stds, strict=True)
    return {
        "image_processor_type": "PrismaticImageProcessor",
        "processor_class": "PrismaticProcessor",
        "image_resize_strategy": "resize-naive",
        "input_sizes": [[3, *square] for _ in both],
        "interpolations": ["bicubic" for _ in both],
        "means": [list(mean) for mean in normalisation.means],
        "stds": [list(std) for std in normalisation.stds],
        "tvf_crop_params": [{"output_size": square} for _ in both],
        "tvf_do_letterbox": False,
        "tvf_letterbox_fill": None,
        "tvf_normalize_params": [{"inplace": False, "mean": list(mean), "std": list(std)} for mean, std in branches],
        # 3 is bicubic in Pillow's counting
        "tvf_resize_params": [{"antialias": True, "interpolation": 3, "max_size": None, "size": square} for _ in both],
        "use_fused_vision_backbone": True,
    }


def _branches(table: list[list[float]]) -> tuple[Triple, Triple]:
    """Two branches of three finite numbers, or ValueError."""
    values = np.array(table, np.float64)
    if values.shape != (2, 3) or not np.isfinite(values).all():
        raise ValueError(f"{table}")
    return tuple(tuple(branch) for branch in values.tolist())
