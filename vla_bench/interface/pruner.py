"""A pruner is a small object that sees the tokens at one place of the model and says which image tokens stay.

    class KeepFirst(Pruner):
        sites = (LLM_INPUT,)

        def select(self, view: View) -> Selection:
            keep = torch.zeros_like(view.patches.ids, dtype=torch.bool)
            keep[:, :64] = True
            return Selection(keep)

The model gathers, pads, masks and keeps every token's original position; a pruner never touches it.
"""

from __future__ import annotations

from abc import abstractmethod
from collections.abc import Callable, Mapping, Sequence

import numpy as np
import torch
from torch import Tensor, nn

from vla_bench.errors import UsageError
from vla_bench.interface.config import VLAConfig
from vla_bench.interface.lengths import Case
from vla_bench.interface.needs import Need, Rows
from vla_bench.interface.selection import Resampling, Selection
from vla_bench.interface.sites import Site
from vla_bench.interface.view import AttentionRows, Query, View
from vla_bench.records import EpisodeKey
from vla_bench.trace import Cut


class Pruner(nn.Module):
    """Base of all pruners.  Trainable ones have parameters, saved with the model under `pruner.`

    Parameters of `__init__` with a default are what `--pruner-args` sets; `profiles` names sets of them.
    adaptive: the number of tokens kept depends on the input.
    source: where the method was published.
    renumber: positions count over what is left, as some releases do; otherwise every token keeps its own.
    merges: may return image tokens made from others, `Selection.merged`.
    wraps: works on the choice of another pruner, the first argument of `__init__`, and `innermost` is another than itself.
    changes_the_count: keeps another number of image tokens than the pruner that it wraps.
    resamples: returns a `Resampling` in training, through which a model learns without parameters of the pruner.
    static: `choose` gives the same choice without waiting for the device, so that a CUDA graph can hold it.
    label: name and arguments, as runs record them.
    noise_scale: what a training sets before every step: the upper bound of the noise on the scores; None for no noise.
    keep: share, or number above 1, of image tokens that stay, where that is an argument; None where it is not.
    always: arguments with which it prunes every query, where by default it prunes only some.
    draw: what a training sets to make that noise its own: scores -> uniform numbers of their shape.
    once: what a training sets for steps in which every image token is kept at most once, as in evaluation.
    """

    name: str
    label: str
    merges: bool = False
    wraps: bool = False
    sites: Sequence[Site]
    rows: Sequence[Rows] = ()
    needs: frozenset[Need] = frozenset()
    adaptive: bool = False
    source: str = ""
    profiles: Mapping[str, Mapping[str, object]] = {}
    renumber: bool = False
    resamples: bool = False
    static: bool = False
    noise_scale: float | None = None
    draw: Callable[[Tensor], Tensor] = staticmethod(lambda scores: torch.rand_like(scores))
    once: bool = False
    keep: float | None = None
    always: Mapping[str, object] = {}
    changes_the_count: bool = False

    def __init_subclass__(cls, **options: object):
        super().__init_subclass__(**options)
        if "name" in vars(cls):
            cls.label = cls.name

    @property
    def learns(self) -> bool:
        """Whether a training changes what it chooses; valid after `attach`."""
        return self.resamples or next(self.parameters(), None) is not None

    @property
    def remembers(self) -> bool:
        """Whether it keeps something from one query of an episode to the next."""
        return type(self.innermost).reset is not Pruner.reset

    @property
    def innermost(self) -> Pruner:
        """The pruner that chooses, inside all that wrap it."""
        return self

    @property
    def cutting_sites(self) -> Sequence[Site]:
        """Those of `sites` where image tokens can leave; at the others a pruner only reads."""
        return self.sites

    def attach(self, config: VLAConfig) -> None:  # noqa: B027  most work with any model
        """Called once with the model's sizes, before the first query.  Raises ModelError where it cannot work with them."""

    def reset(self, episode: EpisodeKey) -> None:  # noqa: B027  a pruner without memory needs none
        """A new episode begins: forget everything about an earlier attempt at it."""

    @abstractmethod
    def select(self, view: View) -> Selection | Resampling | None:
        """Which of `view.patches` stay; None for all of them."""

    def choose(self, view: View) -> Tensor:
        """What stays of `view.patches`, (B, V) bool, from the view alone; for pruners that are `static`."""
        raise NotImplementedError(f"{self.name} is not static")

    def after_pass(self, queries: Sequence[Query], rows: Mapping[Rows, AttentionRows]) -> None:  # noqa: B027
        """Called when the decoder has run: `rows` holds all attention requested, that of layers behind the last site too."""

    def cached_action(self, query: Query) -> np.ndarray | None:
        """Cached actions (T, 7) that answer the query, the forward pass being skipped; None to run the model."""
        return None

    def observe(self, query: Query, actions: np.ndarray) -> None:  # noqa: B027
        """The query was answered with these actions (T, 7), in the robot's units."""

    def expected(self, config: VLAConfig, kept: Sequence[int] = ()) -> tuple[Cut, ...] | None:
        """The cuts of a query in which image tokens leave, as its trace would say; None where only an input can decide them.

        kept: given numbers in place of its own: the image tokens behind each of `cutting_sites`, or one number for all of them.
        Raises UsageError for impossible numbers.
        """
        return cuts_at(self, config, kept) if kept else None

    def macs(self, case: Case) -> int:
        """Multiply-adds of the method's own matrix products in a query with these cuts.

        Attention that it requests (`rows`, `needs`) is not among them: the model computes that, and counts it.
        """
        return 0


def attach(pruner: Pruner, config: VLAConfig) -> None:
    """Call `Pruner.attach`, and check that the model has all of its sites and as many image tokens as it is to keep.

    Raises UsageError where a site is missing, where there are fewer tokens, and where none would be left.
    """
    visual, keep = config.visual_tokens, pruner.innermost.keep
    if keep is not None and keep > visual:
        raise UsageError(f"{pruner.label} keeps {keep:g} image tokens, and the model has {visual}", "vla-bench pruners")
    pruner.attach(config)
    for site in pruner.sites:
        if not 0 <= site.layer < config.llm.layers:
            raise UsageError(f"{pruner.label} prunes {site}, but the decoder has {config.llm.layers} layers", "vla-bench pruners")
    cuts = pruner.expected(config)
    if cuts and cuts[-1].after < 1:
        raise UsageError(f"{pruner.label} leaves none of the model's {visual} image tokens", "vla-bench pruners")


def cuts_at(pruner: Pruner, config: VLAConfig, kept: Sequence[int]) -> tuple[Cut, ...]:
    """Cuts at all of a pruner's `cutting_sites`; see `Pruner.expected`."""
    sites, before, cuts = pruner.cutting_sites, config.visual_tokens, []
    if len(kept) not in (1, len(sites)):
        raise UsageError(
            f"{pruner.label} cuts {len(sites)} times, and {len(kept)} numbers of kept tokens were given",
            f'vla-bench flops --pruner "{pruner.label}" --kept {"/".join([str(kept[0])] * len(sites))}',
        )
    for site, number in zip(sites, kept if len(kept) > 1 else [*kept] * len(sites), strict=True):
        if not 0 <= number <= before:
            raise UsageError(f"{number} image tokens kept {site}, of {before} that arrive there", f"--kept {before // 2}")
        cuts.append(Cut(str(site), before, number, reused=Need.PAST in pruner.needs))
        before = number
    return tuple(cuts)
