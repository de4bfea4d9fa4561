"""How many image tokens a fixed share comes to.  Needs no torch: FLOPs are counted with the same rules as tokens are kept."""

from __future__ import annotations

from vla_bench.errors import UsageError


def count(keep: float, tokens: int) -> int:
    """`keep` up to 1 is a share, above 1 a number; halves go to the even number, as with Python's `round` in the releases."""
    if keep < 0:
        raise UsageError(f"keep={keep:g} must not be negative", "vla-bench pruners")
    return min(tokens, round(keep * tokens) if keep <= 1 else round(keep))


def count_per_camera(keep: float, patches: int, cameras: int) -> int:
    """As `count`, for one camera's image tokens; a number is split evenly, and every camera keeps one at least."""
    if keep <= 1:
        return count(keep, patches)
    return min(patches, max(1, round(round(keep) / cameras)))
