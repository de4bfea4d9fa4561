"""The decoder's input: assembled once, thinned by pruners, every token keeping its original position."""

from __future__ import annotations

from dataclasses import dataclass, replace

import torch
from torch import Tensor

from vla_bench.interface.layout import Layout
from vla_bench.interface.selection import Resampling, Selection
from vla_bench.interface.view import Patches


@dataclass(frozen=True)
class Tokens:
    """A batch of sequences: column 0 is BOS, then `visual` columns of image tokens, then the task tokens.

    hidden: (B, N, D); behind a last layer that computed only the rows read (`Shortcuts.rows`) these rows, (B, R, D).
    positions: (B, N) original positions, what RoPE sees.
    valid: (B, N) bool, False on padding; None when nothing is padded.
    ids: (B, visual) which patch each image token is.
    merged: (B, visual) bool, which image tokens were made of several; None when none was.
    """

    hidden: Tensor
    positions: Tensor
    valid: Tensor | None
    ids: Tensor
    layout: Layout
    merged: Tensor | None = None

    @property
    def visual(self) -> int:
        return self.ids.shape[1]

    @property
    def patches(self) -> Patches:
        """The image tokens."""
        images = slice(self.layout.before, self.layout.before + self.visual)
        valid = None if self.valid is None else self.valid[:, images]
        return Patches(self.hidden[:, images], self.ids, valid, self.merged)

    @property
    def task(self) -> Tensor:
        return self.hidden[:, self.layout.before + self.visual :]

    @property
    def task_valid(self) -> Tensor | None:
        return None if self.valid is None or not self.layout.ragged else self.valid[:, self.layout.before + self.visual :]

    @property
    def bos(self) -> Tensor:
        return self.hidden[:, : self.layout.before]

    def with_patches(self, patches: Patches) -> Tokens:
        """The same sequences with other image tokens; patch j stands at position j + tokens before the image tokens."""
        first = self.layout.before
        tail = slice(first + self.visual, None)
        valid = None
        if patches.valid is not None or self.valid is not None:
            images = torch.ones_like(patches.ids, dtype=torch.bool) if patches.valid is None else patches.valid
            before = torch.ones_like(self.positions, dtype=torch.bool) if self.valid is None else self.valid
            valid = torch.cat([before[:, :first], images, before[:, tail]], dim=1)
        return replace(
            self,
            hidden=torch.cat([self.hidden[:, :first], patches.hidden, self.hidden[:, tail]], dim=1),
            positions=torch.cat([self.positions[:, :first], first + patches.ids, self.positions[:, tail]], dim=1),
            valid=valid,
            ids=patches.ids,
            merged=patches.merged,
        )

    def renumbered(self) -> Tokens:
        """The same with positions 0, 1, 2, ... over what each sample has left."""
        present = torch.ones_like(self.positions) if self.valid is None else self.valid.long()
        return replace(self, positions=(present.cumsum(dim=1) - 1).clamp(min=0))


def thin(patches: Patches, choice: Selection | Resampling | None) -> Patches:
    """Carry out a pruner's choice.

    Kept tokens stay in ascending order.  Samples that keep fewer than the longest are padded, so that a batch of unequal
    counts works and each sample gets its own result (the reference flattens and re-views, which mixes samples).
    """
    if choice is None:
        return patches
    if isinstance(choice, Resampling):
        ids = patches.ids.gather(1, choice.selected)
        valid, merged = (None if mask is None else mask.gather(1, choice.selected) for mask in (patches.valid, patches.merged))
        return Patches(choice.hidden, ids, valid, merged)
    keep = choice.keep if patches.valid is None else choice.keep & patches.valid
    counts = keep.sum(dim=1)
    shortest, longest = torch.stack(torch.aminmax(counts)).tolist()  # one transfer: the host waits
    kept = _kept_first(keep)[:, :longest]  # (B, longest), ascending, then padding
    hidden = patches.hidden.gather(1, kept.unsqueeze(-1).expand(-1, -1, patches.hidden.shape[-1]))
    valid = None
    if shortest < longest:
        valid = torch.arange(longest, device=keep.device) < counts.unsqueeze(1)
    merged = None if patches.merged is None else patches.merged.gather(1, kept)
    stay = Patches(hidden, patches.ids.gather(1, kept), valid, merged)
    return stay if choice.merged is None else _behind(stay, choice.merged)


def pack(patches: Patches, keep: Tensor, columns: int) -> Patches:
    """Those of `keep` (B, V) bool in the first of `columns` columns.

    Unlike `thin` this never waits for the device.  The columns behind are other image tokens, not valid; where there are more
    to keep than columns, the last of them are missing.
    """
    keep = keep if patches.valid is None else keep & patches.valid
    counts = keep.sum(dim=1)
    kept = _kept_first(keep)[:, :columns]
    hidden = patches.hidden.gather(1, kept.unsqueeze(-1).expand(-1, -1, patches.hidden.shape[-1]))
    valid = torch.arange(columns, device=keep.device) < counts.unsqueeze(1)
    return Patches(hidden, patches.ids.gather(1, kept), valid)


def _kept_first(keep: Tensor) -> Tensor:
    """Columns (B, V) in an order that puts those of `keep` first, and changes nothing else."""
    return torch.sort(keep.to(torch.uint8), dim=1, descending=True, stable=True).indices


def narrow(x: Tensor, columns: slice | Tensor) -> Tensor:
    """Some columns of (B, N, D): the same of every sample, or (B, R) indices."""
    if isinstance(columns, slice):
        return x[:, columns]
    return x.gather(1, columns.unsqueeze(-1).expand(-1, -1, x.shape[-1]))


def _behind(first: Patches, made: Patches) -> Patches:
    """Image tokens, and behind them those that were made of several."""
    valid, parts = None, (first, made)
    if first.valid is not None or made.valid is not None:
        valid = torch.cat([torch.ones_like(p.ids, dtype=torch.bool) if p.valid is None else p.valid for p in parts], dim=1)
    before = torch.zeros_like(first.ids, dtype=torch.bool) if first.merged is None else first.merged
    merged = torch.cat([before, torch.ones_like(made.ids, dtype=torch.bool)], dim=1)
    hidden, ids = (torch.cat([getattr(p, name) for p in parts], dim=1) for name in ("hidden", "ids"))
    return Patches(hidden, ids, valid, merged)


def assemble(bos: Tensor, patches: Patches, tail: Tensor, layout: Layout) -> Tokens:
    """Join BOS (B, 1, D), image tokens (B, V, D) and the task tokens (B, T, D), padded at the end to the longest sample.

    Positions count over the whole sequence before pruning: BOS 0, patch j 1 + j, the task tokens from 1 + P on.
    """
    batch, length = tail.shape[:2]
    device = tail.device
    after = 1 + layout.visual + torch.arange(length, device=device).expand(batch, -1)
    positions = torch.cat([torch.zeros_like(after[:, :1]), 1 + patches.ids, after], dim=1)
    valid = None
    if patches.valid is not None or layout.ragged:
        images = torch.ones_like(patches.ids, dtype=torch.bool) if patches.valid is None else patches.valid
        tails = torch.arange(length, device=device) < torch.tensor(layout.tails, device=device).unsqueeze(1)
        valid = torch.cat([torch.ones_like(images[:, :1]), images, tails], dim=1)
    hidden = torch.cat([bos, patches.hidden, tail], dim=1)
    return Tokens(hidden, positions, valid, ids=patches.ids, layout=layout, merged=patches.merged)
