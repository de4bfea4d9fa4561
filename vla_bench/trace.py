"""What one query's pass through the model did to its image tokens, as runs record it.  Needs no torch.

In `queries.jsonl` a trace is

    {"cuts": [{"site": "before layer 2", "before": 512, "kept": 128}], "kept_patches": ["<base64>", "<base64>"]}

`kept_patches` holds one bit mask a camera, first patch in the highest bit (`numpy.packbits`), of the patches that reached the
end of the decoder themselves.  `merged_patches` says the same of tokens that were made of several; it and the fields `merged`
and `reused` of a cut are left out where there is nothing to say, and `kept_patches` where every patch reached the end.
"""

from __future__ import annotations

import base64
import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    import numpy as np


@dataclass(frozen=True)
class Cut:
    """What a pruner let go on at one site, in numbers of one query's image tokens.

    site: as `interface.sites.Site` is printed: "vision output", "LLM input" or "before layer 2".
    before: tokens that came.  kept: those of them that went on.  merged: tokens made of several, which went on beside them.
    reused: those that left are still seen by the others, through keys and values of the episode's last query.
    """

    site: str
    before: int
    kept: int
    merged: int = 0
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
    """One query's pass.

    cuts: at every site where the pruner chose, in the order of the pass; none where every image token went through.
    kept: (cameras, patches) bool, the patches that reached the end of the decoder; None where all did.
    merged: (cameras, patches) bool, where merged tokens stand; None where there are none.
    measures: numbers that the pruner gave beside its choice, by name.
    """

    cuts: tuple[Cut, ...] = ()
    kept: np.ndarray | None = None
    merged: np.ndarray | None = None
    measures: Mapping[str, float] = field(default_factory=dict)

    def kept_ids(self, cameras: int, patches: int) -> list[list[int]]:
        """Of each camera, the patches (0 .. patches - 1, row by row) that reached the end."""
        if self.kept is None:
            return [list(range(patches)) for _ in range(cameras)]
        return [row.nonzero()[0].tolist() for row in self.kept[:, :patches]]

    def per_camera(self, cameras: int, patches: int) -> tuple[int, ...]:
        """Image tokens of each camera that reached the end, merged ones with the camera that they stand in."""
        if self.kept is None:
            return (patches,) * cameras
        masks = [self.kept] if self.merged is None else [self.kept, self.merged]
        return tuple(sum(int(mask[camera].sum()) for mask in masks) for camera in range(cameras))

    def to_dict(self) -> dict[str, object]:
        table: dict[str, object] = {"cuts": [cut.to_dict() for cut in self.cuts]}
        for name, mask in (("kept_patches", self.kept), ("merged_patches", self.merged)):
            if mask is not None:
                table[name] = encode(mask)
        if self.measures:
            table["measures"] = dict(self.measures)
        return table

    @classmethod
    def from_dict(cls, table: Mapping[str, object]) -> QueryTrace:
        """The inverse of `to_dict`; masks come padded to whole bytes.  Raises ValueError, KeyError or TypeError."""
        cuts = tuple(Cut(**cut) for cut in table["cuts"])
        masks = [decode(table[name]) if name in table else None for name in ("kept_patches", "merged_patches")]
        measures = {str(name): float(value) for name, value in table.get("measures", {}).items()}
        if not all(map(math.isfinite, measures.values())):
            raise ValueError(f"measures that are no numbers: {measures}")
        return cls(cuts, *masks, measures)


def encode(mask: np.ndarray) -> list[str]:
    """(cameras, patches) bool as base64, a text a camera."""
    import numpy as np

    return [base64.b64encode(row.tobytes()).decode() for row in np.packbits(mask, axis=1)]


def decode(texts: Sequence[str]) -> np.ndarray:
    """The inverse of `encode`, with up to seven patches more, none of them kept.  Raises ValueError."""
    import numpy as np

    rows = [np.frombuffer(base64.b64decode(text, validate=True), np.uint8) for text in texts]
    if not rows or len({len(row) for row in rows}) != 1:
        raise ValueError("masks of unequal lengths")
    return np.unpackbits(np.stack(rows), axis=1).astype(bool)
