"""The least time of a query: every product at the device's peak, or its weights read from memory, whichever is longer.

Reading and writing activations is not counted.  Linear layers on equally many rows have equal arithmetic intensity and are
taken together.  A time below this bound is a wrong measurement.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

from vla_bench.errors import MeasureError
from vla_bench.interface.config import ViTConfig, VLAConfig
from vla_bench.interface.lengths import Lengths
from vla_bench.measure.devices import Peak
from vla_bench.model.costs import block_macs, head_macs, layer_macs, others, projector_macs, proprio_macs


class Products(NamedTuple):
    """Matrix products of equal intensity.  rows: rows that each weight is multiplied with; None for products without weights."""

    macs: int
    rows: int | None


def products(config: VLAConfig, lengths: Lengths, pruner: int = 0, rows: bool = False) -> list[Products]:
    """All products of one query as this code runs it: the same sum as `costs.macs` in the executed scope."""
    rest = others(config, lengths.prompt)
    groups = [*_vit(config.dino, config), *_vit(config.siglip, config)]
    groups.append(Products(projector_macs(config, lengths.projected), lengths.projected))
    groups.append(Products(proprio_macs(config), 1))
    groups.append(Products(pruner, None))
    for layer, visual in enumerate(lengths.visual):
        keys = visual if lengths.keys is None else lengths.keys[layer]
        queries, seen = rest + visual, rest + keys
        read = config.slots if rows and layer + 1 == len(lengths.visual) else queries
        linear, attention = layer_macs(config.llm, queries, seen, read)
        keys_and_values, _ = layer_macs(config.llm, queries, seen, 0)
        groups += [Products(keys_and_values, queries), Products(linear - keys_and_values, read), Products(attention, None)]
    groups.append(Products(head_macs(config), config.chunk))
    return [group for group in groups if group.macs]


def _vit(vit: ViTConfig, config: VLAConfig) -> Iterator[Products]:
    """All cameras in one call; the last block, whose output is not used, is not run."""
    rows, patches = config.cameras * config.vit_tokens(vit), config.cameras * config.patches
    for linear, attention in (block_macs(vit, config, block) for block in range(vit.depth - 1)):
        yield Products(config.cameras * linear, rows)
        yield Products(config.cameras * attention, None)
    yield Products(patches * 3 * vit.patch**2 * vit.width, patches)


def bound_ms(query: list[Products], peak: Peak, bytes_per_weight: int) -> float:
    """The least time of one query in ms on a device with this peak."""
    seconds = 0.0
    for macs, rows in query:
        compute = 2 * macs / peak.flops
        memory = 0.0 if rows is None or peak.bytes_per_s is None else macs / rows * bytes_per_weight / peak.bytes_per_s
        seconds += max(compute, memory)
    return 1000 * seconds


def share(name: str, bound: float, median: float, peak: Peak) -> float:
    """bound / median.  Raises MeasureError above 1."""
    if bound > median:
        raise MeasureError(
            f"{name} takes {median:.3f} ms, and {peak.source} allows no less than {bound:.3f} ms: "
            "a synchronisation is missing, or fewer tokens were computed than counted, or it is another device",
            "vla-bench latency --speed none",
        )
    return bound / median
