"""The layout of the decoder's sequence: BOS, image tokens, proprio, prompt, action slots, stop."""

from __future__ import annotations

from dataclasses import dataclass
from enum import Enum


class Span(str, Enum):
    """The named parts of a sequence."""

    BOS = "bos"
    IMAGES = "images"
    PROPRIO = "proprio"
    PROMPT = "prompt"  # without BOS, its last token being the lone space piece
    SLOTS = "slots"  # the action placeholders
    STOP = "stop"
    # Groups of the above, for requests of attention rows.
    PREFILL = "prefill"  # everything before the action slots
    LAST = "last"
    ALL = "all"


@dataclass(frozen=True)
class Layout:
    """The spans of a batch, in the order of `Span`; prompts may differ in length, and shorter samples are padded at the end.

    cameras, patches: image tokens are `cameras * patches` before anything is pruned.
    proprio: tokens of the robot's state, 0 or 1.
    prompts: prompt tokens of each sample.
    slots: action placeholders; 0 when actions are decoded one token at a time, which has no stop token either.
    before: tokens before the image tokens: BOS; more only in other models' sequences.
    """

    cameras: int
    patches: int
    proprio: int
    prompts: tuple[int, ...]
    slots: int
    before: int = 1

    @property
    def visual(self) -> int:
        """P: image tokens before pruning."""
        return self.cameras * self.patches

    @property
    def tails(self) -> tuple[int, ...]:
        """Tokens behind the image tokens, per sample."""
        stop = 1 if self.slots else 0
        return tuple(self.proprio + n + self.slots + stop for n in self.prompts)

    @property
    def ragged(self) -> bool:
        return len(set(self.prompts)) > 1

    def columns(self, span: Span, visual: int) -> list[range]:
        """Per sample, the columns of a span in a sequence with `visual` columns of image tokens left."""
        proprio = self.before + visual
        prompt = proprio + self.proprio
        columns = []
        for n in self.prompts:
            slots = prompt + n
            stop = slots + self.slots
            end = stop + (1 if self.slots else 0)
            columns.append(
                {
                    Span.BOS: range(self.before),
                    Span.IMAGES: range(self.before, self.before + visual),
                    Span.PROPRIO: range(proprio, prompt),
                    Span.PROMPT: range(prompt, slots),
                    Span.SLOTS: range(slots, stop),
                    Span.STOP: range(stop, end),
                    Span.PREFILL: range(slots),
                    Span.LAST: range(end - 1, end),
                    Span.ALL: range(end),
                }[span]
            )
        return columns
