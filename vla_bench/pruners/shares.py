"""How many image tokens a fixed share is.  Needs no torch: FLOPs are counted with the same rules as tokens are kept."""

from __future__ import annotations

from vla_bench.errors import UsageError

KEEP = "a share up to 1 or a whole number of tokens, and above 0"


def check_keep(keep: float) -> None:
    """Raises UsageError for what is neither a share nor a number of image tokens: 0, 1.5, and everything below 0.

    How many tokens a model has is not known here: `interface.pruner.attach` refuses more than there are.
    """
    if keep <= 0 or (keep > 1 and keep != int(keep)):
        raise UsageError(f"keep={keep:g}: {KEEP}", "vla-bench pruners")


def count(keep: float, tokens: int) -> int:
    """`keep` up to 1 is a share, above 1 a number; halves go to the even number, as with Python's `round` in the releases."""
    return min(tokens, round(keep * tokens) if keep <= 1 else round(keep))


def count_per_camera(keep: float, patches: int, cameras: int) -> list[int]:
    """As `count`, for every camera: a share is taken of each one's image tokens; a number is `split`."""
    if keep <= 1:
        return [count(keep, patches)] * cameras
    return split(count(keep, cameras * patches), cameras)


def split(number: int, parts: int) -> list[int]:
    """A number of image tokens in parts as even as can be, the larger first."""
    return [number // parts + (part < number % parts) for part in range(parts)]
