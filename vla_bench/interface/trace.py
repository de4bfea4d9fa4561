"""What a forward pass did to the image tokens of a batch, recorded during the pass and read afterwards."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import numpy as np
from torch import Tensor

from vla_bench.interface.layout import Layout
from vla_bench.interface.sites import Site
from vla_bench.interface.view import Patches
from vla_bench.trace import Cut, QueryTrace


@dataclass(frozen=True)
class Kept:
    """The image tokens that went on behind one site.

    merged: the last so many columns are tokens that were made there.
    reused, measures: as in `Selection`.
    """

    site: Site
    patches: Patches
    merged: int = 0
    reused: bool = False
    measures: Mapping[str, Tensor] = field(default_factory=dict)


@dataclass(frozen=True)
class PassTrace:
    """The image tokens of a batch that went on behind each site where the pruner chose, in the order of the pass."""

    layout: Layout
    sites: tuple[Kept, ...] = ()

    def read(self) -> list[QueryTrace]:
        """Sample by sample, in plain numbers: the first moment at which the host waits for the device."""
        batch = len(self.layout.prompts)
        before = [self.layout.visual] * batch
        cuts: list[list[Cut]] = [[] for _ in range(batch)]
        measures: list[dict[str, float]] = [{} for _ in range(batch)]
        for step in self.sites:
            valid = _or(step.patches.valid, step.patches, True)
            made = valid[:, valid.shape[1] - step.merged :].sum(axis=1).tolist()
            for i, after in enumerate(valid.sum(axis=1).tolist()):
                cuts[i].append(Cut(str(step.site), before[i], after - made[i], made[i], step.reused))
                before[i] = after
            for name, values in step.measures.items():
                for own, value in zip(measures, values.tolist(), strict=True):
                    own[name] = value
        if not self.sites:
            return [QueryTrace() for _ in range(batch)]
        last = self.sites[-1].patches
        ids, merged = last.ids.numpy(force=True), _or(last.merged, last, False)
        masks = [self._masks(ids[i], valid[i] & ~merged[i], valid[i] & merged[i]) for i in range(batch)]
        return [QueryTrace(tuple(cuts[i]), *masks[i], measures[i]) for i in range(batch)]

    def _masks(self, ids: np.ndarray, kept: np.ndarray, merged: np.ndarray) -> tuple[tuple[bytes, ...], tuple[bytes, ...] | None]:
        return self._packed(ids[kept]), self._packed(ids[merged]) if merged.any() else None

    def _packed(self, ids: np.ndarray) -> tuple[bytes, ...]:
        """A bit mask a camera, as `vla_bench.trace.pack` makes it."""
        mask = np.zeros(self.layout.visual, bool)
        mask[ids] = True
        rows = np.packbits(mask.reshape(self.layout.cameras, self.layout.patches), axis=1)
        return tuple(row.tobytes() for row in rows)


def _or(mask: Tensor | None, patches: Patches, otherwise: bool) -> np.ndarray:
    """A mask (B, V) bool on the host; None stands for `otherwise` everywhere."""
    return np.full(patches.ids.shape, otherwise) if mask is None else mask.numpy(force=True)
