"""The policy interface: observations in, action chunks out."""

from __future__ import annotations

from abc import ABC, abstractmethod
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, fields

import numpy as np

from vla_bench.errors import VlaBenchError
from vla_bench.records import EpisodeKey
from vla_bench.trace import QueryTrace
from vla_bench.world.observation import Observation, Sight

ACTION_DIM = 7  # dx dy dz (1.0 = 5 cm), three rotations (1.0 = 0.5 rad), gripper (-1 open, +1 close)
OPTIONS = ("seed", "suites", "device")  # options of the command line that a policy may take


@dataclass(frozen=True)
class Chunk:
    """The result of one query.

    actions: (T, 7) in [-1, 1], executed open loop before the next query.
    kept_tokens: image tokens of each camera after the last pruning site; None for a policy without image tokens.
    stages_ms: this query's share of its batch's time, in milliseconds, by stage: "preprocess" precedes the
        model, every other stage (vision, prune, decoder, head) is part of it.
    prompt_tokens: length of the instruction in the model's tokens; None for a policy that reads none.
    gflops: cost of the query in GFLOP, in the scope `model` of `vla_bench.model.costs`; None where it cannot be counted.
    trace: which image tokens went on at each pruning site; None for a policy that reports none.
    """

    actions: np.ndarray
    kept_tokens: tuple[int, ...] | None = None
    stages_ms: Mapping[str, float] = field(default_factory=dict)
    prompt_tokens: int | None = None
    gflops: float | None = None
    trace: QueryTrace | None = None

    @property
    def kept_total(self) -> int | None:
        """Kept image tokens of all cameras together."""
        return None if self.kept_tokens is None else sum(self.kept_tokens)


class Policy(ABC):
    """Acts in any number of episodes at once.

    State that outlives a query belongs to an episode: make it in `reset` and look it up by `observation.episode`.

    Another package adds a policy with a class and an entry point; `vla-bench eval --model forward` then runs it:

        import numpy as np

        from vla_bench import Chunk, Policy, Sight


        class Forward(Policy):
            name = "forward"
            sight = Sight.STATE

            def act(self, observations):
                return [Chunk(np.tile([0.3, 0, 0, 0, 0, 0, -1.0], (8, 1))) for _ in observations]

        [project.entry-points."vla_bench.policies"]
        forward = "forward:Forward"

    takes: those of OPTIONS that its constructor has as keywords: `suites` is a tuple of short names, `device` is auto, cpu or
        cuda.  Others are refused on the command line.
    identity: what determines its actions besides name and seed (checkpoint hash, pruner, dtype, device type, versions), as
        JSON types.  It is part of a run's configuration: runs of unequal identities never share a folder.
    revision: of a checkpoint from the hub, "owner/name@commit"; recorded with a run, and no part of its configuration.
    card: the model card printed before the first episode: pairs "what", "value (reason)".
    visual_tokens: image tokens of all cameras before pruning; None for a policy without image tokens.
    image_size: pixels a side of the camera images that it was trained on; None for the suite's.
    """

    name: str
    sight: Sight  # what its observations must contain
    takes: tuple[str, ...] = ()
    identity: dict[str, object] = {}
    revision: str | None = None
    card: tuple[tuple[str, str], ...] = ()
    visual_tokens: int | None = None
    image_size: int | None = None

    @property
    def remembers(self) -> bool:
        """Whether it keeps something from one query of an episode to the next."""
        return type(self).reset is not Policy.reset

    @property
    def reads_path(self) -> bool:
        """Whether it reads `Observation.path`."""
        return False

    @property
    def leaves_cores(self) -> bool:
        """Whether it runs on the CPU and uses one core, so that a copy on each core answers more queries."""
        return False

    def reset(self, episode: EpisodeKey) -> None:  # noqa: B027  a policy without memory needs none
        """A new episode begins; drop all state of an earlier attempt at it."""

    def end(self, episode: EpisodeKey, success: bool | None) -> None:  # noqa: B027
        """An attempt at `episode` is over; success: None where it ended in an error."""

    def close(self) -> None:  # noqa: B027
        """No more episodes follow."""

    @abstractmethod
    def act(self, observations: Sequence[Observation]) -> list[Chunk | VlaBenchError]:
        """One chunk per observation, in the same order; or an error, which ends the attempt at that episode alone.

        An exception ends the attempts at all of them.
        """


@dataclass(frozen=True, kw_only=True)
class PolicyFacts:
    """The attributes of a policy that runs elsewhere, as `Policy` explains them."""

    name: str
    sight: Sight
    identity: dict[str, object]
    revision: str | None
    card: tuple[tuple[str, str], ...]
    visual_tokens: int | None
    image_size: int | None

    @classmethod
    def of(cls, policy: Policy) -> PolicyFacts:
        return cls(**{field.name: getattr(policy, field.name) for field in fields(cls)})
