"""The trace of one query's forward pass: which image tokens went on at each pruning site, as runs record it.  Needs no torch.

In `queries.jsonl` a trace is

    {"cuts": [{"site": "before layer 2", "before": 512, "kept": 128}], "kept_patches": ["<base64>", "<base64>"]}

`kept_patches` has one bit mask a camera (`numpy.packbits`) of the patches that reached the end of the decoder unmerged;
`merged_patches` likewise of merged tokens.  `merged_patches`, `merged` and `reused` are left out where they are empty, and
`kept_patches` where every patch reached the end.
"""

from __future__ import annotations

import base64
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field

from vla_bench.documents import Count, refuse_unknown, typed

MASKS = ("kept_patches", "merged_patches")


@dataclass(frozen=True)
class Cut:
    """Counts of one query's image tokens at one pruning site.

    site: as `interface.sites.Site` is printed: "vision output", "LLM input" or "before layer 2".
    before: tokens before the site.  kept: those of them that went on.  merged: merged tokens, which also went on.
    reused: tokens that left are still attended to, with the keys and values of the episode's last query.
    """

    site: str
    before: Count
    kept: Count
    merged: Count = 0
    reused: bool = False

    def __post_init__(self):
        if not 0 <= self.kept <= self.before or self.merged < 0:
            raise ValueError(f"{self.site}: {self.kept} of {self.before} image tokens kept, {self.merged} merged")

    @property
    def after(self) -> int:
        """Image tokens that went on."""
        return self.kept + self.merged

    def to_dict(self) -> dict[str, object]:
        table: dict[str, object] = {"site": self.site, "before": self.before, "kept": self.kept}
        return table | ({"merged": self.merged} if self.merged else {}) | ({"reused": True} if self.reused else {})


@dataclass(frozen=True)
class QueryTrace:
    """The trace of one query.

    cuts: at every site where the pruner selected, in the order of the pass; none where every image token went through.
    kept: for each camera a bit mask (`pack`) of the patches that reached the end of the decoder; None where all did.
    merged: likewise of the places of merged tokens; None where there are none.
    measures: numbers that the pruner reported with its selection, by name.
    """

    cuts: tuple[Cut, ...] = ()
    kept: tuple[bytes, ...] | None = None
    merged: tuple[bytes, ...] | None = None
    measures: Mapping[str, float] = field(default_factory=dict)

    def kept_ids(self, cameras: int, patches: int) -> list[list[int]]:
        """For each camera the patches (0 .. patches - 1, row by row) that reached the end."""
        return [list(range(patches)) for _ in range(cameras)] if self.kept is None else [unpack(mask) for mask in self.kept]

    def per_camera(self, cameras: int, patches: int) -> tuple[int, ...]:
        """Image tokens of each camera that reached the end, merged ones counted with the camera of their place."""
        if self.kept is None:
            return (patches,) * cameras
        masks = zip(*(self.kept, self.merged) if self.merged else (self.kept,), strict=True)
        return tuple(sum(bin(int.from_bytes(mask, "big")).count("1") for mask in camera) for camera in masks)

    def to_dict(self) -> dict[str, object]:
        table: dict[str, object] = {"cuts": [cut.to_dict() for cut in self.cuts]}
        for name, masks in zip(MASKS, (self.kept, self.merged), strict=True):
            if masks is not None:
                table[name] = [base64.b64encode(mask).decode() for mask in masks]
        return table | ({"measures": dict(self.measures)} if self.measures else {})

    @classmethod
    def from_dict(cls, table: Mapping) -> QueryTrace:
        """The inverse of `to_dict`.  Raises ValueError, KeyError, TypeError or AttributeError."""
        refuse_unknown(table, ("cuts", *MASKS, "measures"))
        for cut in table["cuts"]:
            refuse_unknown(cut, Cut.__dataclass_fields__)
        cuts = typed(table["cuts"], tuple[Cut, ...])
        masks = [_decoded(typed(table[name], list[str])) if name in table else None for name in MASKS]
        return cls(cuts, *masks, typed(table.get("measures", {}), dict[str, float]))


def pack(ids: Iterable[int], patches: int) -> bytes:
    """Patches of one camera as a bit mask: patch 0 is the highest bit of the first byte; the last byte is padded with 0."""
    size = -(-patches // 8)
    return sum(1 << (8 * size - 1 - patch) for patch in set(ids)).to_bytes(size, "big")


def unpack(mask: bytes) -> list[int]:
    """The inverse of `pack`, in ascending order."""
    return [8 * place + bit for place, byte in enumerate(mask) for bit in range(8) if byte >> (7 - bit) & 1]


def _decoded(texts: Sequence[str]) -> tuple[bytes, ...]:
    masks = tuple(base64.b64decode(text, validate=True) for text in texts)
    if len({len(mask) for mask in masks}) != 1:
        raise ValueError("masks of unequal lengths, or none")
    return masks
