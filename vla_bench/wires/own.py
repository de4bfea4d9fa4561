"""What servers of vla-bench say beside their wire: in the hello or metadata what they serve, in an answer how the query went.

Others ignore these names; `eval --model ws://HOST:PORT` records them.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field

from vla_bench.documents import AtLeastOne, Text, typed
from vla_bench.errors import WireError

ABOUT = "vla_bench"  # in the hello or metadata: an `About`
QUERY = "query"  # in an answer: `QueryRecord.to_dict()`; missing where an action comes from the buffer
# In an observation, all optional: its control step, the arm's path to it, and whether the whole chunk is wanted at once.
STEP, PATH, WHOLE_CHUNK = "step", "path", "whole_chunk"


@dataclass(frozen=True)
class About:
    """What is served, the same for every connection.

    version: of vla-bench.  model: its name.  weights: SHA-256 of the checkpoint, or "unknown".
    policy: its `Policy.identity`.
    camera_size: pixels a side of the model's pictures; others are resized.  None for any size.
    open_loop_steps: steps of a chunk as it is answered.  visual_tokens: image tokens before pruning.
    """

    version: Text
    model: Text
    weights: Text
    policy: dict[str, object] = field(default_factory=dict)
    camera_size: AtLeastOne | None = None
    open_loop_steps: AtLeastOne | None = None
    visual_tokens: AtLeastOne | None = None

    def to_dict(self) -> dict[str, object]:
        return asdict(self)


def read_about(said: Mapping[str, object]) -> About | None:
    """What a hello or metadata has of it; None from servers of others.  Raises WireError."""
    if ABOUT not in said:
        return None
    try:
        return typed(said[ABOUT], About)
    except ValueError as error:
        raise WireError(f"what the server says of itself under {ABOUT} is not readable: {error}") from None
