"""The user's choice of a model, and of how it acts."""

from __future__ import annotations

from dataclasses import KW_ONLY, dataclass
from pathlib import Path

from vla_bench.checkpoints.assumed import TrainedWith
from vla_bench.errors import UsageError
from vla_bench.interface.action_slice import ActionSlice
from vla_bench.values import Decoding, Device, device, one_of


@dataclass(frozen=True)
class ModelChoice:
    """Which policy to make, and how.  Raises UsageError for a value outside its closed set.

    model: any name that `resolve_model` knows.
    seed: seed of a policy that draws random numbers.
    suites: short names of the suites that it will act in; they select the checkpoint and its action statistics.
    pruner: None for the checkpoint's default: lightvla for a LightVLA checkpoint, none for others.
    pruner_args: arguments of the pruner, as `layer=3,keep=0.25` or a TOML file.
    unnorm_key: key of the checkpoint's action statistics; None for the suite's.
    threads: CPU threads of the model; None for torch's default, all cores.
    decoding: None for the checkpoint's.
    action_slice: hidden states that the action head reads; None for the default of the checkpoint's release.
    adapter: folder of a LoRA adapter for the model; where `model` is auto, for the one that the adapter names.
    cameras, chunk, center_crop: what training chose and the checkpoint's files do not say; None for what they say or, where they
        do not, what the published checkpoints have.
    open_loop_steps: steps of a chunk that are executed before the next query; None for all.
    """

    model: str
    _: KW_ONLY
    seed: int = 0
    suites: tuple[str, ...] = ()
    pruner: str | None = None
    pruner_args: str | None = None
    decoding: Decoding | None = None
    unnorm_key: str | None = None
    action_slice: ActionSlice | None = None
    adapter: Path | None = None
    cameras: int | None = None
    chunk: int | None = None
    center_crop: bool | None = None
    open_loop_steps: int | None = None
    device: str = Device.AUTO
    threads: int | None = None

    def __post_init__(self):
        if self.decoding is not None:
            self._set("decoding", one_of(Decoding, self.decoding, "--decoding"))
        self._set("device", device(self.device))
        if self.action_slice is not None:
            self._set("action_slice", one_of(ActionSlice, self.action_slice, "--action-slice"))
        if self.pruner_args is not None and self.pruner is None:
            raise UsageError("--pruner-args need a pruner", instead={"--pruner": "fastv"})
        for option in ("cameras", "chunk", "open_loop_steps"):
            if (number := getattr(self, option)) is not None and number < 1:
                flag = f"--{option.replace('_', '-')}"
                raise UsageError(f"{flag} must be a whole number above 0, not {number}", instead={flag: "1"})

    @property
    def trained_with(self) -> TrainedWith:
        return TrainedWith(self.cameras, self.chunk, self.center_crop)

    def _set(self, name: str, member: object) -> None:
        """Replace text by the member of the closed set that it names."""
        object.__setattr__(self, name, member)
