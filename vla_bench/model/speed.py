"""Speed switches: exact optimisations of the forward pass, with the same result up to rounding.  Without any, every part is run
as the reference runs it.  Needs no torch.
"""

from __future__ import annotations

from dataclasses import dataclass, fields

from vla_bench.errors import UsageError, nearest

BUCKET = 32  # sequence lengths are rounded up to a multiple of it; kernels work in tiles of 64, of which half is often enough


@dataclass(frozen=True)
class Speed:
    """The switches, each on its own.

    cameras: all cameras in one call per ViT.
    rows: the last decoder layer's queries, output projection and MLP only for the rows that the head reads; keys and values
        for all.
    fused: one product for q, k, v and one for gate and up, from copies of the weights: 9 GB more at 7B in bfloat16.
    buckets: sequences padded to one of a few lengths with masked tokens; the host does not wait for the number kept.
    compile: torch.compile; needs buckets, for every length is compiled anew.
    graphs: CUDA graphs; needs buckets, for a graph has fixed shapes.
    """

    cameras: bool = False
    rows: bool = False
    fused: bool = False
    buckets: bool = False
    compile: bool = False
    graphs: bool = False

    def __post_init__(self):
        for name in ("compile", "graphs"):
            if getattr(self, name) and not self.buckets:
                raise UsageError(f'speed "{self}": {name} needs buckets, for it works on fixed lengths', f"{self},buckets")

    @classmethod
    def parse(cls, text: str) -> Speed:
        """From "none", "all" or names with commas between: rows,fused.  Raises UsageError."""
        known = [field.name for field in fields(cls)]
        if text.strip() == "none":
            return cls()
        if text.strip() == "all":
            return cls(**dict.fromkeys(known, True))
        names = [name.strip() for name in text.split(",")]
        for name in names:
            if name not in known:
                raise UsageError(f'unknown speed "{name}".{nearest(name, known)} Speeds: none, all, {", ".join(known)}')
        return cls(**dict.fromkeys(names, True))

    def __str__(self) -> str:
        """The one spelling, which `parse` reads back."""
        return ",".join(field.name for field in fields(self) if getattr(self, field.name)) or "none"


def capacity(visual: int, rest: int, limit: int, multiple: int = BUCKET) -> int:
    """Columns for image tokens in the smallest bucket that holds `visual` of them beside `rest` other tokens.

    limit: all image tokens there are; a sequence with as many is not padded.
    """
    return min(limit, -(-(visual + rest) // multiple) * multiple - rest)
