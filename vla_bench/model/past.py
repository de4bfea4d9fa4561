"""Cached keys and values of an episode's last query, reused for tokens that are not computed again.

An approximation: with full attention a token's keys and values depend on all others, also on those that have changed.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from torch import Tensor

from vla_bench.errors import ModelError
from vla_bench.records import EpisodeKey

EPISODES = 32  # most caches kept, 0.3 GB each at 7B in bfloat16; the end of an episode is not reported


@dataclass
class KVCache:
    """One sample's keys and values (1, heads, N, d) of every layer, rotated, column p being position p.

    length: tokens of the unpruned sequence; another prompt makes another length, and the cache useless.
    """

    length: int
    layers: dict[int, tuple[Tensor, Tensor]] = field(default_factory=dict)

    def complete(self, layer: int, key: Tensor, value: Tensor, positions: Tensor) -> tuple[Tensor, Tensor]:
        """Put the computed rows (1, heads, n, d) at `positions` (1, n) and return all; the next query reuses them."""
        if len(positions) != 1:
            raise ModelError("keys and values are reused one sample at a time, not in a batch")
        if key.shape[2] < self.length:
            key, value = (old.index_copy(2, positions[0], new) for old, new in zip(self.layers[layer], (key, value), strict=True))
        self.layers[layer] = key, value
        return key, value


def recall(caches: dict[EpisodeKey, KVCache], episode: EpisodeKey | None, length: int) -> KVCache:
    """The episode's cache, an empty one where there is none of this length; the one used longest ago is dropped first."""
    past = caches.pop(episode, None)
    if past is None or past.length != length:
        past = KVCache(length)
    if episode is not None:
        caches[episode] = past
        if len(caches) > EPISODES:
            del caches[next(iter(caches))]
    return past
