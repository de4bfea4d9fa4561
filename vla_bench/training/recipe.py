"""Recipes: the settings of a training.  The defaults are the paper's, for 7B; the nano recipes are vla-bench's."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, replace

from vla_bench.checkpoints.known import FOUR_SUITES
from vla_bench.documents import refuse_unknown, typed
from vla_bench.errors import UsageError, nearest
from vla_bench.interface.noise import NoiseSchedule
from vla_bench.training.precision import Precision
from vla_bench.training.schedule import LearningRate
from vla_bench.training.shares import parse_shares

PARTS = ("vision", "projector", "llm", "heads")  # that can be frozen; "heads": action head and proprio projector


@dataclass(frozen=True)
class Recipe:
    """The settings of a training.  They are saved with its state; a resumed run must have the same.

    start: a checkpoint (folder or hub id), the folder of a training, a preset's name for random weights, or a family with one
        checkpoint per suite, such as openvla-oft.
    suite: short name of the one suite that is trained: only its demonstrations count, for the statistics too, and of a start
        with one checkpoint per suite its own is taken.  None for all demonstrations.
    batch: samples per step over all processes; each process splits its share into `accumulate` micro-batches.
    lora_rank: 0 trains every weight.
    fresh_heads: start with a random action head and proprio projector, as the paper does, even if the start has trained ones.
    fresh_scale: compute the scale of actions and states from the demonstrations, as the paper does, even if the start has one;
        with another scale a trained model misreads the position of its hand.
    augment: the reference's image augmentation.
    matrix_rate: peak learning rate of Muon for the weight matrices; None to train them with AdamW.
    kept_once: share of steps in which the pruner keeps every image token at most once, as in evaluation, and is not trained
        itself.  The paper has none: in its training tokens repeat.
    switch_weight: factor by which chunks with, or shortly before, an opening or closing of the gripper are drawn more often.
    shares: suite weights, such as "long=3"; 1 for suites not named; tasks of a suite are drawn evenly.  None to draw every
        step equally often, as the reference does.
    fill_ends: also train on the last 7 steps of a demonstration, their chunks padded with its last action.  The reference
        leaves them out; where a demonstration ends with opening the gripper, that is then never the first action of a chunk.
    normalization: the values of actions and states scaled to -1 and 1: "bounds_q99" for the 1st and 99th percentile, as in
        the reference, "bounds" for the least and greatest value.
    auxiliary: weight of the keypoint loss, whose head is dropped afterwards; the paper has none.
    freeze: parts of the model that stay as they are, such as "vision,projector"; None trains all.
    """

    start: str
    suite: str | None = None
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
    freeze: str | None = None
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
        if unknown := [part for part in self.frozen if part not in PARTS]:
            raise UsageError(
                f'--freeze: unknown part "{unknown[0]}".{nearest(unknown[0], list(PARTS))} Parts: {", ".join(PARTS)}',
                "vla-bench train --freeze vision ...",
            )
        for name in ("learning_rate", "matrix_rate"):
            if (rate := getattr(self, name)) is not None and not 0 < rate < math.inf:
                raise UsageError(f"--{name.replace('_', '-')} must be above 0, not {rate}")

    @property
    def frozen(self) -> tuple[str, ...]:
        """The parts that `freeze` names."""
        return tuple(filter(None, (self.freeze or "").replace(" ", "").split(",")))

    def to_dict(self) -> dict[str, object]:
        return {k: getattr(v, "value", v) for k, v in asdict(self).items()}

    def at_once(self, processes: int) -> int:
        """Samples per micro-batch.  Raises UsageError where the batch cannot be split evenly."""
        parts = processes * self.accumulate
        if self.batch % parts:
            near = max(1, round(self.batch / parts)) * parts
            what = f"a batch of {self.batch} cannot be shared by {processes} processes x {self.accumulate} micro-batches"
            raise UsageError(what, f"vla-bench train --batch {near} ...")
        return self.batch // parts

    def prunes_as_evaluated(self, step: int) -> bool:
        """Whether the pruner prunes in `step` as in evaluation; these steps, a share of `kept_once`, are spread evenly."""
        return int((step + 1) * self.kept_once) > int(step * self.kept_once)

    def may_prolong(self, step: int, before: int) -> bool:
        """Whether a training planned for `before` steps may continue from `step` with this recipe's number of steps."""
        return self.pruner == "none" and self.rate_schedule.prolongs(step, before, self.steps)

    @classmethod
    def from_dict(cls, table: dict[str, object]) -> Recipe:
        """The inverse of `to_dict`; settings that an earlier version did not have get their defaults.

        Raises ValueError for what is no recipe, UsageError for one that cannot be.
        """
        refuse_unknown(table, cls.__dataclass_fields__)
        return typed(table, cls)

    def with_options(self, **options: object) -> Recipe:
        """This recipe with every option that is not None."""
        return replace(self, **{name: value for name, value in options.items() if value is not None})


_NANO = {
    "batch": 32,
    "lora_rank": 0,
    "fresh_heads": False,
    "fresh_scale": False,
    "clip": 1.0,
    "switch_weight": 3.0,
    # Nearly every task of Long has a scene of its own, while the tasks of another suite share one: drawn equally often, the
    # objects of Long are not localised.
    "shares": "long=3",
    "fill_ends": True,
    # The expert tilts its hand in few tasks: clipped to the reference's percentiles over all tasks, it would rotate too slowly
    # and reach the object before the rotation ends.
    "normalization": "bounds",
    "augment": False,
}

RECIPES = {
    # Each suite from its own OpenVLA-OFT checkpoint, on its own demonstrations: four trainings make Table I's row.
    "paper": Recipe("openvla-oft", pruner="lightvla"),
    # All suites at once, from the checkpoint trained on all four; the paper has no such model.
    "paper-joint": Recipe(FOUR_SUITES, pruner="lightvla"),
    # From random weights, with the keypoint loss, since vision is not pretrained.  Without augmentation: images of one renderer
    # vary only in the scene, and a random crop hides positions.
    "nano-oft": Recipe(
        "nano",
        steps=20_000,
        learning_rate=1e-3,
        matrix_rate=0.007,
        rate_schedule=LearningRate.TRAPEZOID,
        auxiliary=0.5,
        **_NANO,
    ),
    # As the paper fine-tunes OpenVLA-OFT: the action loss alone.
    "nano-lightvla": Recipe(
        "nano-oft",
        pruner="lightvla",
        steps=1_000,
        # Low: a high rate undoes what the dense model's decaying rate has reached.
        learning_rate=2.5e-4,
        matrix_rate=0.0015,
        rate_schedule=LearningRate.COSINE,
        # Evaluation drops the repeats.  In nano they change the attention much: 128 image tokens, 7 of them different, beside 75
        # other tokens; in the paper's model, with 512 and 78, hardly.  A nano trained with repeats alone had an L1 of 0.087 with
        # them, 0.130 without.
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
