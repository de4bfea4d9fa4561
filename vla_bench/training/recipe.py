"""What decides a training run.  The defaults are the paper's, for 7B; the recipes of the nano models are ours."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

from vla_bench.checkpoints.known import FOUR_SUITES
from vla_bench.errors import UsageError, nearest
from vla_bench.interface.noise import NoiseSchedule
from vla_bench.training.precision import Precision
from vla_bench.training.schedule import LearningRate
from vla_bench.training.shares import parse_shares


@dataclass(frozen=True)
class Recipe:
    """All of it goes into the training's state: a resumed run must be asked for with the same.

    start: a checkpoint (folder or hub id), the folder of a training, or a preset's name for random weights.
    batch: samples a step over all processes; `accumulate` micro-batches make one process's share.
    lora_rank: 0 trains every weight.
    fresh_heads: begin with a random action head and proprio projector, as the paper does, also where the start has trained ones.
    fresh_scale: scale actions and states by the demonstrations, as the paper does, also where the start has a scale: one that
        moves tells a trained model that its hand is elsewhere.
    augment: the reference's image augmentation.
    matrix_rate: peak rate of Muon, which then trains the matrices; None leaves them to AdamW.
    kept_once: share of steps in which the pruner keeps every image token once, as in evaluation, and learns nothing itself.
        The paper has none: repeats always stay in training.
    switch_weight: how much likelier a chunk is drawn in which, or soon after which, the gripper opens or closes.
    shares: how often the suites are drawn, such as "long=3", where 1 is the share of those not named; the tasks of a suite
        evenly.  None draws every step as often as any other, as the reference does.
    fill_ends: the last 7 steps of a demonstration are learnt, too, their chunks filled up with its last action.  The reference
        leaves them out; where a demonstration ends with the hand's opening, nobody then learns to open it now.
    normalization: what becomes -1 and 1 of actions and states: "bounds_q99" the 1st and 99th percentile, as in the reference,
        "bounds" the least and greatest value.
    auxiliary: weight of the loss of a head that says where the objects are and where the gripper will act next, dropped
        afterwards; the paper has none.
    """

    start: str
    pruner: str = "none"
    pruner_args: str = ""
    noise_schedule: NoiseSchedule = NoiseSchedule.LINEAR
    steps: int = 40_000
    batch: int = 64
    accumulate: int = 1
    learning_rate: float = 5e-4
    weight_decay: float = 0.01
    rate_schedule: LearningRate = LearningRate.STEP
    matrix_rate: float | None = None
    clip: float | None = None
    lora_rank: int = 32
    fresh_heads: bool = True
    fresh_scale: bool = True
    augment: bool = True
    kept_once: float = 0.0
    switch_weight: float = 1.0
    shares: str | None = None
    fill_ends: bool = False
    normalization: str = "bounds_q99"
    auxiliary: float = 0.0
    precision: Precision = Precision.AUTO
    seed: int = 0

    def __post_init__(self):
        for name in ("steps", "batch", "accumulate"):
            if getattr(self, name) < 1:
                raise UsageError(f"--{name} must be a whole number above 0, not {getattr(self, name)}")
        if not 0 <= self.kept_once < 1:
            raise UsageError(f"--kept-once is a share of steps from 0 to below 1, not {self.kept_once}")
        for name in ("lora_rank", "auxiliary", "seed", "weight_decay"):
            if not getattr(self, name) >= 0:
                raise UsageError(f"--{name.replace('_', '-')} must not be negative, as {getattr(self, name)} is")
        parse_shares(self.shares or "")
        for name in ("learning_rate", "matrix_rate"):
            if (rate := getattr(self, name)) is not None and not 0 < rate < math.inf:
                raise UsageError(f"--{name.replace('_', '-')} must be above 0, not {rate}")

    def to_dict(self) -> dict[str, object]:
        return {k: getattr(v, "value", v) for k, v in asdict(self).items()}

    def at_once(self, processes: int) -> int:
        """Samples of one micro-batch.  Raises UsageError where a batch cannot be split evenly."""
        parts = processes * self.accumulate
        if self.batch % parts:
            near = max(1, round(self.batch / parts)) * parts
            what = f"a batch of {self.batch} cannot be shared by {processes} processes x {self.accumulate} micro-batches"
            raise UsageError(what, f"vla-bench train --batch {near} ...")
        return self.batch // parts

    def once(self, step: int) -> bool:
        """Whether `step` is one of those of `kept_once`, which are spread evenly."""
        return int((step + 1) * self.kept_once) > int(step * self.kept_once)

    def may_prolong(self, step: int, before: int) -> bool:
        """Whether a training that was to have `before` steps may go on from `step` as this one."""
        return self.pruner == "none" and self.rate_schedule.prolongs(step, before, self.steps)

    @classmethod
    def from_dict(cls, found: dict[str, object]) -> Recipe:
        """The inverse of `to_dict`; what an earlier version did not know keeps its default."""
        closed = {"noise_schedule": NoiseSchedule, "rate_schedule": LearningRate, "precision": Precision}
        return cls(**{key: closed.get(key, lambda same: same)(value) for key, value in found.items()})

    def with_options(self, **options: object) -> Recipe:
        """The same with every option that was given, that is, is not None."""
        return replace(self, **{name: value for name, value in options.items() if value is not None})


_NANO = {
    "batch": 32,
    "lora_rank": 0,
    "fresh_heads": False,
    "fresh_scale": False,
    "clip": 1.0,
    "switch_weight": 3.0,
    # Nearly every task of Long has a table of its own, those of the other suites share theirs: seen as seldom as they, its
    # things are not found.
    "shares": "long=3",
    "fill_ends": True,
    # The scripted expert leans its hand in few tasks: between the reference's percentiles, taken over all of them, it would
    # turn at a part of its speed, and meet what it came for before it has turned.
    "normalization": "bounds",
    "augment": False,
}

RECIPES = {
    "paper": Recipe(FOUR_SUITES, "lightvla"),
    # From random weights, with eyes that are taught: a small model has not seen the internet.  Without augmentation: pictures
    # of one renderer vary in nothing but the scene, and an unknown crop only hides where things are.
    "nano-oft": Recipe(
        "nano",
        steps=20_000,
        learning_rate=1e-3,
        matrix_rate=0.007,
        rate_schedule=LearningRate.TRAPEZOID,
        auxiliary=0.5,
        **_NANO,
    ),
    # As the paper fine-tunes OpenVLA-OFT: no loss beside the actions'.
    "nano-lightvla": Recipe(
        "nano-oft",
        "lightvla",
        steps=1_000,
        # Low: a high rate undoes what the dense model's own cosine has brought.
        learning_rate=2.5e-4,
        matrix_rate=0.0015,
        rate_schedule=LearningRate.COSINE,
        # Evaluation drops the repeats.  128 image tokens of which 7 differ weigh more beside 75 others than these 7 do, and the
        # paper's 512 of which 78 differ hardly: L1 of a nano trained with repeats alone was 0.087 with them, 0.130 without.
        kept_once=0.5,
        **_NANO,
    ),
}


def recipe(name: str) -> Recipe:
    """The recipe called `name`.  Raises UsageError."""
    if name not in RECIPES:
        known = ", ".join(RECIPES)
        raise UsageError(
            f'unknown recipe "{name}".{nearest(name, list(RECIPES))} Recipes: {known}', "vla-bench train --recipe paper"
        )
    return RECIPES[name]
