"""What a pruner is: a small object that sees the tokens at one place of the model and says which image tokens stay.

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
from collections.abc import Mapping, Sequence

import numpy as np
from torch import Tensor, nn

from vla_bench.interface.config import VLAConfig
from vla_bench.interface.needs import Need, Rows
from vla_bench.interface.selection import Resampling, Selection
from vla_bench.interface.sites import Site
from vla_bench.interface.view import AttentionRows, Query, View
from vla_bench.records import EpisodeKey


class Pruner(nn.Module):
    """Base of all pruners.  Trainable ones have parameters, saved with the model under `pruner.`

    Parameters of `__init__` with a default are what `--pruner-args` sets; `profiles` names sets of them.
    adaptive: the number of tokens kept depends on the input.
    source: where the method was published.
    renumber: positions count over what is left, as some releases do; otherwise every token keeps its own.
    merges: may return image tokens made from others, `Selection.merged`.
    wraps: works on the choice of another pruner, the first argument of `__init__`.
    resamples: answers with a `Resampling` in training, through which a model learns without parameters of the pruner.
    static: `choose` gives the same choice without waiting for the device, so that it can be part of a recorded pass.
    label: name and arguments, by which runs are told apart.
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

    def __init_subclass__(cls, **options: object):
        super().__init_subclass__(**options)
        if "name" in vars(cls):
            cls.label = cls.name

    @property
    def learns(self) -> bool:
        """Whether a training changes what it chooses; asked after `fit`."""
        return self.resamples or next(self.parameters(), None) is not None

    def fit(self, config: VLAConfig) -> None:  # noqa: B027  most fit any model
        """Called once with the model's sizes, before anything is asked.  Raises ModelError where it cannot work there."""

    def reset(self, episode: EpisodeKey) -> None:  # noqa: B027  a pruner without memory needs none
        """A new episode begins: forget everything about an earlier attempt at it."""

    @abstractmethod
    def select(self, view: View) -> Selection | Resampling | None:
        """Which of `view.patches` stay; None for all of them."""

    def choose(self, view: View) -> Tensor:
        """What stays of `view.patches`, (B, V) bool, from the view alone; for pruners that are `static`."""
        raise NotImplementedError(f"{self.name} is not static")

    def after(self, queries: Sequence[Query], rows: Mapping[Rows, AttentionRows]) -> None:  # noqa: B027
        """The decoder has run: `rows` holds all attention that was asked for, that of layers behind the last site too."""

    def instead(self, query: Query) -> np.ndarray | None:
        """Actions (T, 7) to answer with, the model not being asked at all; None to ask it."""
        return None

    def observe(self, query: Query, actions: np.ndarray) -> None:  # noqa: B027
        """The query was answered with these actions (T, 7), as the robot takes them."""
