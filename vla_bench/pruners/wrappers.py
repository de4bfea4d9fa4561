"""Pruners around another pruner: the paper's Table IV, and the test whether a score is informative."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import torch
from torch import Tensor

from vla_bench.errors import ModelError, UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.lengths import Case
from vla_bench.interface.pruner import Pruner, cuts_at
from vla_bench.interface.selection import Resampling, Selection
from vla_bench.interface.view import Query, View
from vla_bench.pruners.budget import first
from vla_bench.pruners.scored import Ranked, draws
from vla_bench.records import EpisodeKey
from vla_bench.trace import Cut


class Wrapper(Pruner):
    """Acts where the pruner inside acts, and changes what that one chose."""

    wraps = True
    source = "LightVLA, Table IV"

    def __init__(self, inner: Pruner):
        super().__init__()
        self.inner = inner
        self.adaptive, self.needs, self.renumber, self.merges = inner.adaptive, inner.needs, inner.renumber, inner.merges
        self.changes_the_count = self.changes_the_count or inner.changes_the_count

    @property
    def innermost(self) -> Pruner:
        return self.inner.innermost

    @property
    def sites(self):
        return self.inner.sites

    @property
    def rows(self):
        return self.inner.rows

    @property
    def cutting_sites(self):
        return self.inner.cutting_sites

    def attach(self, config: VLAConfig) -> None:
        self.inner.attach(config)

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...] | None:
        return self.inner.expected(config, kept)

    def macs(self, case: Case) -> int:
        return self.inner.macs(case)

    def reset(self, episode: EpisodeKey) -> None:
        self.inner.reset(episode)

    def cached_action(self, query: Query):
        return self.inner.cached_action(query)

    def observe(self, query: Query, actions) -> None:
        self.inner.observe(query, actions)

    def after_pass(self, queries, rows) -> None:
        self.inner.after_pass(queries, rows)


class _Randomised(Wrapper):
    """Changes at random which image tokens are kept, by draws that depend on seed, episode, step and patch."""

    changes_the_count = True

    def __init__(self, inner: Pruner, share: float, seed: int):
        super().__init__(inner)
        if inner.merges:
            raise UsageError(f"{inner.label}: merged tokens can neither be added nor dropped", "vla-bench pruners")
        if share < 0:
            raise UsageError(f"{self.name}: share={share:g} must not be negative", "vla-bench pruners")
        self.share, self.seed = share, seed

    def select(self, view: View) -> Selection | Resampling | None:
        choice = self.inner.select(view)
        if isinstance(choice, Resampling):
            raise ModelError(f"{self.label} changes what is kept at evaluation; train with the pruner inside")
        if isinstance(choice, Selection) and choice.merged is not None:
            raise ModelError(f"{self.inner.label} merges tokens without declaring it", "merges = True in its class")
        if choice is None:  # everything stays: nothing to add, and no choice to drop from
            return None
        valid = torch.ones_like(choice.keep) if view.patches.valid is None else view.patches.valid
        uniform = draws(view, self.seed, per_step=True)
        return replace(choice, keep=self.change(choice.keep & valid, valid, uniform))

    def change(self, keep: Tensor, valid: Tensor, uniform: Tensor) -> Tensor:
        """The new mask: keep, valid (B, V) bool, uniform (B, V)."""
        raise NotImplementedError

    def changed(self, cut: Cut) -> int:
        """How many stay where the pruner inside keeps `cut.kept`."""
        raise NotImplementedError

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...] | None:
        """What the pruner inside keeps, more or fewer; `kept` is what is left then."""
        cuts = None if kept else self.inner.expected(config)
        if cuts is None:
            return cuts_at(self, config, kept) if kept else None
        return cuts_at(self, config, [self.changed(cut) for cut in cuts]) if cuts else ()

    def amount(self, kept: Tensor) -> Tensor:
        """`share` of so many, rounded."""
        return (self.share * kept).round().long()


class PlusRandom(_Randomised):
    """As many image tokens again, drawn from those that the pruner inside drops (2k tokens in the paper's Table IV).

    share: how many are added, in units of those kept.
    """

    name = "plus-random"

    def __init__(self, inner: Pruner, share: float = 1.0, seed: int = 0):
        super().__init__(inner, share, seed)

    def change(self, keep: Tensor, valid: Tensor, uniform: Tensor) -> Tensor:
        return keep | first(uniform, valid & ~keep, self.amount(keep.sum(dim=1)))

    def changed(self, cut: Cut) -> int:
        return min(cut.before, cut.kept + int(self.amount(torch.tensor(cut.kept, device="cpu"))))


class DropRandom(_Randomised):
    """A tenth of what the pruner inside keeps is dropped (0.9k tokens in the paper's Table IV).

    share: how many are dropped, in units of those kept.
    """

    name = "drop-random"

    def __init__(self, inner: Pruner, share: float = 0.1, seed: int = 0):
        super().__init__(inner, share, seed)
        if share > 1:
            raise UsageError(f"{self.name}: share={share:g} of what is kept cannot be dropped", "vla-bench pruners")

    def change(self, keep: Tensor, valid: Tensor, uniform: Tensor) -> Tensor:
        # Where everything stays nothing was chosen: alone, that sample's `select` returns None.
        everything = (keep | ~valid).all(dim=1, keepdim=True)
        return keep & (everything | ~first(uniform, keep, self.amount(keep.sum(dim=1))))

    def changed(self, cut: Cut) -> int:
        return cut.kept if cut.kept == cut.before else cut.kept - int(self.amount(torch.tensor(cut.kept, device="cpu")))


class Inverse(Wrapper):
    """The tokens with the lowest scores: an informative score must be worse this way than random."""

    name = "inverse"
    source = "baseline of this toolkit"

    def __init__(self, inner: Pruner):
        if not isinstance(inner, Ranked):
            raise UsageError(f"{inner.label} does not rank by one score to invert", "vla-bench eval --pruner 'inverse(fastv)'")
        super().__init__(inner)
        inner.order = "asc" if inner.order == "desc" else "desc"

    def select(self, view: View) -> Selection | None:
        return self.inner.select(view)
