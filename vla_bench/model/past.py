"""Keys and values of an episode's last query, which may stand in for those of tokens that are not computed again.

An approximation: with full attention a token's keys and values depend on all others, also on those that have changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from vla_bench.errors import ModelError
from vla_bench.records import EpisodeKey

EPISODES = 32  # at most so many pasts are kept, 0.3 GB each at 7B in bfloat16; nobody says when an episode is over


@dataclass
class KVCache:
    """One sample's keys and values (1, heads, N, d) of every layer, rotated, column p being position p.

    length: tokens of the unpruned sequence; another prompt makes another length, and the past useless.
    """

    length: int
    layers: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def complete(self, layer: int, key: Tensor, value: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Put the computed rows (1, heads, n, d) at `positions` (1, n) and return all; they are what the next query finds."""
        if len(positions) != 1:
            raise ModelError("keys and values are reused one sample at a time, not in a batch")
        if key.shape[2] < self.length:
            key, value = (old.index_copy(2, positions[0], new) for old, new in zip(self.layers[layer], (key, value), strict=True))
        self.layers[layer] = key, value
        return key, value


def recall(pasts: dict[EpisodeKey, KVCache], episode: EpisodeKey | None, length: int) -> KVCache:
    """What is at hand of an episode's last query, an empty past if nothing is; the episode becomes the last to be forgotten."""
    past = pasts.pop(episode, None)
    if past is None or past.length != length:
        past = KVCache(length)
    if episode is not None:
        pasts[episode] = past
        if len(pasts) > EPISODES:
            del pasts[next(iter(pasts))]
    return past
